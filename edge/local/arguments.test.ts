import { expect, test } from 'vitest';
import { launcherHelp, parseLauncherArguments } from './arguments.ts';
import { KNOWN_NAMES } from './settings.ts';

const START = { mediaNode: true };
const EDGE = { mediaNode: false };

test('workers are for what starts media nodes', () => {
  expect(parseLauncherArguments([], START)).toEqual({ help: false, workers: null });
  expect(parseLauncherArguments(['--workers', 'auto'], START)).toEqual({ help: false, workers: 'auto' });
  expect(parseLauncherArguments(['--help'], EDGE)).toEqual({ help: true, workers: null });
  expect(() => parseLauncherArguments(['--workers', '2'], EDGE)).toThrow(/--workers/);
  expect(() => parseLauncherArguments(['--port', '80'], START)).toThrow(/--port/);
});

test('the help of npm start has every setting once, but for the one that the launcher says itself', () => {
  const help = launcherHelp(START);
  for (const name of KNOWN_NAMES) {
    expect(help.match(new RegExp(`^  ${name} `, 'gm')) ?? [], name).toHaveLength(name === 'EDGE_URL' ? 0 : 1);
  }
});

test('the help of the edge alone says nothing of media', () => {
  expect(launcherHelp(EDGE)).toContain('  PORT ');
  expect(launcherHelp(EDGE)).not.toContain('MEDIA_PORT');
});
