/**
 * One media node in this process: opens its UDP port, dials the edge and does as it is told.
 *
 * Standard output carries one JSON line when the port is open (`{"event":"ready",…}`), one when the edge has welcomed the
 * node (`{"event":"linked"}`) and one when it begins to drain (`{"event":"draining"}`), for whoever supervises it;
 * everything for people goes to standard error.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { mintBootId } from '../shared/ids.ts';
import { announce } from './announce.ts';
import type { NodeSettings } from './config.ts';
import { ControlLink } from './control/link.ts';
import { FaultLog } from './fault-log.ts';
import { createForwarder } from './forward/forwarder.ts';
import { openFanoutEngine } from './forward/open-engine.ts';
import type { SendingStats } from './forward/types.ts';
import { ProcessEnd } from './process-end.ts';
import { AddressPolicy } from './push/address-policy.ts';
import { findFfmpeg } from './push/ffmpeg-program.ts';
import { Recordings } from './record/recordings.ts';
import { MediaNode } from './session/media-node.ts';
import { LoadMeter } from './stats/load-meter.ts';
import type { NodeStatus } from './status/node-status.ts';
import { StatusServer } from './status/status-server.ts';
import { answerSupervisor } from './supervise/worker-channel.ts';
import { openSockets } from './transport/open-sockets.ts';
import { openMediaEndpoint } from './transport/udp-endpoint.ts';

/** Reports, retransmissions and catching-up viewers are driven this often. */
const TICK_MS = 10;
/** Saying goodbye to all peers takes milliseconds; an end that hangs is forced. */
const CLOSE_DEADLINE_MS = 5_000;
const US_PER_SECOND = 1_000_000;
const MS_PER_SECOND = 1_000;

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Resolves when the node is ready; it then lives until a signal, or the loss of its supervisor, ends the process. */
export async function runNode(settings: NodeSettings): Promise<void> {
  const log = (message: string): void => console.error(`[node ${settings.NODE_ID}] ${message}`);
  const cleanups: (() => Promise<void> | void)[] = [];
  const drained = Promise.withResolvers<void>();
  let node: MediaNode | null = null;
  // First of all: whoever started us may be gone before we are ready.
  const end = new ProcessEnd({
    close: async (reason) => {
      if (reason === 'signal' && node !== null && settings.DRAIN_TIMEOUT_MS > 0) {
        log(`leaving within ${settings.DRAIN_TIMEOUT_MS / MS_PER_SECOND} s; a second signal ends it at once`);
        node.drain(settings.DRAIN_TIMEOUT_MS);
        await drained.promise;
      }
      for (const cleanup of cleanups.toReversed()) await cleanup();
    },
    // Goodbyes leave before anything is awaited.
    force: () => void node?.close().catch(() => undefined),
    log,
    deadlineMs: settings.DRAIN_TIMEOUT_MS + CLOSE_DEADLINE_MS,
  });
  const engine = await openFanoutEngine(settings.FANOUT_ENGINE, log);
  const onFault = new FaultLog(log).note;
  const endpoint = await openMediaEndpoint({
    addresses: settings.MEDIA_ADDRESSES,
    port: settings.MEDIA_PORT,
    sockets: await openSockets(engine.name, log),
    log,
    onFault,
  });
  cleanups.push(() => endpoint.close());
  const forwarder = createForwarder(
    { keyframeCache: settings.KEYFRAME_CACHE, keyframeCacheBytes: settings.KEYFRAME_CACHE_BYTES },
    { engine, onFault },
  );
  const now = (): number => performance.now();
  const tick = setInterval(() => forwarder.tick(now()), TICK_MS);
  cleanups.push(() => {
    clearInterval(tick);
    forwarder.close();
  });

  let linked = false;
  let link: ControlLink | null = null;
  const context = { endpoint, forwarder, now, log };
  const boot = mintBootId();
  const recordings = new Recordings({
    context,
    settings: {
      folder: resolve(settings.RECORD_DIR, settings.NODE_ID),
      boot,
      node: settings.NODE_ID,
      edgeUrl: settings.EDGE_URL,
      token: settings.NODE_TOKEN,
      deleteAfterUpload: settings.DELETE_RECORDING_AFTER_UPLOAD,
      maxFileBytes: settings.RECORD_MAX_BYTES,
    },
  });
  const carrying = new MediaNode({
    context,
    recordings,
    pushing: {
      policy: new AddressPolicy(settings.LIVE_ALLOWED_HOSTS),
      ffmpeg: () => findFfmpeg(settings.FFMPEG_PATH, process.env.PATH ?? ''),
    },
    node: settings.NODE_ID,
    boot,
    version,
    region: settings.NODE_REGION,
    coordinates: settings.NODE_COORDINATES ?? undefined,
    capacity: settings.NODE_CAPACITY,
    packetsPerSecond: settings.NODE_PACKETS_PER_SECOND ?? undefined,
    bandwidthBps: settings.NODE_BANDWIDTH_BPS ?? undefined,
    load: new LoadMeter(() => {
      const { user, system } = process.cpuUsage();
      const { packetsIn, packetsOut, bytesOut } = forwarder.counters;
      return { nowMs: now(), cpuUs: user + system, packets: packetsIn + packetsOut, bytesOut };
    }),
    report: (report) => link?.report(report) ?? false,
    onDraining: () => announce({ event: 'draining' }, log),
    onDrained: () => {
      drained.resolve();
      end.begin('drained');
    },
  });
  node = carrying;
  recordings.recover();
  cleanups.push(() => carrying.close());
  const addresses = carrying.hello().addresses;

  const status = (): NodeStatus => {
    const { user, system } = process.cpuUsage();
    const { received, unknownType, unknownCheck, unknownAddress } = endpoint.counters;
    return {
      node: settings.NODE_ID,
      version,
      region: settings.NODE_REGION,
      engine: forwarder.engine,
      pid: process.pid,
      addresses,
      linked: link?.linked ?? false,
      uptimeSeconds: process.uptime(),
      sessions: carrying.sessionCount,
      capacity: settings.NODE_CAPACITY,
      residentBytes: process.memoryUsage.rss(),
      cpuSeconds: (user + system) / US_PER_SECOND,
      totals: {
        ...forwarder.counters,
        ...sendingTotals(forwarder.sending),
        failedSends: engine.counters.failed + endpoint.socketErrors,
        datagrams: received,
        unknownDatagrams: unknownType + unknownCheck + unknownAddress,
      },
    };
  };
  answerSupervisor(status);
  const statusServer = await openStatus(settings, status);
  cleanups.push(async () => statusServer?.close());

  const dialled = new ControlLink({
    edgeUrl: settings.EDGE_URL,
    token: settings.NODE_TOKEN,
    node: settings.NODE_ID,
    log,
    handler: {
      hello: () => carrying.hello(),
      request: (request) => carrying.request(request),
      welcome: (welcome) => {
        carrying.welcome(welcome);
        if (!linked) announce({ event: 'linked' }, log);
        linked = true;
      },
    },
  });
  link = dialled;
  cleanups.push(() => dialled.close());
  const at = statusServer === null ? {} : { status: statusServer.address };
  announce({ event: 'ready', node: settings.NODE_ID, addresses, engine: forwarder.engine, version, ...at }, log);
}

function openStatus(settings: NodeSettings, status: () => NodeStatus): Promise<StatusServer | null> {
  if (settings.NODE_STATUS_PORT === null) return Promise.resolve(null);
  const source = { statuses: async () => [status()], expected: 1 };
  return StatusServer.open(settings.NODE_STATUS_HOST, settings.NODE_STATUS_PORT, source);
}

function sendingTotals(sending: SendingStats | null): Record<string, number> {
  if (sending === null) return {};
  const { messages, segmented, systemCalls, waits, tooLate, noRoom } = sending;
  return {
    tooLateOut: tooLate,
    noRoomOut: noRoom,
    messagesOut: messages,
    segmentedOut: segmented,
    sendCalls: systemCalls,
    sendWaits: waits,
  };
}
