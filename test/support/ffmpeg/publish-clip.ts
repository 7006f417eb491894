/**
 * Publishes a clip over WHIP with FFmpeg's own muxer, in real time and round and round, until a line comes on standard
 * input. Arguments: clip, endpoint; environment: WHIP_TOKEN, WHIP_DTLS=active. Tells on standard output, as JSON lines:
 * `started` when media flows, `stopped` at the end, `failed` with the message.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Demuxer, Muxer } from 'node-av/api';
import type { Packet, Stream } from 'node-av/lib';

const [clip, endpoint] = process.argv.slice(2);
if (clip === undefined || endpoint === undefined) throw new Error('usage: publish-clip.ts CLIP ENDPOINT');

let stopping = false;
process.stdin.once('data', () => {
  stopping = true;
});
// The test process is gone.
process.stdin.once('end', () => {
  stopping = true;
});

let packets = 0;
try {
  await publish(clip, endpoint);
  tell({ event: 'stopped', packets });
} catch (error) {
  tell({ event: 'failed', message: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
}
process.stdin.destroy();

async function publish(file: string, url: string): Promise<void> {
  const token = process.env.WHIP_TOKEN;
  const active = process.env.WHIP_DTLS === 'active';
  let input = await Demuxer.open(file);
  const out = await Muxer.open(url, {
    format: 'whip',
    input,
    options: {
      ...(token === undefined ? {} : { authorization: token }),
      ...(active ? { whip_flags: 'dtls_active' } : {}),
    },
  });
  const indexes = new Map(input.streams.map((stream) => [stream.index, out.addStream(stream)]));
  let startMs = performance.now();
  let offsetSeconds = 0;
  let started = false;
  while (!stopping) {
    let endSeconds = 0;
    for await (const packet of input.packets()) {
      if (packet === null || stopping) break;
      const stream = input.streams.find((candidate) => candidate.index === packet.streamIndex);
      const index = indexes.get(packet.streamIndex);
      if (stream === undefined || index === undefined) continue;
      const atSeconds = secondsOf(packet, stream);
      endSeconds = Math.max(endSeconds, atSeconds + durationOf(packet, stream));
      shift(packet, stream, offsetSeconds);
      const waitMs = startMs + (offsetSeconds + atSeconds) * 1000 - performance.now();
      if (waitMs > 0) await delay(waitMs);
      await out.writePacket(packet, index);
      packets += 1;
      if (!started) {
        // The first packet is only through when the handshake is; the clock of the rest starts here.
        started = true;
        startMs = performance.now();
        tell({ event: 'started' });
      }
    }
    offsetSeconds += endSeconds;
    await input.close();
    if (!stopping) input = await Demuxer.open(file);
  }
  // Sends the DELETE.
  await out.close();
}

function secondsOf(packet: Packet, stream: Stream): number {
  return (Number(packet.dts) * stream.timeBase.num) / stream.timeBase.den;
}

function durationOf(packet: Packet, stream: Stream): number {
  return (Number(packet.duration) * stream.timeBase.num) / stream.timeBase.den;
}

function shift(packet: Packet, stream: Stream, seconds: number): void {
  const ticks = BigInt(Math.round((seconds * stream.timeBase.den) / stream.timeBase.num));
  packet.pts += ticks;
  packet.dts += ticks;
}

function tell(event: object): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
