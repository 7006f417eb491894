/** The recipes, as far as they can be tried without a machine to install them on. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { LineProcess } from '../../test/support/line-process.ts';
import { NODE_SETTING_NAMES, readNodeSettings } from '../config.ts';

const ROOT = new URL('../..', import.meta.url).pathname.replace(/\/$/, '');
const DEPLOY = join(ROOT, 'media-node/deploy');
const START_MS = 60_000;

const made: string[] = [];
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'vestibule-deploy-'));
  made.push(directory);
  return directory;
}

function read(name: string): string {
  return readFileSync(join(DEPLOY, name), 'utf8');
}

/** The instructions of the Dockerfile: continued lines are one, comments none. */
function instructions(): { name: string; rest: string }[] {
  return read('Dockerfile')
    .replace(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, name = '', rest = ''] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
      return { name, rest };
    });
}

function assignments(line: string, pattern: RegExp): [string, string][] {
  const [, name, value] = pattern.exec(line) ?? [];
  return name === undefined || value === undefined ? [] : [[name, value]];
}

function unit(): Map<string, string> {
  const lines = read('vestibule-node.service').split('\n');
  return new Map(lines.flatMap((line) => assignments(line, /^([A-Za-z]+)=(.*)$/)));
}

test('the image: every instruction is one, what it copies is there and not ignored, it is nobody special', () => {
  const all = instructions();
  const known = 'ARG FROM RUN WORKDIR COPY ENV VOLUME USER STOPSIGNAL HEALTHCHECK ENTRYPOINT'.split(' ');
  expect(all.filter(({ name }) => !known.includes(name))).toEqual([]);
  const copied = all
    .filter(({ name, rest }) => name === 'COPY' && !rest.startsWith('--from'))
    .flatMap(({ rest }) => rest.split(' ').slice(0, -1));
  const ignored = readFileSync(join(ROOT, '.dockerignore'), 'utf8');
  for (const path of copied) {
    expect(existsSync(join(ROOT, path)), path).toBe(true);
    expect(ignored).toContain(`\n!${path}\n`);
  }
  for (const { rest } of all.filter(({ name }) => name === 'ENTRYPOINT' || name === 'HEALTHCHECK')) {
    const [, script = ''] = JSON.parse(/\[.*\]/.exec(rest)?.[0] ?? '[]') as string[];
    expect(existsSync(join(ROOT, script)), script).toBe(true);
  }
  expect(all.findLast(({ name }) => name === 'USER')?.rest).toBe('node');
  // The release that the lock file has, not any.
  const { version } = JSON.parse(readFileSync(join(ROOT, 'node_modules/node/package.json'), 'utf8')) as {
    version: string;
  };
  expect(all[0]?.rest).toContain(`node:${version}-`);
  const environment = all.filter(({ name }) => name === 'ENV').flatMap(({ rest }) => rest.split(/\s+/));
  for (const assignment of environment) expect(NODE_SETTING_NAMES).toContain(assignment.split('=')[0]);
});

test('the example of an environment is one that a node takes', () => {
  const lines = read('node.env.example').split('\n');
  const environment = Object.fromEntries(lines.flatMap((line) => assignments(line, /^#?([A-Z_]+)=(.*)$/)));
  for (const name of Object.keys(environment)) expect(NODE_SETTING_NAMES).toContain(name);
  expect(readNodeSettings(environment)).toMatchObject({
    NODE_ID: 'paris-1',
    MEDIA_ADDRESSES: [{ bind: '10.0.0.5', announce: '203.0.113.7' }],
  });
});

test('the kernel is asked for what the node wants', () => {
  for (const name of ['rmem_max', 'wmem_max'])
    expect(read('60-vestibule-node.conf')).toContain(`net.core.${name} = ${8 * 1024 * 1024}`);
});

test.skipIf(spawnSync('systemd-analyze', ['--version']).status !== 0)('the unit is one that systemd takes', () => {
  const directory = temporary();
  const path = join(directory, 'vestibule-node.service');
  // The program need not be installed here.
  writeFileSync(path, read('vestibule-node.service').replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`));
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', path], { encoding: 'utf8' });
  const ours = stderr.split('\n').filter((line) => line.includes('vestibule-node'));
  expect({ status, ours }).toEqual({ status: 0, ours: [] });
});

test('what was drained on purpose stays away, and a reload has its workers back', () => {
  // Code 0, as of a drained node, is no failure; `always` would have it back at once.
  expect(unit().get('Restart')).toBe('on-failure');
  expect(unit().get('ExecReload')).toBe('/bin/kill -USR2 $MAINPID');
  expect(unit().has('RestartForceExitStatus')).toBe(false);
  expect(read('Dockerfile')).toContain('--restart on-failure');
});

test('the command line of the unit starts a node in a fresh clone, with nothing but the environment of the unit', async () => {
  const clone = join(temporary(), 'vestibule');
  const cloned = spawnSync('git', ['clone', '--quiet', '--no-hardlinks', ROOT, clone], { encoding: 'utf8' });
  expect(cloned.stderr).toBe('');
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'));
  const command = (unit().get('ExecStart') ?? '').replaceAll('/opt/vestibule', clone).split(' ');
  expect(command[0]).toBe(join(clone, 'node_modules/.bin/node'));
  const node = new LineProcess({
    script: command.slice(1).map((part) => (part.endsWith('.ts') ? join(clone, part) : part)),
    env: {
      EDGE_URL: 'http://127.0.0.1:9',
      NODE_TOKEN: 'x',
      NODE_ID: 'paris-1',
      MEDIA_ADDRESSES: '127.0.0.1',
      MEDIA_PORT: '0',
      // Compiling is another test's business.
      FANOUT_ENGINE: 'portable',
      DRAIN_TIMEOUT_MS: '0',
      npm_lifecycle_event: undefined,
    },
  });
  try {
    expect(await node.event('ready', START_MS)).toMatchObject({ node: 'paris-1' });
    expect(node.events[0]?.workers).toHaveLength(availableParallelism());
    await node.end('SIGTERM', START_MS);
    expect(node.outcome).toBe('exit code 0');
  } finally {
    await node.end('SIGKILL');
  }
}, 120_000);
