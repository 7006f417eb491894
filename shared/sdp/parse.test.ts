import { describe, expect, test } from 'vitest';
import { offerNames, readOffer } from '../../test/support/recorded-offers.ts';
import { ProblemError } from '../errors.ts';
import { MAX_SDP_LENGTH, MAX_SDP_LINE_LENGTH, MAX_SDP_LINES, MAX_SDP_SECTIONS, parseSdp } from './parse.ts';
import { printSdp } from './print.ts';

const HEAD = 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n';

function problemOf(run: () => unknown): ProblemError {
  try {
    run();
  } catch (error) {
    if (error instanceof ProblemError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('parseSdp', () => {
  test.each(offerNames())('%s prints back as it came', (name) => {
    const text = readOffer(name);

    expect(printSdp(parseSdp(text))).toBe(text);
  });

  test('#4 #53a LF line ends, empty lines and a missing last line end are read the same', () => {
    const text = readOffer('obs32-publish');

    const parsed = parseSdp(`${text.replaceAll('\r\n', '\n\n').trimEnd()}`);

    expect(parsed).toEqual(parseSdp(text));
  });

  test('reads a simulcast section', () => {
    const video = parseSdp(readOffer('chromium-publish-simulcast')).media[0];

    expect(video).toMatchObject({ kind: 'video', port: 44656, mid: '0', direction: 'sendonly', setup: 'actpass' });
    expect(video?.ice).toEqual({ ufrag: '26Sg', pwd: 'rHgPD8J3yAAXmr7vzP+JtxBy' });
    expect(video?.fingerprints[0]?.algorithm).toBe('sha-256');
    expect(video?.rids.map((rid) => rid.id)).toEqual(['l', 'm', 'h']);
    expect(video?.simulcast?.send).toEqual([['l'], ['m'], ['h']]);
    expect(video?.payloads[0]).toEqual({
      payloadType: 96,
      encoding: 'VP8',
      clockRate: 90_000,
      channels: 1,
      fmtp: '',
      feedback: ['goog-remb', 'transport-cc', 'ccm fir', 'nack', 'nack pli'],
    });
    expect(video?.candidates.map((candidate) => candidate.transport)).toEqual(['udp', 'tcp']);
  });

  test('OBS: session-level fingerprint reaches every section, ice-options by comma, LS beside BUNDLE', () => {
    const offer = parseSdp(readOffer('obs32-publish'));

    expect(offer.media.map((section) => section.fingerprints.length)).toEqual([1, 1]);
    expect(offer.iceOptions).toEqual(['ice2', 'trickle']);
    expect(offer.groups).toEqual([
      { semantics: 'BUNDLE', mids: ['0', '1'] },
      { semantics: 'LS', mids: ['0', '1'] },
    ]);
  });

  test('Firefox: session-level direction is overruled, fmtp before rtpmap, extmap directions', () => {
    const [audio, video] = parseSdp(readOffer('firefox-publish')).media;

    expect(audio?.direction).toBe('sendonly');
    expect(audio?.payloads[0]).toMatchObject({
      payloadType: 109,
      fmtp: 'maxplaybackrate=48000;stereo=1;useinbandfec=1',
    });
    expect(video?.extensions.find((extension) => extension.id === 6)?.direction).toBe('recvonly');
  });

  test('session-level ICE credentials, setup, direction and extensions are inherited', () => {
    const parsed = parseSdp(
      `${HEAD}a=ice-ufrag:abcd\r\na=ice-pwd:${'p'.repeat(22)}\r\na=setup:active\r\na=recvonly\r\na=extmap:3 urn:x\r\nm=audio 9 RTP/SAVPF 0\r\n`,
    );

    expect(parsed.media[0]).toMatchObject({
      ice: { ufrag: 'abcd' },
      setup: 'active',
      direction: 'recvonly',
      extensions: [{ id: 3, direction: null, uri: 'urn:x' }],
    });
    expect(parsed.media[0]?.payloads[0]).toMatchObject({ encoding: 'PCMU', clockRate: 8000 });
  });

  test('i= lines are kept at their level', () => {
    const parsed = parseSdp(`${HEAD}i=all\r\nm=audio 9 RTP/SAVPF 0\r\ni=1 2 Guest\r\n`);

    expect([parsed.information, parsed.media[0]?.information]).toEqual(['all', '1 2 Guest']);
  });

  test.each([
    ['send 1;~2;3', { send: [['1'], ['2'], ['3']], recv: [] }],
    ['send 1,~4;2 recv a', { send: [['1', '4'], ['2']], recv: [['a']] }],
    ['send rid=l;m', { send: [['l'], ['m']], recv: [] }],
    ['sideways 1', null],
    ['send', null],
    ['send ;;', null],
  ])('a=simulcast:%s', (value, expected) => {
    const parsed = parseSdp(`${HEAD}m=video 9 RTP/SAVPF 96\r\na=simulcast:${value}\r\n`);

    expect(parsed.media[0]?.simulcast ?? null).toEqual(expected);
  });

  test('wildcard feedback counts for every payload type', () => {
    const parsed = parseSdp(`${HEAD}m=video 9 RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:* nack pli\r\n`);

    expect(parsed.media[0]?.payloads[0]?.feedback).toEqual(['nack pli']);
  });

  test.each([
    ['nothing', ''],
    ['prose', 'this is not SDP'],
    ['JSON', '{"type":"offer"}'],
    ['a text before v=0', `hello\r\n${HEAD}`],
    ['another version', HEAD.replace('v=0', 'v=1')],
    ['two versions', `${HEAD}v=0\r\n`],
    ['no origin', 'v=0\r\ns=-\r\nt=0 0\r\n'],
    ['a line without =', `${HEAD}garbage\r\n`],
    ['an m-line without formats', `${HEAD}m=audio 9 RTP/SAVPF\r\n`],
    ['an m-line with a huge port', `${HEAD}m=audio 99999 RTP/SAVPF 0\r\n`],
    ['a NUL', `${HEAD}a=x:\u0000\r\n`],
    ['a bare CR inside a line', `${HEAD}a=x:1\ra=y:2\r\n`],
    ['one mid twice', `${HEAD}${'m=audio 9 RTP/SAVPF 0\r\na=mid:0\r\n'.repeat(2)}`],
    ['a long line', `${HEAD}a=x:${'y'.repeat(MAX_SDP_LINE_LENGTH)}\r\n`],
    ['many lines', `${HEAD}${'a=x\n'.repeat(MAX_SDP_LINES)}`],
    ['many sections', `${HEAD}${'m=audio 9 RTP/SAVPF 0\n'.repeat(MAX_SDP_SECTIONS + 1)}`],
    ['too much', `${HEAD}${'a=x\n'.repeat(MAX_SDP_LENGTH / 4)}`],
  ])('#4 %s is 400 bad_sdp', (_what, text) => {
    expect(problemOf(() => parseSdp(text))).toMatchObject({ status: 400, code: 'bad_sdp' });
  });

  test('malformed attributes count as absent', () => {
    const parsed = parseSdp(
      `${HEAD}m=audio 9 RTP/SAVPF 0\r\na=candidate:nonsense\r\na=fingerprint:md5 AA:BB\r\na=fingerprint:sha-256 AA\r\na=extmap:0 urn:x\r\na=extmap:x urn:x\r\na=ssrc:99999999999 cname:x\r\na=rid:! send\r\na=mid:two words\r\na=ice-ufrag:a b\r\na=rtpmap:200 opus/48000\r\na=setup:maybe\r\n`,
    );

    expect(parsed.media[0]).toMatchObject({
      candidates: [],
      fingerprints: [],
      extensions: [],
      ssrcs: [],
      rids: [],
      mid: null,
      ice: null,
      setup: null,
    });
  });

  test('the work grows linearly: a full-size hostile text takes a moment, not minutes', () => {
    const line = `a=rtpmap:96 ${'/'.repeat(10)}\n`;
    const text = `${HEAD}m=video 9 RTP/SAVPF ${'96 '.repeat(2000)}\n${line.repeat(8000)}`;
    const started = performance.now();

    parseSdp(text);

    expect(performance.now() - started).toBeLessThan(10_000);
  });
});
