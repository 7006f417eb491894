import { describe, expect, test } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import { LOCAL } from '../../test/support/negotiation.ts';
import { offerNames, readOffer } from '../../test/support/recorded-offers.ts';
import { MAX_MESSAGE_BYTES } from '../transport/data-channels.ts';
import { SCTP_PORT } from '../transport/sctp-association.ts';
import { answerJoin } from './answer-join.ts';
import { answerPublish } from './answer-publish.ts';
import { LOCAL_DATA_CHANNEL } from './data-channel-section.ts';

const join = (offer: string, fixed = false) => answerJoin(parseSdp(offer), LOCAL, { fixed });

function problemOf(run: () => unknown): string {
  try {
    run();
    return 'ok';
  } catch (error) {
    if (error instanceof ProblemError) return `${error.status} ${error.code}`;
    throw error;
  }
}

const FINGERPRINT = Array.from({ length: 32 }, () => 'B2').join(':');
const TRANSPORT = [
  'a=ice-ufrag:abcd',
  'a=ice-pwd:abcdefghijklmnopqrstuvwx',
  `a=fingerprint:sha-256 ${FINGERPRINT}`,
  'a=setup:actpass',
];

interface Section {
  kind: 'audio' | 'video' | 'application';
  msid?: string;
  info?: string;
  lines?: string[];
}

/** An offer of these sections, mids from 0. */
function offer(sections: readonly Section[], bundle = sections.map((_, index) => index)): string {
  const lines = ['v=0', 'o=- 1 1 IN IP4 0.0.0.0', 's=-', 't=0 0', `a=group:BUNDLE ${bundle.join(' ')}`];
  sections.forEach(({ kind, msid, info, lines: own = [] }, mid) => {
    if (kind === 'application') {
      lines.push('m=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'c=IN IP4 0.0.0.0', `a=mid:${mid}`, ...TRANSPORT);
      lines.push(...(own.length > 0 ? own : ['a=sctp-port:5000', 'a=max-message-size:262144']));
      return;
    }
    const format = kind === 'audio' ? 'opus/48000/2' : 'VP8/90000';
    lines.push(`m=${kind} 9 UDP/TLS/RTP/SAVPF 96`);
    if (info !== undefined) lines.push(`i=${info}`);
    lines.push('c=IN IP4 0.0.0.0', `a=mid:${mid}`, ...TRANSPORT, 'a=rtcp-mux', `a=rtpmap:96 ${format}`);
    lines.push(...(own.length > 0 ? own : ['a=sendonly']));
    if (msid !== undefined) lines.push(`a=msid:${msid}`);
  });
  return `${lines.join('\r\n')}\r\n`;
}

const CHANNEL: Section = { kind: 'application' };

test("the negotiation announces the transport's own numbers", () => {
  expect(LOCAL_DATA_CHANNEL).toEqual({ remotePort: SCTP_PORT, maxMessageBytes: MAX_MESSAGE_BYTES });
});

describe('the data channel', () => {
  test('alone', () => {
    const { answer, tracks, dataChannel, mids, remote } = join(offer([CHANNEL]));

    expect([tracks, dataChannel, mids]).toEqual([[], { remotePort: 5000, maxMessageBytes: 262_144 }, ['0']]);
    expect(remote.dtlsRole).toBe('server');
    const parsed = parseSdp(answer);
    expect(parsed.groups).toEqual([{ semantics: 'BUNDLE', mids: ['0'] }]);
    const [section] = parsed.media;
    expect(section).toMatchObject({ kind: 'application', protocol: 'UDP/DTLS/SCTP', port: 9, setup: 'passive' });
    expect(section?.formats).toEqual(['webrtc-datachannel']);
    expect(section?.candidates).toHaveLength(LOCAL.candidates.length);
    expect(answer).toContain('a=sctp-port:5000\r\na=max-message-size:262144\r\n');
  });

  test('beside tracks, in any place', () => {
    const { answer, tracks, dataChannel, mids } = join(
      offer([CHANNEL, { kind: 'audio' }, { kind: 'video' }], [1, 2, 0]),
    );

    expect(parseSdp(answer).media.map(({ kind, port }) => [kind, port])).toEqual([
      ['application', 9],
      ['audio', 9],
      ['video', 9],
    ]);
    expect([tracks.map(({ mid }) => mid), dataChannel?.remotePort, mids]).toEqual([['1', '2'], 5000, ['1', '2', '0']]);
  });

  test.each([
    ['without a port', ['a=max-message-size:1000'], null],
    ['of port 0', ['a=sctp-port:0'], null],
    ['without a size: 64 KiB', ['a=sctp-port:4000'], { remotePort: 4000, maxMessageBytes: 65_536 }],
    [
      'of unlimited size',
      ['a=sctp-port:5000', 'a=max-message-size:0'],
      { remotePort: 5000, maxMessageBytes: 2 ** 32 - 1 },
    ],
  ])('%s', (_what, lines, expected) => {
    const { dataChannel, answer } = join(offer([{ kind: 'video' }, { kind: 'application', lines }]));

    expect(dataChannel).toEqual(expected);
    expect(parseSdp(answer).media[1]?.port).toBe(expected === null ? 0 : 9);
  });

  test('a second one, and one outside of the bundle, are rejected', () => {
    expect(parseSdp(join(offer([CHANNEL, CHANNEL])).answer).media.map(({ port }) => port)).toEqual([9, 0]);
    const outside = join(offer([{ kind: 'audio' }, CHANNEL], [0]));
    expect([outside.dataChannel, parseSdp(outside.answer).media[1]?.port]).toEqual([null, 0]);
  });
});

describe('tracks', () => {
  test('of several streams, each with what its i= line says', () => {
    const { tracks, answer } = join(
      offer([
        { kind: 'audio', msid: 'cam a', info: '1 1 Cam' },
        { kind: 'video', msid: 'cam v', info: '2 2 Cam' },
        { kind: 'video', msid: 'screen s', info: 'not for us' },
        { kind: 'video', msid: '- lone' },
      ]),
    );

    expect(tracks.map(({ mid, stream, info }) => [mid, stream, info.purpose, info.muted, info.label])).toEqual([
      ['0', 'msid cam', 'guest', true, 'Cam'],
      ['1', 'msid cam', 'main', false, 'Cam'],
      ['2', 'msid screen', 'guest', false, 'Guest'],
      ['3', 'mid 3', 'guest', false, 'Guest'],
    ]);
    expect(parseSdp(answer).media.map(({ direction }) => direction)).toEqual(Array(4).fill('recvonly'));
  });

  test('of a client that knows no streams: its first audio and video belong together', () => {
    const { tracks } = join(offer([{ kind: 'audio' }, { kind: 'video' }, { kind: 'video' }]));

    expect(tracks.map(({ stream }) => stream)).toEqual(['nameless', 'nameless', 'mid 2']);
  });

  test('of a static publisher are main ones unless it says otherwise', () => {
    const { tracks } = join(offer([{ kind: 'audio' }, { kind: 'video', info: '1 2 Cam' }]), true);

    expect(tracks.map(({ info }) => info.purpose)).toEqual(['main', 'guest']);
  });

  test('inactive sections are no tracks', () => {
    const { tracks, answer } = join(offer([{ kind: 'video', lines: ['a=inactive'] }, CHANNEL]));

    expect([tracks, parseSdp(answer).media.map(({ port }) => port)]).toEqual([[], [0, 9]]);
  });
});

test.each([
  [
    'two videos of one stream',
    offer([
      { kind: 'video', msid: 's a' },
      { kind: 'video', msid: 's b' },
    ]),
    '422 too_many_tracks',
  ],
  ['nothing that sends', offer([{ kind: 'video', lines: ['a=recvonly'] }, CHANNEL]), '422 bad_direction'],
  ['only a data channel that is no use', offer([{ kind: 'application', lines: ['a=x'] }]), '422 no_media'],
  ['no codec of ours', offer([{ kind: 'video' }]).replace('VP8', 'H263'), '422 no_common_codec'],
  ['no credentials', offer([CHANNEL]).replaceAll(/a=ice-.*\r\n/g, ''), '400 bad_sdp'],
])('refuses %s', (_what, text, expected) => {
  expect(problemOf(() => join(text))).toBe(expected);
});

describe.each(offerNames('publish'))('the recorded offer %s', (name) => {
  test('is answered as in a room', () => {
    const room = answerPublish(parseSdp(readOffer(name)), LOCAL);
    const lobby = join(readOffer(name));

    expect(lobby.answer).toBe(room.answer);
    expect(lobby.tracks.map(({ info, stream, ...track }) => [track, stream.length > 0, info.purpose])).toEqual(
      room.tracks.map((track) => [track, true, 'guest']),
    );
  });
});
