import { expect, test } from 'vitest';
import { launchChromium } from './chromium.ts';

/** Runs in the page; a string, because the tests are compiled without the browser's globals. */
const LOOPBACK_CALL = `(async () => {
  const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
  const [sender, receiver] = [new RTCPeerConnection(), new RTCPeerConnection()];
  const addresses = [];
  sender.onicecandidate = ({ candidate }) => {
    if (candidate?.address) addresses.push(candidate.address);
    if (candidate) receiver.addIceCandidate(candidate);
  };
  receiver.onicecandidate = ({ candidate }) => candidate && sender.addIceCandidate(candidate);
  for (const track of stream.getTracks()) sender.addTrack(track, stream);
  await sender.setLocalDescription();
  await receiver.setRemoteDescription(sender.localDescription);
  await receiver.setLocalDescription();
  await sender.setRemoteDescription(receiver.localDescription);
  const deadline = performance.now() + 10000;
  let framesDecoded = 0;
  while (framesDecoded < 5 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (const report of (await receiver.getStats()).values()) {
      framesDecoded = Math.max(framesDecoded, report.framesDecoded ?? 0);
    }
  }
  return { framesDecoded, addresses };
})()`;

test('two peer connections of one page exchange real video', async () => {
  await using chromium = await launchChromium();
  const page = await chromium.context.newPage();
  await page.route('http://127.0.0.1:9/', (route) =>
    route.fulfill({ contentType: 'text/html', body: '<title>t</title>' }),
  );
  await page.goto('http://127.0.0.1:9/');

  const seen = await page.evaluate<{ framesDecoded: number; addresses: string[] }>(LOOPBACK_CALL);

  expect(seen.framesDecoded).toBeGreaterThanOrEqual(5);
  expect(seen.addresses.filter((address) => address.endsWith('.local'))).toEqual([]);
});
