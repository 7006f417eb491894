/** Acceptance 7 and 8: odd frames on the signal channel harm nobody; mutes are told to the others. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { LobbyMember, type MemberOptions } from '../support/lobby/lobby-member.ts';
import { LobbyServer, type StreamPath } from '../support/lobby/lobby-server.ts';

const RESENT_WITHIN_MS = 10_000;

let server: LobbyServer;

beforeAll(async () => {
  server = await LobbyServer.start();
});

afterAll(() => server?.stop());

async function join(stream: StreamPath, user: string, options: MemberOptions = {}): Promise<LobbyMember> {
  const member = await LobbyMember.join(server, stream, user, options);
  onTestFinished(() => member.vanish());
  return member;
}

test('answers that are not awaited are ignored, the awaited one counts in all its spellings', async () => {
  const stream = await server.stream();
  const u1 = await join(stream, 'u1', { sends: 'nothing' });
  u1.answering = false;
  const u2 = await join(stream, 'u2', { info: '1 2 Cam' });
  const first = await u1.offer(1);
  const answer = await u1.answerTo(first);
  const { sdp } = answer.data.sdp as { sdp: string };

  u1.say({ ...answer, data: { ...answer.data, number: 0 } });
  u1.say({ ...answer, data: { ...answer.data, number: 6 } });
  u1.say({ ...answer, data: { ...answer.data, sdp: { type: 'answer', sdp: 'v=0' } } });
  // As text, with the type as text and the bare SDP.
  u1.channel.send(JSON.stringify({ id: answer.id, type: '2', data: { number: 1, sdp } }));
  u1.say(answer);
  await u1.plays();
  expect((await u2.leave()).status).toBe(200);
  const second = await u1.offer(2);
  u1.say(await u1.answerTo(second));
  await u1.hears([]);

  expect(u1.offers.map(({ number }) => number)).toEqual([1, 2]);
  expect(u1.odd).toEqual([]);
});

test('rubbish and offers of the client are ignored, and the next message works', async () => {
  const stream = await server.stream();
  const [u1, u2] = await Promise.all([
    join(stream, 'u1', { info: '2 2 Main' }),
    join(stream, 'u2', { info: '1 2 Cam' }),
  ]);
  await Promise.all([u1.hears(['1 2 Cam', '1 2 Cam']), u2.hears(['2 2 Main', '2 2 Main'])]);

  u1.channel.send('this is not JSON');
  u1.channel.send(Buffer.from([0xff, 0xfe, 0x00, 0x80]));
  for (const frame of [{}, { type: 9 }, { id: 1, type: 2, data: null }, [], 7, null]) u1.say(frame);
  u1.say({ id: 0, type: 1, data: { number: 1, sdp: { type: 'offer', sdp: u1.sent } } });
  u1.say({ id: 0, type: 3, data: { mid: 'no such mid', mute: true } });
  // As long as libwebrtc sends: the answer's max-message-size.
  u1.channel.send(Buffer.alloc(Number(/^a=max-message-size:(\d+)/m.exec(u1.created.body)?.[1]), 97));
  u1.mute('audio', true);

  await expect.poll(() => u2.mutes).toHaveLength(1);
  expect(u1.channel.readyState).toBe('open');
  await Promise.all([u1.plays(), u2.plays()]);
});

test('an offer that is not answered comes again', { timeout: 30_000 }, async () => {
  const stream = await server.stream();
  const u1 = await join(stream, 'u1', { sends: 'nothing' });
  u1.answering = false;
  await join(stream, 'u2', { info: '1 2 Cam' });
  const first = await u1.offer(1);

  await expect.poll(() => u1.offers.length, { timeout: 2 * RESENT_WITHIN_MS }).toBe(2);
  const again = u1.offers[1];

  expect(again).toMatchObject({ number: 1, sdp: first.sdp });
  expect((again?.atMs ?? 0) - first.atMs).toBeLessThanOrEqual(RESENT_WITHIN_MS);
  u1.answering = true;
  u1.say(await u1.answerTo(again ?? first));
  await u1.plays();
});

test('a mute reaches the others under their own mids, late ones too, and holds back nothing', async () => {
  const stream = await server.stream();
  const [u1, u2, u3] = await Promise.all([
    join(stream, 'u1', { info: '2 2 Main' }),
    join(stream, 'u2', { info: '1 2 Guest' }),
    join(stream, 'u3', { info: '1 2 Cam' }),
  ]);
  await Promise.all([u1, u2, u3].map((member) => expect.poll(() => member.tracks.length).toBe(4)));
  const theirMid = (member: LobbyMember): string | undefined =>
    member.tracks.find(({ info, kind }) => info === '1 2 Cam' && kind === 'video')?.mid;

  u3.mute('video', true);
  for (const member of [u1, u2]) {
    await expect.poll(() => member.mutes).toEqual([{ mid: theirMid(member), mute: true }]);
  }
  const u4 = await join(stream, 'u4', { sends: 'nothing' });
  await expect.poll(() => u4.tracks.length).toBe(6);
  expect(u4.tracks.find(({ info }) => info === '1 1 Cam')?.kind).toBe('video');
  expect(u4.tracks.filter(({ info }) => info === '1 2 Cam')).toHaveLength(1);
  await Promise.all([u1.plays(), u4.plays()]);

  u3.mute('video', false);
  for (const member of [u1, u2, u4]) {
    await expect.poll(() => member.mutes.at(-1)).toMatchObject({ mute: false });
  }
  expect(u3.mutes).toEqual([]);
  // It was muted once, for whoever was there.
  expect(u1.mutes).toHaveLength(2);
});
