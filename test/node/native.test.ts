/** The node with its native engine: what leaves without passing through JavaScript reaches viewers all the same. */
import { expect, test } from 'vitest';
import { loadAddon } from '../../media-node/forward/native/addon.ts';
import { NativeEngine } from '../../media-node/forward/native/native-engine.ts';
import { mediaLoss } from '../support/client/impairment.ts';
import { until } from '../support/until.ts';
import { type Bed, describeVideo, moreFrames, openBed, whole } from './bed.ts';

const LOSS = 0.05;
const addon = await loadAddon();

async function openNativeBed(): Promise<{ bed: Bed; engine: NativeEngine }> {
  const engine = new NativeEngine(addon);
  return { bed: await openBed({ engine }), engine };
}

test('viewers of both protections get every frame, by few system calls', async () => {
  const { bed, engine } = await openNativeBed();
  await bed.publish();
  const viewers = await Promise.all([
    bed.play({ srtpProfiles: ['AEAD_AES_128_GCM'] }),
    bed.play({ srtpProfiles: ['AES_CM_128_HMAC_SHA1_80'] }),
    bed.play({ rtx: false }),
  ]);
  await Promise.all(viewers.map((viewer) => moreFrames(viewer, 45)));
  for (const viewer of viewers) {
    expect(viewer.video).toMatchObject({ ...whole(), duplicates: 0, timestampRegressions: 0, firstIsKeyframe: true });
    expect(viewer.session.transport.rejected).toBe(0);
  }
  expect(engine.counters.failed).toBe(0);
  expect(engine.counters.packets).toBe(bed.node.forwarder.counters.packetsOut);
  expect(engine.sending.systemCalls).toBeGreaterThan(0);
  expect(engine.sending.systemCalls).toBeLessThan(engine.counters.packets / 2);
});

test('loss of a twentieth on every way is repaired', async () => {
  const { bed } = await openNativeBed();
  const publisher = await bed.publish({ impair: { outgoing: mediaLoss(LOSS, 1), incoming: mediaLoss(LOSS, 2) } });
  const viewer = await bed.play({ impair: { outgoing: mediaLoss(LOSS, 3), incoming: mediaLoss(LOSS, 4) } });
  await moreFrames(viewer, 60);
  publisher.session.transport.socket.impair = {};
  viewer.session.transport.socket.impair = {};
  await moreFrames(viewer, 5);
  await until(
    () => viewer.video.missing === 0,
    () => `gaps: ${describeVideo(viewer)}`,
  );
  expect(viewer.video.recovered).toBeGreaterThan(0);
});

test('packets follow a viewer to another port and through an ICE restart', async () => {
  const { bed, engine } = await openNativeBed();
  await bed.publish();
  const viewer = await bed.play();
  await moreFrames(viewer, 10);
  await viewer.session.transport.rebind();
  await moreFrames(viewer, 20);
  await viewer.session.restartIce();
  await until(() => viewer.session.transport.ice?.nominated === true, 'the new pair');
  await moreFrames(viewer, 20);
  await until(() => viewer.video.missing === 0, 'the repair');
  expect(engine.sending.systemCalls).toBeGreaterThan(0);
});
