/** The ways a session ends, and what is left of it: nothing. */
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import { SignallingError } from '../support/client/signalling.ts';
import { lobbyOf } from '../support/node-under-test.ts';
import { until } from '../support/until.ts';
import { moreFrames, openBed } from './bed.ts';

/** Beyond what the peer's silence may last; see PEER_EXPIRY_MS. */
const EXPIRED_MS = 31_000;

test('DELETE of the viewer closes it and nobody else', async () => {
  const bed = await openBed();
  await bed.publish();
  const stays = await bed.play();
  const goes = await bed.play();
  await moreFrames(goes, 5);

  await goes.session.signalling.close();

  expect(await goes.session.transport.ended).toBe('closed');
  await moreFrames(stays, 5);
  await expect(goes.session.signalling.close()).rejects.toThrow('no such session');
  expect(bed.node.node.sessionCount).toBe(2);
});

test('DELETE of the publisher closes its viewers, and the room is empty', async () => {
  const bed = await openBed();
  const publisher = await bed.publish();
  const viewer = await bed.play();
  await moreFrames(viewer, 5);

  await publisher.close();

  expect(await viewer.session.transport.ended).toBe('closed');
  expect(bed.node.node.sessionCount).toBe(0);
  await expect(bed.play()).rejects.toThrow(
    new ProblemError(404, 'no_publisher', 'no active publisher in room').message,
  );
  expect([...bed.node.node.lobbies()]).toEqual([]);
});

test('close_notify of a viewer ends its session', async () => {
  const bed = await openBed();
  await bed.publish();
  const viewer = await bed.play();
  await moreFrames(viewer, 5);

  await viewer.leave();

  await until(() => bed.node.node.sessionCount === 1, 'the session to be gone');
  expect(bed.node.endpoint.transportCount).toBe(1);
});

test('clients that fall silent are reported, then forgotten', async () => {
  const bed = await openBed();
  const signalling = bed.node.publishing('main');
  const publisher = await bed.publish({ signalling });
  const viewer = await bed.play();
  await moreFrames(viewer, 5);

  await Promise.all([publisher.abandon(), viewer.abandon()]);
  const silentMs = performance.now();
  bed.node.endpoint.tick(silentMs + 7_000);
  expect(bed.node.node.hello().ingress[0]?.state).toBe('silent');
  bed.node.endpoint.tick(silentMs + EXPIRED_MS);

  expect(bed.node.node.sessionCount).toBe(0);
  expect(bed.node.endpoint.transportCount).toBe(0);
  await until(() => bed.node.lastReportOf(signalling.session)?.reason === 'silence', 'the report');
});

test('a refused offer leaves nothing behind', async () => {
  const bed = await openBed();
  await bed.publish();

  await expect(bed.play({ video: { VP8: 96 } })).rejects.toMatchObject({ status: 422, code: 'no_common_codec' });
  await expect(bed.play({ room: 'elsewhere' })).rejects.not.toBeInstanceOf(SignallingError);

  expect(bed.node.endpoint.transportCount).toBe(1);
  expect(bed.node.node.sessionCount).toBe(1);
});

test('a newer state of the room than the request knows wins', async () => {
  const bed = await openBed();
  await bed.publish();
  const desired = { lobby: lobbyOf('main'), revision: 99, publisher: null };

  bed.node.request<'apply'>({ method: 'apply', desired });

  expect(bed.node.node.sessionCount).toBe(0);
});

test('200 rounds of publish, play and close leave no transport, session, address, timer or memory behind', async () => {
  const rounds = 200;
  const warmUpRounds = 40;
  const bed = await openBed();
  const timersBefore = timers();
  let before = 0;

  for (let round = 0; round < rounds; round++) {
    if (round === warmUpRounds) {
      before = await memoryInUse();
    }
    const room = `room-${round}`;
    const publisher = await bed.publish({ room });
    const viewer = await bed.play({ room });
    await until(() => viewer.video.packets > 0, 'a packet');
    if (round % 2 === 0) await viewer.close();
    else await viewer.leave();
    await publisher.close();
    bed.forget();
  }

  await until(() => bed.node.endpoint.transportCount === 0, 'all transports to close');
  expect(bed.node.endpoint.tableSize).toBe(0);
  expect(bed.node.node.sessionCount).toBe(0);
  expect([...bed.node.node.lobbies()]).toEqual([]);
  await until(() => timers() <= timersBefore, 'all timers to end');
  bed.node.reports.length = 0;
  const grownPerRound = ((await memoryInUse()) - before) / (rounds - warmUpRounds);
  // A leaked session would be a ring of packets at least.
  expect(grownPerRound).toBeLessThan(8 * 1024);
});

/** Timers that keep a process alive. */
function timers(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
}

/** Objects and buffers in use, bytes; what garbage holds on to is freed before. */
async function memoryInUse(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // Buffers are freed after the objects that own them.
  for (let pass = 0; pass < 3; pass++) {
    collect();
    await setImmediate();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
