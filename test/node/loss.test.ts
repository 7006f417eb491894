/** Lost, late and reordered datagrams between clients and a real node. */
import { expect, test } from 'vitest';
import { type Impairment, isMedia, jitter, mediaLoss, seededRandom } from '../support/client/impairment.ts';
import type { Viewer } from '../support/client/viewer.ts';
import { until } from '../support/until.ts';
import { describeVideo, moreFrames, openBed, whole } from './bed.ts';

const LOSS = 0.05;
const FRAMES = 60;
/** On the long way: enough to count in a few seconds. */
const HIGH_LOSS = 0.15;
/** One way. Viewers ask again after 100 to 120 ms: well before the answer to the first time can be there. */
const WAY_MS = 75;
/** They take longer than a report and its way. */
const FRAMES_OF_A_REPORT = 45;

/** Stops the loss, then waits until every gap is filled: what is lost last has to be asked for as well. */
async function healed(viewer: Viewer): Promise<void> {
  await until(
    () => viewer.video.missing === 0,
    () => `gaps: ${describeVideo(viewer)}`,
  );
}

test.each([
  ['RTX on both sides', true, true],
  ['no RTX with the publisher', false, true],
  ['no RTX with the viewer', true, false],
])('loss of a twentieth on every way is repaired: %s', async (_, publisherRtx, viewerRtx) => {
  const bed = await openBed();
  const publisher = await bed.publish({
    rtx: publisherRtx,
    impair: { outgoing: mediaLoss(LOSS, 1), incoming: mediaLoss(LOSS, 2) },
  });
  const viewer = await bed.play({
    rtx: viewerRtx,
    impair: { outgoing: mediaLoss(LOSS, 3), incoming: mediaLoss(LOSS, 4) },
  });

  await moreFrames(viewer, FRAMES);
  publisher.session.transport.socket.impair = {};
  viewer.session.transport.socket.impair = {};
  await moreFrames(viewer, 5);
  await healed(viewer);

  expect(publisher.retransmitted).toBeGreaterThan(0);
  expect(viewer.nacksSent).toBeGreaterThan(0);
  expect(viewer.video.recovered > 0).toBe(viewerRtx);
  // Every frame of the publisher came, once.
  const numbers = viewer.video.frames.map(({ number }) => number).toSorted((a, b) => a - b);
  expect(numbers).toEqual(numbers.map((_value, index) => (numbers[0] ?? 0) + index));
});

test('a viewer that asks for nothing gets the stream as it is', async () => {
  const bed = await openBed();
  const publisher = await bed.publish();
  const viewer = await bed.play({ nack: false, impair: { incoming: mediaLoss(LOSS, 5) } });

  await moreFrames(viewer, 60);

  expect(viewer.video.missing).toBeGreaterThan(0);
  expect(viewer.video.recovered).toBe(0);
  expect(publisher.nacksReceived).toBe(0);
});

test('packets that overtake each other are neither lost nor doubled', async () => {
  const bed = await openBed();
  await bed.publish({ impair: { outgoing: jitter(0, 8, 6) } });
  const viewer = await bed.play({ impair: { incoming: jitter(0, 8, 7) } });

  await moreFrames(viewer, 60);
  await healed(viewer);

  expect(viewer.video.keyframes).toBeGreaterThan(0);
});

test('a viewer on a long way gets its lost packets once each, not once for each time it asks', async () => {
  const bed = await openBed();
  await bed.publish();
  const viewer = await bed.play({ impair: { outgoing: () => WAY_MS, incoming: () => WAY_MS } });
  await knowsTheWay(viewer);

  viewer.session.transport.socket.impair = { outgoing: () => WAY_MS, incoming: delayedLoss(WAY_MS, HIGH_LOSS, 8) };
  await moreFrames(viewer, FRAMES);
  viewer.session.transport.socket.impair = { outgoing: () => WAY_MS, incoming: () => WAY_MS };
  await moreFrames(viewer, 10);
  await healed(viewer);

  expect(viewer.video.recovered).toBeGreaterThan(10);
  // One for each or more when each asking is answered; a machine that stands still now and then makes some.
  expect(viewer.video.duplicates).toBeLessThan(0.8 * viewer.video.recovered);
});

test('datagrams that come twice are forwarded once', async () => {
  const bed = await openBed();
  const publisher = await bed.publish();
  const viewer = await bed.play();
  const { socket } = publisher.session.transport;
  socket.impair = { outgoing: sendTwice((copy) => socket.send(copy)) };

  await moreFrames(viewer, 30);

  expect(viewer.video).toMatchObject({ ...whole(), duplicates: 0 });
});

/** The node learns the round trip from the first report of the viewer (one a second) that follows one of its own. */
async function knowsTheWay(viewer: Viewer): Promise<void> {
  await until(() => viewer.video.reports.length > 0, 'no report of the node');
  await moreFrames(viewer, FRAMES_OF_A_REPORT);
}

function delayedLoss(delayMs: number, share: number, seed: number): Impairment {
  const random = seededRandom(seed);
  return (datagram) => (isMedia(datagram) && random() < share ? 'drop' : delayMs);
}

/** Sends a copy of each datagram before it. */
function sendTwice(send: (copy: Buffer) => void): Impairment {
  let repeating = false;
  return (datagram) => {
    if (!repeating) {
      repeating = true;
      send(Buffer.from(datagram));
      repeating = false;
    }
    return 0;
  };
}
