/** The edge dies, and is replaced by another version, while a hundred viewers on three nodes watch: no packet is late for it. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CONTROL_PROTOCOL_VERSION } from '../../shared/protocol/control.ts';
import { freshRoom, until } from '../e2e/support/until.ts';
import { VIDEO } from '../support/client/pattern.ts';
import type { Publisher } from '../support/client/publisher.ts';
import type { Viewer } from '../support/client/viewer.ts';
import { FleetBed } from './fleet-bed.ts';
import { flowsOn, GapWatch } from './measure.ts';
import { otherVersion } from './other-version.ts';
import { NEW_YORK, PARIS, SAO_PAULO, SYDNEY } from './places.ts';

const NODES = ['new-york', 'paris', 'sydney'];
const VIEWERS_EACH = 34;
const AT_ONCE = 17;
/** One packet for each frame: it is many viewers that count here. */
const LIGHT = { ...VIDEO, packetsPerSecond: 30, bitrateBps: 100_000 };
/** A packet comes every 33 ms; the nodes share two cores with the edge that starts. That none is lost is what counts. */
const LONGEST_GAP_MS = 2_000;
const FRAMES_ON = 30;
const DEADLINE_MS = 20_000;

let bed: FleetBed;
let room: string;
let publisher: Publisher;
const viewers: Viewer[] = [];

beforeAll(async () => {
  bed = await FleetBed.open({ nodes: { 'new-york': NEW_YORK, paris: PARIS, sydney: SYDNEY } });
  room = freshRoom();
  publisher = await bed.publish(NEW_YORK, room, { video: LIGHT, audio: null });
  const places = [NEW_YORK, PARIS, SYDNEY];
  for (let round = 0; round < VIEWERS_EACH; round += AT_ONCE) {
    const batch = Array.from({ length: AT_ONCE }, () => places).flat();
    viewers.push(...(await Promise.all(batch.map((place) => bed.play(place, room, { audio: null, cheap: true })))));
  }
  await allFlow();
});
afterAll(() => bed?.close());

async function allFlow(): Promise<void> {
  await Promise.all(viewers.map((viewer) => flowsOn(viewer, FRAMES_ON, DEADLINE_MS)));
}

/** All nodes have linked with the edge that runs now and have told it all that they carry. */
async function settled(): Promise<void> {
  for (const id of NODES) {
    const mine = viewers.filter(
      (viewer) => bed.nodeOf(viewer) === id && viewer.session.transport.endReason === null,
    ).length;
    await bed.untilNode(
      id,
      `is linked with ${mine} viewers`,
      ({ linked, lobbies }) =>
        linked && lobbies.some(({ lobby, subscribers }) => lobby === `room:${room}` && subscribers === mine),
      DEADLINE_MS,
    );
  }
}

function pulls(): number[] {
  return NODES.map((id) => bed.tap.requests(id, 'relay-pull').length);
}

/** What happens to the edge: nobody notices, and afterwards everything can be changed and ended as before. */
async function unnoticed(what: string, happening: () => Promise<void>): Promise<void> {
  using gaps = new GapWatch(viewers);
  const before = pulls();
  await happening();
  await settled();
  await allFlow();
  const longestMs = Math.max(...gaps.longestMs());
  const onTheWayMs = Math.max(...gaps.longestOnTheWayMs());
  console.info(
    `${what}: longest time without a packet, of ${viewers.length} viewers: ${longestMs.toFixed(0)} ms, ` +
      `${onTheWayMs.toFixed(0)} ms without the times when this process had none (${gaps.longestStallMs.toFixed(0)} ms)`,
  );
  expect(onTheWayMs).toBeLessThan(LONGEST_GAP_MS);
  // Not a single packet is lost for it, or comes twice.
  const flaws = viewers.flatMap(({ tracks }) => tracks.map(({ missing, duplicates }) => missing + duplicates));
  expect(flaws.filter((count) => count > 0)).toEqual([]);
  expect(viewers.every(({ session }) => session.transport.endReason === null)).toBe(true);

  await publisher.session.restartIce();
  for (const viewer of viewers.slice(0, NODES.length)) await viewer.session.restartIce();
  for (const viewer of viewers.splice(0, NODES.length)) await viewer.session.signalling.close();
  const place = [NEW_YORK, PARIS, SYDNEY] as const;
  const late = await Promise.all(place.map((at) => bed.play(at, room, { audio: null, cheap: true })));
  expect(late.map((viewer) => bed.nodeOf(viewer))).toEqual(NODES);
  viewers.push(...late);
  await allFlow();
  // The relays are the ones that were there.
  expect(pulls()).toEqual(before);
}

test('workerd is killed and started again', async () => {
  // On a busy machine a relay may have been tried twice until it stood.
  const [atHome, ...far] = pulls();
  expect([atHome, Math.min(...far)]).toEqual([0, 1]);
  await unnoticed('edge killed', () => bed.edge.killWorkerd());
});

test('a node of the version before serves what it gets, and is never asked to relay or drain', async () => {
  await using old = await otherVersion(CONTROL_PROTOCOL_VERSION - 1);
  // Another engine would be compiled anew in the copy.
  await bed.startNode('sao-paulo', SAO_PAULO, {
    script: join(old.directory, 'media-node/main.ts'),
    env: { FANOUT_ENGINE: 'portable' },
  });
  await bed.nodeLinked('sao-paulo');
  await bed.untilNode('sao-paulo', 'says its version', ({ protocol }) => protocol === CONTROL_PROTOCOL_VERSION - 1);
  const ownRoom = freshRoom();
  // Viewers near it get the room from elsewhere; a publisher near it is served there, and so are all who watch.
  const neighbour = await bed.play(SAO_PAULO, room, { audio: null });
  const local = await bed.publish(SAO_PAULO, ownRoom);
  const remote = await bed.play(SYDNEY, ownRoom);

  await Promise.all([neighbour, remote].map((viewer) => flowsOn(viewer)));
  expect(NODES).toContain(bed.nodeOf(neighbour));
  expect([bed.nodeOf(local), bed.nodeOf(remote)]).toEqual(['sao-paulo', 'sao-paulo']);
  expect((await bed.drain('sao-paulo')).status).toBe(501);
  for (const method of ['relay-offer', 'relay-pull', 'drain'] as const) {
    expect(bed.tap.requests('sao-paulo', method)).toEqual([]);
  }
  await Promise.all([neighbour, remote, local].map((client) => client.close()));
  await bed.node('sao-paulo').close();
});

test('the edge is replaced by a build of the next protocol version', async () => {
  await using next = await otherVersion(CONTROL_PROTOCOL_VERSION + 1);
  await unnoticed('edge of the next version', () => bed.replaceEdge(next.directory));
  // Both ends speak the older one's version.
  const welcomes = bed.tap.frames('paris').flatMap(({ frame }) => (frame.type === 'welcome' ? [frame.protocol] : []));
  expect(welcomes.at(-1)).toBe(CONTROL_PROTOCOL_VERSION);
  await until('the edge answers', async () => (await fetch(`${bed.url}/readyz`)).ok);
});
