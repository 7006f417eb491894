import { expect, test } from 'vitest';
import { NODE_HELP, parseNodeArguments } from './arguments.ts';
import { NODE_SETTING_NAMES } from './config.ts';

test.each([
  [[], { name: 'run', workers: null }],
  [['--workers', 'auto'], { name: 'run', workers: 'auto' }],
  [['--workers=3'], { name: 'run', workers: '3' }],
  [['--help', '--check'], { name: 'help' }],
  [['--check'], { name: 'check', workers: null, waitSeconds: 0, stun: null }],
  [
    ['--check', '--wait', '60', '--stun', 's.example:3478', '--workers', '2'],
    { name: 'check', workers: '2', waitSeconds: 60, stun: 's.example:3478' },
  ],
  [['--probe', '203.0.113.7:8840'], { name: 'probe', target: '203.0.113.7:8840' }],
])('%j', (args, command) => {
  expect(parseNodeArguments(args)).toEqual(command);
});

test.each([
  [['--worker', '2'], /--worker/],
  [['2'], /Unexpected argument/],
  [['--wait', '5'], /go with --check/],
  [['--check', '--wait', 'long'], /number of seconds/],
  [['--check', '--wait', '9999'], /at most 3600/],
])('%j is refused', (args, words) => {
  expect(() => parseNodeArguments(args)).toThrow(words);
});

test('the help names every setting', () => {
  for (const name of NODE_SETTING_NAMES) expect(NODE_HELP).toContain(`  ${name} `);
});
