/** Acceptance 5 and 6: everybody is offered the tracks of the others as they come, and sees them go. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { observe } from '../e2e/support/until.ts';
import { LobbyMember, type MemberOptions } from '../support/lobby/lobby-member.ts';
import { LobbyServer, type StreamPath } from '../support/lobby/lobby-server.ts';
import { tracksOf } from '../support/lobby/sections.ts';

/** From its answer to a picture on its screen. */
const PICTURE_MS = 5_000;

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

function twice(...infos: string[]): string[] {
  return infos.flatMap((info) => [info, info]);
}

test('a newcomer is offered to all others, with a picture at once, and gets all that was there', async () => {
  const stream = await server.stream();
  const [u1, u2] = await Promise.all([
    join(stream, 'u1', { info: '2 2 Main' }),
    join(stream, 'u2', { info: '1 2 Guest' }),
  ]);
  await Promise.all([u1.hears(twice('1 2 Guest')), u2.hears(twice('2 2 Main'))]);
  const before = [u1, u2].map(({ number }) => number);
  expect(u1.offers[0]?.number).toBe(1);

  const u3 = await join(stream, 'u3', { info: '1 2 Cam' });
  await Promise.all([
    u1.hears(twice('1 2 Guest', '1 2 Cam')),
    u2.hears(twice('2 2 Main', '1 2 Cam')),
    u3.hears(twice('2 2 Main', '1 2 Guest')),
  ]);

  for (const [at, member] of [u1, u2].entries()) {
    expect(member.number).toBe((before[at] ?? 0) + 1);
    expect(member.odd).toEqual([]);
    const camera = member.tracks.filter(({ info }) => info === '1 2 Cam');
    expect(camera.map(({ kind }) => kind).toSorted()).toEqual(['audio', 'video']);
    const own = tracksOf(u3.sent).flatMap(({ msid }) => (msid ?? '').split(' '));
    for (const { msid } of camera) {
      expect(msid).toMatch(/^\S+ \S+$/);
      for (const id of (msid ?? '').split(' ')) expect(own).not.toContain(id);
    }
    // The two belong together.
    expect(new Set(camera.map(({ msid }) => msid?.split(' ')[0])).size).toBe(1);
  }
  const startedAt = performance.now();
  await Promise.all([u1.plays(3), u2.plays(3), u3.plays(3)]);
  expect(performance.now() - startedAt).toBeLessThan(PICTURE_MS);
  // Ids of messages are not used twice.
  const ids = u1.offers.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
});

test('who leaves is taken out of every offer; what remains keeps its place and its picture', async () => {
  const stream = await server.stream();
  const [u1, u2, u3] = await Promise.all([
    join(stream, 'u1', { info: '2 2 Main' }),
    join(stream, 'u2', { info: '1 2 Guest' }),
    join(stream, 'u3', { info: '1 2 Cam' }),
  ]);
  await Promise.all([u1.hears(twice('1 2 Guest', '1 2 Cam')), u2.hears(twice('2 2 Main', '1 2 Cam'))]);
  const before = { number: u1.number, sections: u1.sections };

  expect((await u3.leave()).status).toBe(200);
  await Promise.all([u1.hears(twice('1 2 Guest')), u2.hears(twice('2 2 Main'))]);

  expect(u1.number).toBe(before.number + 1);
  expect(u1.sections.map(({ mid, kind }) => [mid, kind])).toEqual(before.sections.map(({ mid, kind }) => [mid, kind]));
  const gone = before.sections.filter(({ info }) => info === '1 2 Cam').map(({ mid }) => mid);
  expect(u1.sections.filter(({ mid }) => gone.includes(mid)).map(({ direction }) => direction)).toEqual(
    twice('inactive'),
  );
  const counts = await u1.received();
  await observe(300);
  const later = await u1.received();
  for (const mid of gone) expect(later.get(mid)?.packets).toBe(counts.get(mid)?.packets);
  await Promise.all([u1.plays(), u2.plays()]);

  // The sections are used again for whoever comes next.
  await join(stream, 'u4', { info: '1 2 Next' });
  await u1.hears(twice('1 2 Guest', '1 2 Next'));
  expect(u1.sections.map(({ mid }) => mid)).toEqual(before.sections.map(({ mid }) => mid));
  await u1.plays();
});

test('changes while an offer is unanswered are in the next one, and nothing is lost', async () => {
  const stream = await server.stream();
  const u1 = await join(stream, 'u1', { sends: 'nothing' });
  u1.answering = false;
  const u2 = await join(stream, 'u2', { info: '1 2 Second' });
  const first = await u1.offer(1);
  const u3 = await join(stream, 'u3', { info: '1 2 Third' });
  const u4 = await join(stream, 'u4', { info: '1 2 Fourth' });
  await u4.hears(twice('1 2 Second', '1 2 Third'));
  expect((await u3.leave()).status).toBe(200);
  await u4.hears(twice('1 2 Second'));
  expect(u1.offers.map(({ number }) => number)).toEqual([1]);

  u1.answering = true;
  u1.say(await u1.answerTo(first));
  await u1.hears(twice('1 2 Second', '1 2 Fourth'));

  expect(u1.number).toBe(2);
  await u1.plays();
  expect(u2.channel.readyState).toBe('open');
});
