/** What the READMEs point at is there: files, headings, scripts. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = new URL('..', import.meta.url).pathname;
/** Made by tools, or by running it. */
const MADE = /^(node_modules|\.vestibule|\.wrangler|\.build|\.git)(\/|$)/;
/** They stand for any. */
const EXAMPLES = ['live', 'x.test.ts', 'x.workerd.test.ts'];
const FENCE = /^```[\s\S]*?^```$/gm;
const LINK = /\[(?:[^\][]|\[[^\]]*\])*\]\(([^)\s]+)\)/g;
/** In code spans: a folder, or a file of a kind that only this project has. */
const PATH = /`((?:[\w.-]+\/)*[\w.-]+(?:\/|\.(?:ts|mjs|cc|html|css|md|toml|conf|nft|service|example)))`/g;
const SCRIPT = /\bnpm (?:run (?:--silent )?)([\w:-]+)|\bnpm (start|test)\b/g;
const BENCH = /npm run bench -- ((?:\w[\w-]* ?)+)/g;
const CONFIG = /--config (\S+)|\bnode (?!-)(\S+\.ts)\b/g;

const files = globSync('**/*', { cwd: ROOT, exclude: (path) => MADE.test(path) || path.endsWith('/node_modules') });
const documents = files.filter((file) => file.endsWith('.md'));
const benches = [...textOf('test/bench/README.md').matchAll(/^\| `([\w-]+)` /gm)].map(([, name]) => name);
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };

function textOf(document: string): string {
  return readFileSync(join(ROOT, document), 'utf8');
}

function found(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match.slice(1).find((group) => group !== undefined) ?? '');
}

/** As GitHub names headings; of those with the same words only the first. */
function anchors(document: string): string[] {
  return [
    ...textOf(document)
      .replaceAll(FENCE, '')
      .matchAll(/^#+ (.*)$/gm),
  ].map(([, heading = '']) =>
    heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function brokenLinks(document: string): string[] {
  return found(textOf(document).replaceAll(FENCE, ''), LINK)
    .filter((link) => !/^https?:/.test(link))
    .filter((link) => {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? document : normalize(join(dirname(document), path));
      if (!existsSync(join(ROOT, target))) return true;
      const page = target.endsWith('.md') ? target : join(target, 'README.md');
      return anchor !== undefined && !anchors(page).includes(anchor);
    });
}

/** Names are given from the root, from the document's folder or, in a sentence about a folder, from that one. */
function missingPaths(document: string): string[] {
  // Other documents speak of other people's files.
  if (!document.endsWith('README.md')) return [];
  return found(textOf(document).replaceAll(FENCE, ''), PATH).filter((path) => {
    const name = path.replace(/\/$/, '').replace(/^(\.\.\/)+/, '');
    // Names with a dot in front are not in the list.
    if (MADE.test(name) || EXAMPLES.includes(name) || existsSync(join(ROOT, name))) return false;
    const ending = name.startsWith('-') ? name : `/${name}`;
    return !files.some((file) => `/${file}`.endsWith(ending));
  });
}

test('documents are found at all', () => {
  expect(documents).toContain('README.md');
  expect(documents.length).toBeGreaterThan(10);
});

describe.each(documents)('%s', (document) => {
  test('links lead somewhere', () => {
    expect(brokenLinks(document)).toEqual([]);
  });

  test('names files and folders that are there', () => {
    expect(missingPaths(document)).toEqual([]);
  });

  test('gives commands that are there', () => {
    const text = textOf(document);
    expect(found(text, SCRIPT).filter((name) => scripts[name] === undefined)).toEqual([]);
    expect(
      found(text, BENCH).flatMap((names) =>
        names
          .trim()
          .split(' ')
          .filter((name) => !benches.includes(name)),
      ),
    ).toEqual([]);
    expect(found(text, CONFIG).filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});
