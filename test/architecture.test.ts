/** The walls between the rooms. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = new URL('..', import.meta.url).pathname;
const IMPORT = /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?from\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;

interface Import {
  file: string;
  /** A package's name, or a path from the root. */
  target: string;
}

/** What the files that run in production import; tests and what only they use are free. */
function imports(...patterns: string[]): Import[] {
  return patterns
    .flatMap((pattern) => globSync(pattern, { cwd: ROOT }))
    .filter((file) => !/\.test\.ts$|\.contract\.ts$|under-test|test-support|vitest\.config/.test(file))
    .flatMap((file) =>
      [...readFileSync(join(ROOT, file), 'utf8').matchAll(IMPORT)].map((match) => {
        const target = match[1] ?? match[2] ?? '';
        return { file, target: target.startsWith('.') ? normalize(join(dirname(file), target)) : target };
      }),
    );
}

function offenders(all: Import[], forbidden: (target: string, file: string) => boolean): string[] {
  return all
    .filter(({ file, target }) => forbidden(target, file))
    .map(({ file, target }) => `${file} imports ${target}`);
}

test('the rooms are found at all', () => {
  expect(imports('shared/**/*.ts').length).toBeGreaterThan(10);
  expect(imports('edge/**/*.ts').length).toBeGreaterThan(50);
  expect(imports('media-node/**/*.ts').length).toBeGreaterThan(50);
});

test('shared/ imports zod and itself', () => {
  expect(offenders(imports('shared/**/*.ts'), (target) => target !== 'zod' && !target.startsWith('shared/'))).toEqual(
    [],
  );
});

test('edge/ and media-node/ never import each other', () => {
  expect(offenders(imports('edge/**/*.ts'), (target) => target.startsWith('media-node/'))).toEqual([]);
  expect(offenders(imports('media-node/**/*.ts'), (target) => target.startsWith('edge/'))).toEqual([]);
});

test('werift stays behind media-node/transport/', () => {
  const found = offenders(
    imports('{shared,edge,media-node}/**/*.ts'),
    (target, file) => /(^|\/)werift(\/|$)/.test(target) && !file.startsWith('media-node/transport/'),
  );
  expect(found).toEqual([]);
});

/** Whether anything but files in `room` imports a package of this name. */
function leaks(name: string, room: string): string[] {
  return offenders(
    imports('{shared,edge,media-node}/**/*.ts'),
    (target, file) => (target === name || target.startsWith(`${name}/`)) && !file.startsWith(room),
  );
}

test.each([
  ['mediabunny', 'media-node/record/'],
  ['node:worker_threads', 'media-node/record/'],
  ['aws4fetch', 'edge/records/'],
  ['hono', 'edge/'],
  ['ws', 'media-node/control/'],
])('%s stays in %s', (name, room) => {
  expect(leaks(name, room)).toEqual([]);
});

test('what recordings are made of stays in its thread: the node knows only the door', () => {
  const found = offenders(
    imports('media-node/**/*.ts'),
    (target, file) =>
      /^media-node\/record\/(container|media|upload)\//.test(target) && !file.startsWith('media-node/record/'),
  );
  expect(found).toEqual([]);
});

test('relays know no recordings, recordings no relays, and neither the control link', () => {
  const found = offenders(
    imports('media-node/{relay,record}/**/*.ts'),
    (target, file) =>
      target.startsWith('media-node/control/link') ||
      target.startsWith(file.startsWith('media-node/relay/') ? 'media-node/record/' : 'media-node/relay/'),
  );
  expect(found).toEqual([]);
});

test('who is told where to go is decided without asking anybody: placement and trees are pure', () => {
  const found = offenders(
    imports(
      'edge/fleet/{placement,geography,regions}.ts',
      'edge/relay/relay-tree*.ts',
      'edge/relay/{relay-settling,upstream-choice}.ts',
    ),
    (target) => /^cloudflare:|-object\.ts$|^edge\/(http|middleware|records|node-link)\//.test(target),
  );
  expect(found).toEqual([]);
});

test('the hot path knows no SDP, no lobby, no socket and no JSON', () => {
  const found = offenders(
    imports('media-node/{forward,rtcp}/**/*.ts'),
    (target, file) =>
      /^(shared\/sdp|shared\/protocol|media-node\/(session|control)|edge)\b/.test(target) ||
      /^(ws|zod|node:(dgram|net|http))$/.test(target) ||
      (target.startsWith('media-node/negotiate/') && target !== 'media-node/negotiate/plan.ts') ||
      (target.startsWith('media-node/transport/') && target !== 'media-node/transport/types.ts') ||
      (file.startsWith('media-node/rtcp/') && target.startsWith('media-node/forward/')),
  );
  expect(found).toEqual([]);
});

test('negotiation does no I/O', () => {
  const found = offenders(
    imports('media-node/negotiate/**/*.ts'),
    (target) =>
      target.startsWith('node:') || (target.startsWith('media-node/') && !target.startsWith('media-node/negotiate/')),
  );
  expect(found).toEqual([]);
});

test('machines read no clock, no randomness and do no I/O', () => {
  const impure = globSync('{shared,edge,media-node}/**/*-machine.ts', { cwd: ROOT }).filter((file) =>
    /Date\.now|new Date\(\)|Math\.random|performance\.now|setTimeout|setInterval|\bcrypto\b|\bfetch\(|\bawait\b/.test(
      readFileSync(join(ROOT, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, ''),
    ),
  );
  expect(impure).toEqual([]);
});

test('properties are tried with the seed that was asked for', () => {
  const found = globSync('{shared,edge,media-node,test}/**/*.ts', { cwd: ROOT })
    .filter((file) => /from 'fast-check'/.test(readFileSync(join(ROOT, file), 'utf8')))
    .filter((file) => !file.startsWith('test/architecture'));
  expect(found).toEqual(['shared/test-support/properties.ts']);
});
