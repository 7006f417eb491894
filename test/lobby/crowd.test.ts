/** Twenty at once, again and again: everybody always ends with exactly the tracks of the others, and nothing stays behind. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { carriedSessions, storedRows } from '../support/left-behind.ts';
import { LobbyMember } from '../support/lobby/lobby-member.ts';
import { ADMIN_TOKEN, LobbyServer, OWNER } from '../support/lobby/lobby-server.ts';
import { seededRandom } from '../support/udp-proxy.ts';

const MEMBERS = 20;
const ROUNDS = 5;
const SEED = 20;
const AT_ONCE = 4;
const SETTLED_MS = 30_000;
/** Forty encoders and as many handshakes on two cores. */
const FORTY_MS = 90_000;
const GUESTS = Array.from({ length: MEMBERS - 1 }, (_, at) => `guest-${at}`);

let server: LobbyServer;

beforeAll(async () => {
  server = await LobbyServer.start();
});

afterAll(() => server?.stop());

const random = seededRandom(SEED);

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .toSorted((one, other) => one.at - other.at)
    .map(({ item }) => item);
}

async function settled(members: readonly LobbyMember[]): Promise<void> {
  const others = (member: LobbyMember): string[] =>
    members.filter((other) => other !== member).map(({ user }) => `1 2 ${user}`);
  await Promise.all(members.map((member) => member.hears(others(member), SETTLED_MS)));
}

test('twenty join at once and leave in any order', { timeout: 240_000 }, async () => {
  const stream = await server.stream(GUESTS);
  const rows = await storedRows(server.vestibule);
  for (let round = 0; round < ROUNDS; round += 1) {
    let present = await Promise.all(
      [OWNER, ...GUESTS].map((user) => LobbyMember.join(server, stream, user, { sends: 'quiet', info: `1 2 ${user}` })),
    );
    await settled(present);
    await Promise.all(present.map((member) => member.plays(1, SETTLED_MS)));
    while (present.length > 0) {
      // A few at a time; half of them say goodbye, the others just close.
      const leaving = shuffled(present).slice(0, 1 + Math.floor(random() * 6));
      present = present.filter((member) => !leaving.includes(member));
      await Promise.all(
        leaving.map(async (member) => {
          if (random() < 0.5) member.vanish();
          else expect((await member.leave()).status).toBe(200);
        }),
      );
      await settled(present);
    }
    // A member that closed without a word is let go as soon as its goodbye in DTLS has arrived.
    const patience = { timeout: SETTLED_MS };
    await expect.poll(() => carriedSessions(server.vestibule, ADMIN_TOKEN), patience).toBe(0);
    await expect.poll(() => storedRows(server.vestibule), patience).toBe(rows);
  }
});

test('somebody hears and sees forty: the answers are longer than 64 kB', { timeout: 240_000 }, async () => {
  const users = Array.from({ length: 40 }, (_, at) => `many-${at}`);
  const stream = await server.stream(users);
  await using looker = await LobbyMember.join(server, stream, OWNER, { sends: 'nothing' });
  const members: LobbyMember[] = [];
  onTestFinished(() => {
    for (const member of members) member.vanish();
  });
  // A few at a time: libwebrtc opens hundreds of sockets while it looks for candidates.
  for (let at = 0; at < users.length; at += AT_ONCE) {
    const entering = users
      .slice(at, at + AT_ONCE)
      .map((user) => LobbyMember.enter(server, stream, user, { info: `1 2 ${user}` }));
    members.push(...(await Promise.all(entering)));
  }

  await looker.hears(
    users.flatMap((user) => [`1 2 ${user}`, `1 2 ${user}`]),
    FORTY_MS,
  );
  await looker.plays(1, FORTY_MS);
});
