/**
 * Every requirement of protocol.md's groups A to O is either named by a test of this folder or stands here with the
 * reason why it is not.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const LAST = 147;

/** Requirement → why no request to a running system can show it, or where it is shown instead. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  '25': 'A MAY: this edge places sessions itself and never redirects (#24 is tested).',
  '26': 'Binds clients; it shapes the tests: they ask for exact 4xx codes only where ours are documented.',
  '27': 'Deployment: TLS ends at Cloudflare or at the proxy before the embedded edge.',
  '52': 'Speaks of servers without trickle and restart; both are there (#51 is tested).',
  '69': 'Needs consent to expire after a restart, 30 s: media-node/transport and test/node, on a clock of their own.',
  '88': 'Needs 30 s of silence: media-node/transport and test/node, on a clock of their own.',
  '95': 'A REC for redirects to another origin, of which there are none.',
  '123': 'Needs an offer of ours to expire, 30 s: media-node/session. `Expires` is tested under #129.',
};

const FOLDER = new URL('.', import.meta.url);

/** Numbers that titles and headings of tests name, `#47` and `#53a` alike. */
function named(): Set<string> {
  const found = new Set<string>();
  for (const file of readdirSync(FOLDER)) {
    if (!file.endsWith('.test.ts') || file === 'matrix.test.ts') continue;
    const text = readFileSync(new URL(file, FOLDER), 'utf8');
    for (const title of text.match(/(?:describe|it)(?:\.each)?\([\s\S]*?(?:=> \{|async \()|^ *'.*#.*$/gm) ?? []) {
      for (const [, number = ''] of title.matchAll(/#(\d+a?)\b/g)) found.add(number);
    }
    for (const [, number = ''] of (/^\/\*\*[\s\S]*?\*\//.exec(text)?.[0] ?? '').matchAll(/#(\d+a?)\b/g))
      found.add(number);
  }
  return found;
}

it('leaves out no requirement', () => {
  const covered = named();
  const all = ['53a', ...Array.from({ length: LAST }, (_, at) => String(at + 1))];

  expect(all.filter((number) => !covered.has(number) && ELSEWHERE[number] === undefined)).toEqual([]);
  expect(Object.keys(ELSEWHERE).filter((number) => covered.has(number))).toEqual([]);
});
