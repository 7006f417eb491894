/**
 * A media node. Reads its settings from the environment, opens its UDP port, dials the edge and does as it is told.
 *
 * Standard output carries one JSON line when the port is open (`{"event":"ready",…}`) and one when the edge has welcomed
 * the node (`{"event":"linked"}`), for whoever supervises it; everything for people goes to standard error.
 */
import { readFileSync } from 'node:fs';
import { mintBootId } from '../shared/ids.ts';
import { readNodeSettings } from './config.ts';
import { ControlLink } from './control/link.ts';
import { FaultLog } from './fault-log.ts';
import { createForwarder } from './forward/forwarder.ts';
import { openFanoutEngine } from './forward/open-engine.ts';
import { AddressPolicy } from './push/address-policy.ts';
import { findFfmpeg } from './push/ffmpeg-program.ts';
import { MediaNode } from './session/media-node.ts';
import { LoadMeter } from './stats/load-meter.ts';
import { openMediaEndpoint } from './transport/udp-endpoint.ts';

/** Reports, retransmissions and catching-up viewers are driven this often. */
const TICK_MS = 10;

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

async function main(): Promise<void> {
  const settings = readNodeSettings(process.env);
  const log = (message: string): void => console.error(`[node ${settings.NODE_ID}] ${message}`);
  const engine = await openFanoutEngine(settings.FANOUT_ENGINE, log);
  const onFault = new FaultLog(log).note;
  const endpoint = await openMediaEndpoint({
    addresses: settings.MEDIA_ADDRESSES,
    port: settings.MEDIA_PORT,
    onFault,
  });
  const forwarder = createForwarder(
    { keyframeCache: settings.KEYFRAME_CACHE, keyframeCacheBytes: settings.KEYFRAME_CACHE_BYTES },
    { engine, onFault },
  );
  const now = (): number => performance.now();
  const tick = setInterval(() => forwarder.tick(now()), TICK_MS);

  let linked = false;
  let link: ControlLink | null = null;
  const node = new MediaNode({
    context: { endpoint, forwarder, now, log },
    pushing: {
      policy: new AddressPolicy(settings.LIVE_ALLOWED_HOSTS),
      ffmpeg: () => findFfmpeg(settings.FFMPEG_PATH, process.env.PATH ?? ''),
    },
    node: settings.NODE_ID,
    boot: mintBootId(),
    version,
    region: settings.NODE_REGION,
    capacity: settings.NODE_CAPACITY,
    load: new LoadMeter(() => {
      const { user, system } = process.cpuUsage();
      const { packetsIn, packetsOut } = forwarder.counters;
      return { nowMs: now(), cpuUs: user + system, packets: packetsIn + packetsOut };
    }),
    report: (report) => link?.report(report) ?? false,
  });
  link = new ControlLink({
    edgeUrl: settings.EDGE_URL,
    token: settings.NODE_TOKEN,
    node: settings.NODE_ID,
    log,
    handler: {
      hello: () => node.hello(),
      request: (request) => node.request(request),
      welcome: (welcome) => {
        node.welcome(welcome);
        if (!linked) announce({ event: 'linked' });
        linked = true;
      },
    },
  });
  announce({
    event: 'ready',
    node: settings.NODE_ID,
    addresses: node.hello().addresses,
    engine: forwarder.engine,
    version,
  });

  const stop = async (): Promise<void> => {
    process.removeAllListeners('SIGTERM').removeAllListeners('SIGINT');
    link?.close();
    await node.close();
    clearInterval(tick);
    forwarder.close();
    await endpoint.close();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

function announce(event: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
