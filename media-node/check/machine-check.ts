/** What the machine gives a node: socket buffers, descriptors, cores, an engine, an ffmpeg. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { NodeSettings } from '../config.ts';
import { openFanoutEngine, WAITS } from '../forward/open-engine.ts';
import { findFfmpeg } from '../push/ffmpeg-program.ts';
import { SOCKET_BUFFER_BYTES } from '../transport/datagram-socket.ts';
import type { Finding } from './finding.ts';

const MIB = 1024 * 1024;
/** All sessions of a node share its sockets; what is left is for the link, files, ffmpegs and their pipes. */
const FEWEST_DESCRIPTORS = 256;

/** @param onWait is told why nothing is said for a while */
export async function checkMachine(
  settings: NodeSettings,
  workers: number,
  onWait: (line: string) => void = () => {},
): Promise<Finding[]> {
  return [
    judgeBuffers(await grantedBuffers(), SOCKET_BUFFER_BYTES),
    judgeDescriptors(descriptorLimit()),
    await checkEngine(settings, onWait),
    judgeCores(workers, availableParallelism()),
    checkFfmpeg(settings),
  ];
}

export interface Buffers {
  receive: number;
  send: number;
}

/** Linux counts its own bookkeeping: it doubles what was asked, and says the double. */
async function grantedBuffers(): Promise<Buffers> {
  const socket = createSocket({
    type: 'udp4',
    recvBufferSize: SOCKET_BUFFER_BYTES,
    sendBufferSize: SOCKET_BUFFER_BYTES,
  });
  const listening = once(socket, 'listening');
  socket.bind(0, '127.0.0.1');
  await listening;
  const share = process.platform === 'linux' ? 2 : 1;
  const granted = { receive: socket.getRecvBufferSize() / share, send: socket.getSendBufferSize() / share };
  const closed = once(socket, 'close');
  socket.close();
  await closed;
  return granted;
}

export function judgeBuffers({ receive, send }: Buffers, wanted: number): Finding {
  const subject = 'UDP buffers';
  const sizes = `${(receive / MIB).toFixed(1)} MiB in, ${(send / MIB).toFixed(1)} MiB out`;
  if (receive >= wanted && send >= wanted) return { outcome: 'ok', subject, detail: sizes };
  const remedy = `sysctl -w net.core.rmem_max=${wanted} net.core.wmem_max=${wanted}`;
  const detail = `${sizes}: a keyframe for hundreds of viewers needs more, or packets are lost. As root: ${remedy}`;
  return { outcome: 'warning', subject, detail };
}

/** Null where the system does not tell. */
function descriptorLimit(): number | null {
  try {
    const line = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return line === undefined ? null : line === 'unlimited' ? Number.POSITIVE_INFINITY : Number(line);
  } catch {
    return null;
  }
}

export function judgeDescriptors(limit: number | null): Finding {
  const subject = 'descriptors';
  if (limit === null) return { outcome: 'unknown', subject, detail: 'this system does not tell how many may be open' };
  if (limit >= FEWEST_DESCRIPTORS)
    return { outcome: 'ok', subject, detail: `${limit} may be open (sessions share sockets)` };
  return { outcome: 'warning', subject, detail: `only ${limit} may be open: ulimit -n 4096, or LimitNOFILE=` };
}

async function checkEngine({ FANOUT_ENGINE }: NodeSettings, onWait: (line: string) => void): Promise<Finding> {
  const subject = 'engine';
  let why = '';
  try {
    const engine = await openFanoutEngine(FANOUT_ENGINE, (message) => {
      if (Object.values(WAITS).includes(message)) onWait(message);
      else why = message;
    });
    if (why === '') return { outcome: 'ok', subject, detail: `${engine.name}, by FANOUT_ENGINE` };
    return { outcome: engine.name === 'native' ? 'ok' : 'warning', subject, detail: why };
  } catch (error) {
    return { outcome: 'failed', subject, detail: error instanceof Error ? error.message : String(error) };
  }
}

export function judgeCores(workers: number, cores: number): Finding {
  const subject = 'cores';
  const detail = `${cores}, and ${workers === 1 ? 'one process' : `${workers} workers`} to use them`;
  if (workers <= cores) return { outcome: 'ok', subject, detail };
  return {
    outcome: 'warning',
    subject,
    detail: `${detail}: they will wait for each other; --workers auto takes one per core`,
  };
}

function checkFfmpeg({ FFMPEG_PATH }: NodeSettings): Finding {
  const subject = 'ffmpeg';
  try {
    return { outcome: 'ok', subject, detail: findFfmpeg(FFMPEG_PATH, process.env.PATH ?? '') };
  } catch {
    const where = FFMPEG_PATH === null ? 'none on PATH' : `none at ${FFMPEG_PATH}`;
    // Who named one wants it.
    return {
      outcome: FFMPEG_PATH === null ? 'unknown' : 'warning',
      subject,
      detail: `${where}: lobbies cannot go on the air from here; everything else works`,
    };
  }
}
