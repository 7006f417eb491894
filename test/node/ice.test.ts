/** Paths that change under a running session. */
import { expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { moreFrames, openBed } from './bed.ts';

test('an ICE restart of the viewer does not interrupt the stream', async () => {
  const bed = await openBed();
  await bed.publish();
  const viewer = await bed.play();
  await moreFrames(viewer, 10);
  const { session } = viewer;
  const etag = session.etag;

  await session.restartIce();
  await until(() => session.transport.ice?.nominated === true, 'the new pair');
  await moreFrames(viewer, 30);

  expect(session.etag).not.toBe(etag);
  expect(viewer.video).toMatchObject({ missing: 0, duplicates: 0 });
});

test('an ICE restart of the publisher, from another address, carries on the same stream', async () => {
  const bed = await openBed();
  const publisher = await bed.publish();
  const viewer = await bed.play();
  await moreFrames(viewer, 10);
  const { transport } = publisher.session;

  await transport.socket.rebind();
  await publisher.session.restartIce();
  await until(() => transport.ice?.nominated === true, 'the new pair');
  await moreFrames(viewer, 30);

  // What was sent from the new address before it proved itself is lost or repaired; nothing is doubled.
  await until(() => viewer.video.missing === 0, 'the repair');
  expect(viewer.video.duplicates).toBe(0);
});

test('a NAT that gives the viewer another port interrupts it for no longer than a check takes', async () => {
  const bed = await openBed();
  await bed.publish();
  const viewer = await bed.play();
  await moreFrames(viewer, 10);

  await viewer.session.transport.rebind();
  await moreFrames(viewer, 30);

  await until(() => viewer.video.missing === 0, 'the repair');
  expect(viewer.session.transport.endReason).toBeNull();
});

test('media from an address that did not prove itself is not taken', async () => {
  const bed = await openBed();
  const publisher = await bed.publish();
  const viewer = await bed.play();
  await moreFrames(viewer, 10);
  const { transport } = publisher.session;
  const answersBefore = transport.ice?.answers ?? 0;

  await transport.socket.rebind();
  const unknownBefore = bed.node.endpoint.counters.unknownAddress;
  await until(() => bed.node.endpoint.counters.unknownAddress > unknownBefore + 10, 'packets from a stranger');
  transport.ice?.check();
  await until(() => (transport.ice?.answers ?? 0) > answersBefore, 'an answer');
  await moreFrames(viewer, 30);

  expect(publisher.session.transport.endReason).toBeNull();
});
