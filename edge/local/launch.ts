/**
 * What `npm start` and `npm run edge` share: settings, the state directory, the edge, perhaps a media node beside it, and
 * an orderly end whatever happens.
 */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { Announcer } from './announcer.ts';
import { type LauncherArguments, launcherHelp, parseLauncherArguments } from './arguments.ts';
import { buildWeb, endBundler } from './bundle.ts';
import { openDemo, wantsDemo } from './demo.ts';
import { EmbeddedEdge } from './embedded-edge.ts';
import { Keeper } from './keeper.ts';
import { MediaNodeProcess } from './media-node-process.ts';
import { requireTcpPort, requireUdpPort } from './port.ts';
import { PROJECT_ROOT } from './project.ts';
import { RunRecord } from './run-record.ts';
import { keptSecrets, SECRETS_FILE, type Secrets } from './secrets.ts';
import { loadSettings, mediaBindAddresses, mediaPorts, type Settings, stateDirectory } from './settings.ts';
import { Shutdown } from './shutdown.ts';

/** In the state directory. */
const ASSETS_DIRECTORY = 'assets';
const MEDIA_NODE_SCRIPT = 'media-node/main.ts';
/** Part of this process's command line. */
const LAUNCHER = 'edge/local/';

/** Starts everything, prints where it is, and returns; the process then lives until a signal ends it. */
export async function launch(parts: { mediaNode: boolean }): Promise<void> {
  let wishes: LauncherArguments;
  try {
    wishes = parseLauncherArguments(process.argv.slice(2), parts);
  } catch (error) {
    logLine(`Error: ${error instanceof Error ? error.message : String(error)} (--help says what there is)`);
    process.exitCode = 1;
    return;
  }
  if (wishes.help) {
    process.stdout.write(launcherHelp(parts));
    return;
  }
  const cleanups: (() => Promise<void> | void)[] = [];
  const keeper = new Keeper();
  const shutdown = new Shutdown({
    close: async () => {
      for (const cleanup of cleanups.toReversed()) await cleanup();
      keeper.close();
    },
    force: () => keeper.killAll(),
    log: logLine,
  });
  try {
    const workers = wishes.workers === null ? {} : { NODE_WORKERS: wishes.workers };
    const settings = loadSettings(PROJECT_ROOT, { ...process.env, ...workers });
    const { launcher, environment, warnings } = settings;
    for (const warning of warnings) logLine(`Warning: ${warning}`);
    const state = stateDirectory(PROJECT_ROOT, settings);
    const record = await RunRecord.take(state, LAUNCHER, (left) =>
      logLine(`Ending what an earlier run left behind (process ${left.pid})`),
    );
    cleanups.push(() => record.release());
    const watch = (child: ChildProcess, command: string): void => {
      const { pid } = child;
      if (pid === undefined) return;
      keeper.guard(child);
      record.add({ pid, command });
      child.once('exit', () => record.remove(pid));
    };
    await requirePorts(settings, parts.mediaNode);

    const announcer = new Announcer(
      settings,
      settings.edgeVariables.NODE_TOKEN === undefined ? join(state, SECRETS_FILE) : null,
    );
    const variables = { ...keptSecrets(state), ...settings.edgeVariables };
    // Beside the state, so that two edges of one checkout do not change each other's pages.
    const assets = join(state, ASSETS_DIRECTORY);
    await buildWeb(PROJECT_ROOT, assets);
    const edge = await EmbeddedEdge.start({
      root: PROJECT_ROOT,
      host: launcher.HOST,
      port: launcher.PORT,
      stateDirectory: state,
      assetsDirectory: assets,
      variables,
      onLog: logLine,
      onProcess: (child) => {
        watch(child, 'workerd');
        announcer.workerdStarted(child.pid);
      },
    });
    cleanups.push(() => edge.close());
    await endBundler();
    if (shutdown.begun) return;
    announcer.edgeReady(edge.url);
    if (wantsDemo(settings)) await announceDemo(settings, edge.url, variables, announcer);
    if (!parts.mediaNode) {
      announcer.announce();
      return;
    }
    const node = new MediaNodeProcess({
      script: [MEDIA_NODE_SCRIPT],
      directory: PROJECT_ROOT,
      environment: { ...environment, ...nodeVariables(settings, edge.url, variables.NODE_TOKEN) },
      onLog: logLine,
      onProcess: (child) => watch(child, MEDIA_NODE_SCRIPT),
      onReady: (ready) => announcer.nodeReady(ready, node.pid),
      onLinked: () => announcer.nodeLinked(),
      onWorker: (worker) => announcer.workerReplaced(worker),
    });
    cleanups.push(() => node.stop());
    await node.ready;
    await announcer.whenLinked();
    if (!shutdown.begun) announcer.announce();
  } catch (error) {
    await shutdown.fail(error);
  }
}

/** Lobbies can be tried at once. That this does not work is no reason not to start. */
async function announceDemo(settings: Settings, url: URL, secrets: Secrets, announcer: Announcer): Promise<void> {
  try {
    const tokens = { ...settings.edge, sessionSecret: secrets.SESSION_SECRET };
    announcer.demoOpened(await openDemo(url, secrets.ADMIN_TOKEN, tokens));
  } catch (error) {
    logLine(`Warning: there is no demo lobby: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The ports are asked first, so that the error can name the variable. */
async function requirePorts(settings: Settings, mediaNode: boolean): Promise<void> {
  await requireTcpPort('PORT', settings.launcher.HOST, settings.launcher.PORT);
  if (!mediaNode) return;
  for (const port of mediaPorts(settings)) await requireUdpPort('MEDIA_PORT', mediaBindAddresses(settings), port);
}

/** What the node beside the edge is told besides its inherited environment: it dials as a remote one would. */
function nodeVariables(settings: Settings, edgeUrl: URL, nodeToken: string): Record<string, string> {
  return {
    EDGE_URL: edgeUrl.origin,
    NODE_TOKEN: nodeToken,
    NODE_ID: settings.launcher.NODE_ID,
    MEDIA_PORT: String(settings.launcher.MEDIA_PORT),
    // With the edge gone there is nowhere to move to.
    DRAIN_TIMEOUT_MS: '0',
    NODE_WORKERS: settings.launcher.NODE_WORKERS === null ? '' : String(settings.launcher.NODE_WORKERS),
  };
}

/** stdout is for what was asked for; logs go beside it. */
function logLine(line: string): void {
  process.stderr.write(`${line}\n`);
}
