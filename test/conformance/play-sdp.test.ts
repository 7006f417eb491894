/** Group J of protocol.md: offers of viewers and their answers. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { offerNames, readOffer } from '../support/recorded-offers.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { answerFaults } from './support/answer-faults.ts';
import { expectProblem } from './support/checks.ts';
import { type Description, readSdp, value, values } from './support/sdp.ts';
import { freshRoom, PLAY_OFFER, playIn, post, publishIn, type Session } from './support/sessions.ts';
import { type Call, callTo } from './support/wire.ts';

let server: Vestibule;
let call: Call;
const publishers = new Map<string, Session>();

const PUBLISHERS = offerNames('publish');
const VIEWERS = offerNames('view');

beforeAll(async () => {
  server = await startVestibule();
  call = callTo(server.url);
  for (const name of PUBLISHERS) publishers.set(name, await publishIn(call, freshRoom(), readOffer(name)));
});
afterAll(() => server.stop());

function publisher(name = 'obs32-publish'): Session {
  const session = publishers.get(name);
  if (session === undefined) throw new Error(`nobody publishes ${name}`);
  return session;
}

async function accepted(offer: string, room = publisher().room): Promise<Session> {
  const session = await playIn(call, room, offer);
  expect(answerFaults(offer, session.reply.body, 'play')).toEqual([]);
  return session;
}

async function refused(offer: string, status: number | number[]): Promise<void> {
  expectProblem(await call(`/api/whep/play/${publisher().room}`, post(offer)), status);
}

/** The codec that an answer accepted for that kind, as `NAME/rate`. */
function codecOf(answer: Description, kind: string): string | null {
  const section = answer.sections.find((one) => one.kind === kind && one.port !== 0);
  const map = section && values(section.attributes, 'rtpmap').find((text) => text.startsWith(`${section.formats[0]} `));
  return map?.split(' ')[1]?.split('/').slice(0, 2).join('/').toLowerCase() ?? null;
}

function offers(offer: Description, kind: string, codec: string): boolean {
  return offer.sections.some(
    (section) =>
      section.kind === kind &&
      values(section.attributes, 'rtpmap').some((text) => text.split(' ')[1]?.toLowerCase().startsWith(codec)),
  );
}

/** The m-sections in another order. */
function reversed(offer: string): string {
  const [head = '', ...sections] = offer.split(/^(?=m=)/m);
  return [head, ...sections.reverse()].join('');
}

/** Only the m-sections of that kind. */
function only(offer: string, kind: string): string {
  const [head = '', ...sections] = offer.split(/^(?=m=)/m);
  const kept = sections.filter((section) => section.startsWith(`m=${kind}`));
  const mid = /a=mid:(\S+)/.exec(kept.join(''))?.[1];
  return head.replace(/^a=group:BUNDLE.*$/m, `a=group:BUNDLE ${mid}`) + kept.join('');
}

describe('every viewer against every publisher (#114 #115 #118 #119)', () => {
  it.each(PUBLISHERS.flatMap((from) => VIEWERS.map((to) => [from, to] as const)))('%s → %s', async (from, to) => {
    const source = publisher(from);
    const offer = readOffer(to);
    const kinds = ['audio', 'video'].filter((kind) => codecOf(source.answer, kind) !== null);
    const playable = kinds.every((kind) => offers(readSdp(offer), kind, codecOf(source.answer, kind) ?? ''));
    if (!playable) {
      expectProblem(await call(`/api/whep/play/${source.room}`, post(offer)), 422);
      return;
    }

    const { answer } = await accepted(offer, source.room);

    for (const kind of ['audio', 'video']) expect(codecOf(answer, kind)).toBe(codecOf(source.answer, kind));
  });
});

describe('what viewers write differently', () => {
  it.each(VIEWERS)('%s with LF, without candidates, as sendrecv', async (name) => {
    const offer = readOffer(name);
    const { room } = publisher(offer.includes('H264') ? 'obs32-publish' : 'gstreamer128-publish-vp8');
    await accepted(offer.replaceAll('\r\n', '\n'), room);
    await accepted(offer.replace(/^a=(candidate:.*|end-of-candidates)\r?\n/gm, ''), room);
    await accepted(offer.replaceAll('a=recvonly', 'a=sendrecv'), room);
  });

  it('#116 a viewer that wants one kind only', async () => {
    for (const kind of ['audio', 'video']) {
      const { answer } = await accepted(only(PLAY_OFFER, kind));
      expect(answer.sections.map((section) => section.kind)).toEqual([kind]);
    }
  });

  it('#104 m-lines in another order than the publisher’s', async () => {
    const { answer } = await accepted(reversed(PLAY_OFFER));
    expect(answer.sections.map((section) => section.kind)).toEqual(['video', 'audio']);
  });

  it('#116 a kind that the publisher lacks is rejected by port 0', async () => {
    const { answer } = await accepted(PLAY_OFFER, publisher('ffmpeg9-publish-videoonly').room);
    expect(answer.sections.map((section) => section.port)).toEqual([0, 9]);
    expect(values(answer.session, 'group')).toEqual(['BUNDLE 1']);
  });

  it('#116 a data channel costs nobody the tracks (MediaMTX reader.js)', async () => {
    const { answer } = await accepted(readOffer('chromium-view-datachannel'));
    expect(answer.sections.map((section) => section.port)).toEqual([9, 9, 9]);
  });

  it('#116 codecs that nobody knows are passed over (MediaMTX reader.js)', async () => {
    const offer = PLAY_OFFER.replace(/^(m=audio \d+ \S+) (.*)$/m, '$1 118 119 120 $2').replace(
      /^(a=rtpmap:111 )/m,
      'a=rtpmap:118 PCMU/8000/2\r\na=rtpmap:119 multiopus/48000/6\r\na=fmtp:119 channel_mapping=0,4,1,2,3,5\r\na=rtpmap:120 L16/48000/2\r\n$1',
    );
    const { answer } = await accepted(offer);
    expect(answer.sections[0]?.formats).toEqual(['111']);
  });

  it('#115 a second section of a kind gets nothing', async () => {
    const [head = '', ...sections] = PLAY_OFFER.split(/^(?=m=)/m);
    const third = (sections[1] ?? '').replace(/a=mid:\S+/, 'a=mid:9');
    const { answer } = await accepted([head.replace('BUNDLE 0 1', 'BUNDLE 0 1 9'), ...sections, third].join(''));
    expect(answer.sections.map((section) => section.port)).toEqual([9, 9, 0]);
  });

  it('#119 RTX when it was offered, and only then', async () => {
    const withRtx = await accepted(PLAY_OFFER);
    const without = await accepted(PLAY_OFFER.replace(/^a=(rtpmap:\d+ rtx.*|fmtp:\d+ apt=.*)\r?\n/gm, ''));

    expect(values(withRtx.answer.sections[1]?.attributes ?? [], 'ssrc-group').join()).toMatch(/^FID \d+ \d+$/);
    expect(values(without.answer.sections[1]?.attributes ?? [], 'ssrc-group')).toEqual([]);
  });

  it('#118 setup', async () => {
    for (const [theirs, ours] of [
      ['actpass', 'passive'],
      ['active', 'passive'],
      ['passive', 'active'],
    ] as const) {
      const { answer } = await accepted(PLAY_OFFER.replaceAll('a=setup:actpass', `a=setup:${theirs}`));
      expect(answer.sections.map((section) => value(section.attributes, 'setup'))).toEqual([ours, ours]);
    }
  });

  it('#119 ids are new for each viewer and not the publisher’s', async () => {
    const [one, other] = [await accepted(PLAY_OFFER), await accepted(PLAY_OFFER)];
    const idsOf = ({ reply }: Session): string[] => reply.body.match(/(?<=a=ssrc:)\d+|(?<=a=msid:)\S+/g) ?? [];

    expect(idsOf(one).length).toBeGreaterThan(3);
    expect(idsOf(one).filter((id) => idsOf(other).includes(id))).toEqual([]);
    for (const id of idsOf(one)) expect(publisher().offer).not.toContain(id);
  });

  it('#117 answers with what the publisher sends, whatever the viewer prefers', async () => {
    for (const [from, codec] of [
      ['obs32-publish', 'h264/90000'],
      ['gstreamer128-publish-vp8', 'vp8/90000'],
    ] as const) {
      const { answer } = await accepted(PLAY_OFFER, publisher(from).room);
      expect(codecOf(answer, 'video')).toBe(codec);
    }
  });
});

describe('what cannot be taken', () => {
  it.each(['sendonly', 'inactive'])('#113 %s', async (direction) => {
    await refused(PLAY_OFFER.replaceAll('a=recvonly', `a=${direction}`), [400, 422]);
    await refused(PLAY_OFFER.replace('a=recvonly', `a=${direction}`), [400, 422]);
  });

  it('#111 no codec of the publisher’s: an error, never black video', async () => {
    await refused(PLAY_OFFER.replaceAll(/ H264\/90000/g, ' X264/90000'), 422);
    await refused(PLAY_OFFER.replaceAll(/ opus\/48000\/2/gi, ' speex/16000'), 422);
  });

  it('#17 refusals are never 406', async () => {
    const faulty = ['', 'v=0', PLAY_OFFER.replaceAll('recvonly', 'inactive'), PLAY_OFFER.replaceAll('H264', 'X')];
    for (const offer of faulty) {
      const reply = await call(`/webrtc/whep?streamid=${publisher().room}`, post(offer));
      expectProblem(reply, [400, 422]);
    }
  });

  it.each([
    ['two m-lines without a group', /^a=group:BUNDLE.*\r?\n/m, ''],
    ['no rtcp-mux', /^a=rtcp-mux\r?\n/gm, ''],
    ['no ice-ufrag', /^a=ice-ufrag:.*\r?\n/gm, ''],
    ['no fingerprint', /^a=fingerprint:.*\r?\n/gm, ''],
    ['setup:holdconn', /^a=setup:.*$/gm, 'a=setup:holdconn'],
    ['only data', /^m=(audio|video) \d+/gm, 'm=$1 0'],
    ['ice-lite', /^t=0 0/m, 't=0 0\r\na=ice-lite'],
  ])('#115 %s', async (_name, pattern, replacement) => {
    await refused(PLAY_OFFER.replace(pattern, replacement), [400, 422]);
  });
});
