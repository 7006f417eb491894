import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';

/** A launcher with one guarded child and one that it has seen end; says the ids and waits. */
const LAUNCHER = `
  import { spawn } from 'node:child_process';
  import { once } from 'node:events';
  import { Keeper } from ${JSON.stringify(new URL('./keeper.ts', import.meta.url).href)};
  const keeper = new Keeper();
  const sleeper = () => spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  const ended = sleeper();
  const guarded = sleeper();
  const unguarded = sleeper();
  keeper.guard(ended);
  keeper.guard(guarded);
  ended.kill('SIGKILL');
  await once(ended, 'exit');
  console.log(JSON.stringify({ guarded: guarded.pid, unguarded: unguarded.pid, keeper: keeper.pid }));
`;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('ends the guarded children, and itself, when its owner is killed', async () => {
  const launcher = spawn(process.execPath, ['--input-type=module', '--eval', LAUNCHER]);
  const [line] = await once(createInterface({ input: launcher.stdout }), 'line');
  const { guarded, unguarded, keeper } = JSON.parse(String(line)) as Record<'guarded' | 'unguarded' | 'keeper', number>;
  launcher.kill('SIGKILL');
  try {
    await expect.poll(() => isAlive(guarded)).toBe(false);
    await expect.poll(() => isAlive(keeper)).toBe(false);
    expect(isAlive(unguarded)).toBe(true);
  } finally {
    process.kill(unguarded, 'SIGKILL');
  }
});
