/** The helpers by themselves, against the running system: each does what its name says. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { publishWithFfmpeg } from './ffmpeg-whip.ts';
import { startVestibule, type Vestibule } from './start-vestibule.ts';
import { UdpProxy } from './udp-proxy.ts';
import { playWithWrtc, publishWithWrtc } from './wrtc-peer.ts';

let vestibule: Vestibule;
const publish = (room: string): string => `${vestibule.url}/api/whip/publish/${room}`;
const play = (room: string): string => `${vestibule.url}/api/whep/play/${room}`;

beforeAll(async () => {
  vestibule = await startVestibule();
});
afterAll(async () => {
  await vestibule?.stop();
});

test('the processes of a started system are who they are said to be', () => {
  const commandLine = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  expect(commandLine(vestibule.pid)).toContain('edge/local/start.ts');
  expect(commandLine(vestibule.workerdPid)).toContain('workerd');
  expect(commandLine(vestibule.node.pid)).toContain('media-node/main.ts');
});

test.each(['passive', 'active'] as const)('FFmpeg publishes with DTLS %s and leaves with a DELETE', async (dtls) => {
  await using publisher = await publishWithFfmpeg({ url: publish(`ffmpeg-${dtls}`), dtls });
  await using viewer = await playWithWrtc({ url: play(`ffmpeg-${dtls}`), kinds: ['audio'] });
  await viewer.grown('packetsReceived', 50);
  expect(await publisher.stop()).toBeGreaterThan(50);
  await expect(playWithWrtc({ url: play(`ffmpeg-${dtls}`) })).rejects.toThrow('404');
});

test('FFmpeg tells why it was refused', async () => {
  const refused = publishWithFfmpeg({ url: `${vestibule.url}/api/whip/publish/not%20a%20room` });
  await expect(refused).rejects.toThrow(/HTTP error|Server returned 4/);
});

describe.each(['VP8', 'VP9'] as const)('libwebrtc with %s', (codec) => {
  test('publishes, plays, and leaves', async () => {
    await using publisher = await publishWithWrtc({ url: publish(`wrtc-${codec}`), codec });
    await using viewer = await playWithWrtc({ url: play(`wrtc-${codec}`) });
    expect(publisher.answer).toContain(`${codec}/90000`);
    await viewer.grown('framesDecoded', 20);
    expect(await publisher.stop()).toBe(200);
  });
});

test('a proxy between node and viewer loses what is repaired, and a cut stops the media', async () => {
  await using proxy = await UdpProxy.open(vestibule.node.addresses[0] ?? '', 3);
  await using publisher = await publishWithWrtc({ url: publish('proxied'), codec: 'VP8' });
  await using viewer = await playWithWrtc({ url: play('proxied'), rewriteAnswer: (sdp) => proxy.rewrite(sdp) });
  expect(publisher.resource).not.toBe(viewer.resource);
  proxy.impair({ lossRate: 0.05 });
  await viewer.grown('framesDecoded', 60);
  expect(proxy.down.dropped).toBeGreaterThan(0);
  expect((await viewer.counters()).nackCount).toBeGreaterThan(0);

  proxy.impair({ cut: true });
  const receivedOfFifty = async (): Promise<number> => {
    const before = await viewer.counters();
    await publisher.grown('packetsSent', 50);
    return (await viewer.counters()).packetsReceived - before.packetsReceived;
  };
  // What had arrived before the cut may be counted a moment later.
  await expect.poll(receivedOfFifty).toBe(0);
});
