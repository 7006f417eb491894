/** Group I of protocol.md: offers of publishers and their answers, on the wire of a whole system. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { offerNames, readOffer } from '../support/recorded-offers.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { answerFaults } from './support/answer-faults.ts';
import { expectProblem } from './support/checks.ts';
import { value, values } from './support/sdp.ts';
import { freshRoom, PUBLISH_OFFER, post, publishIn, type Session } from './support/sessions.ts';
import { type Call, callTo } from './support/wire.ts';

let server: Vestibule;
let call: Call;

beforeAll(async () => {
  server = await startVestibule();
  call = callTo(server.url);
});
afterAll(() => server.stop());

async function accepted(offer: string): Promise<Session> {
  const session = await publishIn(call, freshRoom(), offer);
  expect(answerFaults(offer, session.reply.body, 'publish')).toEqual([]);
  return session;
}

/** Refused, and the room is as free as before. */
async function refused(offer: string, status: number | number[]): Promise<void> {
  const room = freshRoom();
  expectProblem(await call(`/api/whip/publish/${room}`, post(offer)), status);
  await publishIn(call, room);
}

const NAMES = offerNames('publish');
const SIMULCAST = readOffer('obs32-publish-simulcast');
const VIDEO_ONLY = readOffer('ffmpeg9-publish-videoonly');

/** One m-section more, a copy of the `index`-th with another mid. */
function withCopy(offer: string, index: number, mid: string, change: (section: string) => string = (same) => same) {
  const [head = '', ...sections] = offer.split(/^(?=m=)/m);
  const copy = change((sections[index] ?? '').replace(/a=mid:\S+/, `a=mid:${mid}`));
  return [head.replace(/^(a=group:BUNDLE .*?)(\r?)$/m, `$1 ${mid}$2`), ...sections, copy].join('');
}

const DATA_CHANNEL = [
  'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
  'c=IN IP4 0.0.0.0',
  'a=mid:data',
  'a=ice-ufrag:IJhn',
  'a=ice-pwd:8Ip0zmeMFTTn4OcrN0ijXi',
  'a=setup:actpass',
  'a=sctp-port:5000',
  '',
].join('\r\n');

describe('recorded offers (#16 #62 #97 #98 #100 #102 #103 #104 #105 #106 #107 #108)', () => {
  it.each(NAMES)('%s is answered whole', async (name) => {
    await accepted(readOffer(name));
  });

  it.each(NAMES)('%s with LF, without the last line end, and with odd lines', async (name) => {
    const offer = readOffer(name);
    const variants = [
      offer.replaceAll('\r\n', '\n'),
      offer.trimEnd(),
      `${offer}\r\n`,
      offer.replace('s=-', 's= ').replace(/^(m=)/m, 'b=AS:5000\r\na=x-unknown:1 2 3\r\na=x-flag\r\n$1'),
      offer.replace(/^t=0 0/m, 'i=a title\r\nu=http://example.org\r\nt=3724394400 3724398000'),
    ];
    for (const variant of variants) await accepted(variant);
  });

  it.each(NAMES)('#63 %s without any candidate', async (name) => {
    await accepted(readOffer(name).replace(/^a=(candidate:.*|end-of-candidates)\r?\n/gm, ''));
  });

  it.each(NAMES)('#46 %s with candidates that lead nowhere', async (name) => {
    const candidates = [
      'a=candidate:1 1 udp 2122260223 f3c9d1a2-7f0a-4a51-9d5e-5a1c7c3c1a11.local 54321 typ host generation 0',
      'a=candidate:2 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active generation 0',
      'a=candidate:3 1 udp 2122194687 host.example.org 5000 typ host',
      'a=candidate:4 1 udp 2122194687 2001:db8::1 5000 typ host network-cost 999',
    ].join('\r\n');
    await accepted(readOffer(name).replace(/^(a=mid:.*)$/gm, `$1\n${candidates}`));
  });

  it.each(NAMES)('%s: the answer lists every repair that was offered', async (name) => {
    const { answer, offer } = await accepted(readOffer(name));
    for (const section of answer.sections) {
      const [format = ''] = section.formats;
      for (const feedback of ['nack', 'nack pli', 'ccm fir', 'goog-remb', 'transport-cc']) {
        const offered = new RegExp(`^a=rtcp-fb:${format} ${feedback}\r?$`, 'm').test(offer);
        expect(values(section.attributes, 'rtcp-fb').includes(`${format} ${feedback}`), feedback).toBe(offered);
      }
    }
  });
});

describe('what clients write differently', () => {
  it('#96 sendrecv is as good as sendonly', async () => {
    await accepted(PUBLISH_OFFER.replaceAll('a=sendonly', 'a=sendrecv'));
    await accepted(PUBLISH_OFFER.replaceAll('a=sendonly\r\n', ''));
    await accepted(PUBLISH_OFFER.replaceAll('a=sendonly\r\n', '').replace('t=0 0', 't=0 0\r\na=sendonly'));
  });

  it('#98 a lone m-line needs no group', async () => {
    await accepted(VIDEO_ONLY.replace(/^a=group.*\r?\n/m, ''));
    await accepted(VIDEO_ONLY);
  });

  it('#98 a group may name absent mids (FFmpeg 8.0)', async () => {
    const { answer } = await accepted(VIDEO_ONLY.replace(/^a=group:BUNDLE.*$/m, 'a=group:BUNDLE 0 1'));
    expect(values(answer.session, 'group')).toEqual(['BUNDLE 1']);
  });

  it('#98 other groups beside BUNDLE are not echoed (OBS: LS)', async () => {
    for (const text of ['a=group:LS 0 1\r\na=group:BUNDLE 0 1', 'a=group:BUNDLE 0 1\r\na=group:LS 0 1']) {
      const { answer } = await accepted(PUBLISH_OFFER.replace('a=group:BUNDLE 0 1\r\na=group:LS 0 1', text));
      expect(values(answer.session, 'group')).toEqual(['BUNDLE 0 1']);
    }
  });

  it('#99 port 0 with bundle-only lives', async () => {
    const offer = PUBLISH_OFFER.replace(/m=video 9(.*)/, 'm=video 0$1\na=bundle-only');
    const { answer } = await accepted(offer);
    expect(answer.sections.map((section) => section.port)).toEqual([9, 9]);
    expect(answer.text).not.toContain('bundle-only');
  });

  it('#99 port 0 without it is a rejected m-line and stays one', async () => {
    const { answer } = await accepted(
      PUBLISH_OFFER.replace('m=audio 9', 'm=audio 0').replace('a=group:BUNDLE 0 1', 'a=group:BUNDLE 1'),
    );
    expect(answer.sections.map((section) => section.port)).toEqual([0, 9]);
    expect(values(answer.session, 'group')).toEqual(['BUNDLE 1']);
  });

  it('#100 offers need no rtcp-mux-only', async () => {
    await accepted(PUBLISH_OFFER.replaceAll('a=rtcp-mux\r\n', 'a=rtcp-mux\r\na=rtcp-mux-only\r\n'));
    await accepted(PUBLISH_OFFER);
  });

  it('#101 msid may be missing, or name no stream', async () => {
    await accepted(PUBLISH_OFFER.replace(/^a=(ssrc:\d+ )?msid:.*\r?\n/gm, ''));
    await accepted(PUBLISH_OFFER.replace(/^a=(ssrc:.*|msid:.*|msid-semantic.*)\r?\n/gm, ''));
    await accepted(PUBLISH_OFFER.replace(/^a=msid:\S+ (.*)$/gm, 'a=msid:- $1'));
  });

  it.each([
    ['actpass', 'passive'],
    ['active', 'passive'],
    ['passive', 'active'],
  ])('#102 setup:%s is answered by %s', async (theirs, ours) => {
    const { answer } = await accepted(PUBLISH_OFFER.replaceAll('a=setup:actpass', `a=setup:${theirs}`));
    expect(answer.sections.map((section) => value(section.attributes, 'setup'))).toEqual([ours, ours]);
    const atSession = PUBLISH_OFFER.replaceAll('a=setup:actpass\r\n', '').replace(
      't=0 0',
      `t=0 0\r\na=setup:${theirs}`,
    );
    await accepted(atSession);
  });

  it('#105 transport attributes may stand at the session level', async () => {
    const without = PUBLISH_OFFER.replace(/^a=ice-(ufrag|pwd):.*\r?\n/gm, '');
    await accepted(without.replace('t=0 0', 't=0 0\r\na=ice-ufrag:IJhn\r\na=ice-pwd:8Ip0zmeMFTTn4OcrN0ijXi'));
  });

  it('codec names are compared without case (GStreamer: OPUS)', async () => {
    await accepted(PUBLISH_OFFER.replace('opus/48000/2', 'OPUS/48000/2').replace('H264/90000', 'h264/90000'));
  });

  it('stereo Opus stays stereo', async () => {
    const { answer } = await accepted(PUBLISH_OFFER);
    expect(value(answer.sections[0]?.attributes ?? [], 'fmtp')).toMatch(/(^|;| )stereo=1(;|$)/);
  });

  it.each([
    ['VP8/90000', ''],
    ['VP9/90000', 'profile-id=0'],
    ['AV1/90000', 'profile=0;level-idx=5;tier=0'],
    ['H265/90000', 'level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST'],
  ])('publishes %s', async (codec, parameters) => {
    const fmtp = parameters === '' ? '' : `a=fmtp:96 ${parameters}`;
    const offer = PUBLISH_OFFER.replace('H264/90000', codec).replace(/a=fmtp:96 .*\r\n/, fmtp && `${fmtp}\r\n`);
    const { answer } = await accepted(offer);
    expect(values(answer.sections[1]?.attributes ?? [], 'rtpmap')).toEqual([`96 ${codec}`]);
  });

  it.each([
    ['PCMU/8000', 0],
    ['PCMA/8000', 8],
  ])('publishes %s', async (codec, payloadType) => {
    await accepted(
      PUBLISH_OFFER.replace('SAVPF 111', `SAVPF ${payloadType}`)
        .replace('a=rtpmap:111 opus/48000/2', `a=rtpmap:${payloadType} ${codec}`)
        .replace(/a=fmtp:111 .*\r\n/, ''),
    );
  });

  it('#112 a data channel beside the tracks is taken', async () => {
    const { answer } = await accepted(PUBLISH_OFFER.replace('BUNDLE 0 1', 'BUNDLE 0 1 data') + DATA_CHANNEL);
    expect(answer.sections.map((section) => section.port)).toEqual([9, 9, 9]);
  });
});

describe('media addresses (#30 #106)', () => {
  it('many of them, behind NAT and not, still make a short answer that begins with the first IPv4 one', async () => {
    const own = Array.from({ length: 12 }, (_, at) => `127.0.1.${at + 1}`);
    await using server = await startVestibule({ env: { MEDIA_ADDRESSES: `127.0.0.1/203.0.113.7,${own.join()}` } });
    const call = callTo(server.url);
    for (const name of NAMES) {
      const session = await publishIn(call, freshRoom(), readOffer(name));
      expect(answerFaults(session.offer, session.reply.body, 'publish')).toEqual([]);
      const [first = ''] = values(session.answer.sections[0]?.attributes ?? [], 'candidate');
      expect(first).toContain(' 203.0.113.7 ');
    }
  });
});

describe('simulcast (#108 #109)', () => {
  it.each(['obs32-publish-simulcast', 'chromium-publish-simulcast'])('%s: all layers are taken', async (name) => {
    const { answer, offer } = await accepted(readOffer(name));
    const layers = /a=simulcast:send (\S+)/.exec(offer)?.[1];
    expect(answer.text).toContain(`a=simulcast:recv ${layers}\r\n`);
  });

  it.each([
    ['two', '0;1', ['0', '1']],
    ['four', '0;1;2;3', ['0', '1', '2', '3']],
    ['named', 'low;mid;high', ['low', 'mid', 'high']],
    ['alternatives', 'a,b;c', ['a', 'b', 'c']],
  ])('%s layers', async (_name, list, rids) => {
    const without = SIMULCAST.replace(/^a=(rid|simulcast):.*\r?\n/gm, '');
    const lines = [...rids.map((rid) => `a=rid:${rid} send`), `a=simulcast:send ${list}`].join('\r\n');
    await accepted(without.replace(/^(a=mid:1\r?)$/m, `$1\n${lines}\r`));
  });
});

describe('what cannot be taken', () => {
  it.each(['recvonly', 'inactive'])('#96 %s', async (direction) => {
    await refused(PUBLISH_OFFER.replaceAll('a=sendonly', `a=${direction}`), [400, 422]);
    await refused(PUBLISH_OFFER.replace('a=sendonly', `a=${direction}`), [400, 422]);
    const atSession = PUBLISH_OFFER.replaceAll('a=sendonly\r\n', '').replace('t=0 0', `t=0 0\r\na=${direction}`);
    await refused(atSession, [400, 422]);
  });

  it('#15 #101 two audio or two video tracks', async () => {
    await refused(withCopy(PUBLISH_OFFER, 0, '2'), [400, 422]);
    await refused(withCopy(PUBLISH_OFFER, 1, '2'), [400, 422]);
  });

  it('#15 #101 two MediaStreams', async () => {
    await refused(PUBLISH_OFFER.replace(/a=msid:\S+ (\S+-video)/, 'a=msid:another $1'), [400, 422]);
  });

  it('#101 no track at all', async () => {
    const [head = ''] = PUBLISH_OFFER.split(/^m=/m);
    await refused(head, [400, 422]);
    await refused(head.replace('BUNDLE 0 1', 'BUNDLE data') + DATA_CHANNEL, [400, 422]);
    await refused(PUBLISH_OFFER.replaceAll(/^m=(\w+) 9/gm, 'm=$1 0'), [400, 422]);
  });

  it('#98 two m-lines without a group', async () => {
    await refused(PUBLISH_OFFER.replace('a=group:BUNDLE 0 1\r\n', ''), [400, 422]);
    await refused(PUBLISH_OFFER.replace('BUNDLE 0 1', 'BUNDLE 0'), [400, 422]);
  });

  it('#100 no rtcp-mux', async () => {
    await refused(PUBLISH_OFFER.replaceAll('a=rtcp-mux\r\n', ''), [400, 422]);
  });

  it('#102 setup:holdconn', async () => {
    await refused(PUBLISH_OFFER.replaceAll('a=setup:actpass', 'a=setup:holdconn'), 400);
  });

  it('#111 no codec in common, for all or for one of the tracks', async () => {
    await refused(PUBLISH_OFFER.replace('H264/90000', 'MP4V-ES/90000'), 422);
    await refused(PUBLISH_OFFER.replace('opus/48000/2', 'speex/16000'), 422);
    await refused(PUBLISH_OFFER.replace('H264/90000', 'theora/90000').replace('opus/48000/2', 'G722/8000'), 422);
  });

  it.each([
    ['ice-ufrag', /^a=ice-ufrag:.*\r?\n/gm, ''],
    ['ice-pwd', /^a=ice-pwd:.*\r?\n/gm, ''],
    ['a long enough ice-pwd', /^a=ice-pwd:.*$/gm, 'a=ice-pwd:short'],
    ['a long enough ice-ufrag', /^a=ice-ufrag:.*$/gm, 'a=ice-ufrag:abc'],
    ['fingerprint', /^a=fingerprint:.*\r?\n/gm, ''],
    ['a fingerprint of a safe hash', /^a=fingerprint:.*$/gm, `a=fingerprint:md5 ${'AA:'.repeat(15)}AA`],
    ['a whole fingerprint', /^(a=fingerprint:sha-256 .{20}).*$/gm, '$1'],
    ['a mid of its own per m-line', /^a=mid:.*$/gm, 'a=mid:0'],
    ['an m= line that is one', /^m=video.*$/gm, 'm=video nine UDP/TLS/RTP/SAVPF 96'],
    ['formats on the m= line', /^m=video.*$/gm, 'm=video 9 UDP/TLS/RTP/SAVPF'],
    ['an o= line', /^o=.*\r?\n/gm, ''],
    ['a first line v=0', /^v=0/gm, 'v=1'],
    ['lines of SDP', /^s=-/gm, 'hello'],
  ])('#4 an offer without %s is 400', async (_name, pattern, replacement) => {
    await refused(PUBLISH_OFFER.replace(pattern, replacement), 400);
  });

  it('plain RTP, which no browser speaks', async () => {
    await refused(PUBLISH_OFFER.replaceAll('UDP/TLS/RTP/SAVPF', 'RTP/AVP'), [400, 422]);
  });
});
