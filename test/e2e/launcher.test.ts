/** `npm start` from outside: how it comes up, what it survives, and that nothing of it is left when it ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freeTcpPort } from '../support/free-port.ts';
import { PROJECT_ROOT } from '../support/line-process.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { playWithWrtc, publishWithWrtc } from '../support/wrtc-peer.ts';

const GONE_WITHIN_MS = 20_000;
/** The old node is known lost after some seconds, and each try starts a publisher. */
const REPLACED_WITHIN_MS = 40_000;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function processesOf(vestibule: Vestibule): number[] {
  return [vestibule.pid, vestibule.workerdPid, vestibule.node.pid];
}

async function expectPortFree(port: number): Promise<void> {
  const server = createServer().listen({ port, host: '127.0.0.1', exclusive: true });
  await once(server, 'listening');
  server.close();
  await once(server, 'close');
}

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s ends everything and frees the port', async (signal) => {
  await using vestibule = await startVestibule();
  const pids = processesOf(vestibule);
  expect((await fetch(`${vestibule.url}/readyz`)).status).toBe(200);
  vestibule.signal(signal);
  await vestibule.whenEnded();
  expect(vestibule.outcome).toBe('exit code 0');
  expect(pids.filter(isAlive)).toEqual([]);
  await expectPortFree(Number(new URL(vestibule.url).port));
});

test('a launcher that is killed takes its children with it, and the same state starts again', async () => {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'vestibule-state-'));
  const PORT = String(await freeTcpPort());
  try {
    const first = await startVestibule({ stateDirectory, env: { PORT } });
    const pids = processesOf(first);
    process.kill(first.pid, 'SIGKILL');
    await first.whenEnded();
    await expect.poll(() => pids.filter(isAlive), { timeout: GONE_WITHIN_MS }).toEqual([]);
    await using second = await startVestibule({ stateDirectory, env: { PORT } });
    expect(new URL(second.url).port).toBe(PORT);
  } finally {
    await rm(stateDirectory, { recursive: true, force: true });
  }
});

test('a second edge on the same state is refused', async () => {
  await using vestibule = await startVestibule();
  const second = startVestibule({ stateDirectory: vestibule.stateDirectory });
  await expect(second).rejects.toThrow(`Vestibule already runs on ${vestibule.stateDirectory}`);
});

test('a port in use is an error that names port and variable', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const PORT = String(typeof address === 'object' ? address?.port : 0);
  await expect(startVestibule({ env: { PORT } })).rejects.toThrow(`TCP port ${PORT} on 127.0.0.1 is in use`);
  server.close();
});

test('media goes on while workerd is killed, and the session URLs still work afterwards', async () => {
  await using vestibule = await startVestibule();
  await using publisher = await publishWithWrtc({ url: `${vestibule.url}/api/whip/publish/live`, codec: 'VP8' });
  await using viewer = await playWithWrtc({ url: `${vestibule.url}/api/whep/play/live` });
  await viewer.grown('framesDecoded', 5);
  const { pid } = vestibule.node;
  const restarted = vestibule.killWorkerd();
  await viewer.grown('framesDecoded', 30);
  await restarted;
  await expect.poll(async () => (await fetch(`${vestibule.url}/readyz`)).status).toBe(200);
  expect(vestibule.node.pid).toBe(pid);
  expect((await fetch(viewer.resource, { method: 'DELETE' })).status).toBe(200);
  expect((await fetch(publisher.resource, { method: 'DELETE' })).status).toBe(200);
});

test('a killed media node is replaced and takes a new publisher', async () => {
  await using vestibule = await startVestibule();
  const url = `${vestibule.url}/api/whip/publish/live`;
  await using lost = await publishWithWrtc({ url, codec: 'VP8' });
  await vestibule.killNode();
  lost.kill();
  const deadline = performance.now() + REPLACED_WITHIN_MS;
  let again = await publishWithWrtc({ url, codec: 'VP8' }).catch(() => null);
  while (again === null && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    again = await publishWithWrtc({ url, codec: 'VP8' }).catch(() => null);
  }
  expect(again).not.toBeNull();
  expect(await again?.stop()).toBe(200);
});

test('secrets are kept for the owner only', async () => {
  await using vestibule = await startVestibule();
  expect((await stat(join(vestibule.stateDirectory, 'secrets.json'))).mode & 0o777).toBe(0o600);
});

test('what a person sees has everything to paste', async () => {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'vestibule-state-'));
  const child = spawn(process.execPath, ['edge/local/start.ts'], {
    cwd: PROJECT_ROOT,
    env: { ...process.env, PORT: '0', MEDIA_PORT: '0', VESTIBULE_STATE: stateDirectory, VESTIBULE_READY: '' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    let text = '';
    for await (const chunk of child.stdout) {
      text += chunk;
      if (text.includes('Ctrl-C stops everything.')) break;
    }
    const { version } = JSON.parse(await readFile(join(PROJECT_ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(text).toContain(`Vestibule ${version}`);
    const base = /Rooms +(http:\/\/127\.0\.0\.1:\d+)\/\n/.exec(text)?.[1];
    expect(text).toContain(`Server        ${base}/api/whip/publish/live`);
    expect(text).toMatch(/Media +UDP .*127\.0\.0\.1:\d+.* \(node local, (portable|native) fan-out\)/);
    for (const path of ['/', '/web/publisher.html?room=live', '/web/player.html?room=live']) {
      expect(text).toContain(`${base}${path}`);
      expect((await fetch(`${base}${path}`)).headers.get('content-type')).toContain('text/html');
    }
  } finally {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
    await rm(stateDirectory, { recursive: true, force: true });
  }
});
