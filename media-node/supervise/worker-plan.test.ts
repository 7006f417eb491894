import { expect, test } from 'vitest';
import { readNodeSettings } from '../config.ts';
import { planWorkers, workerCount } from './worker-plan.ts';
import { restartDelayMs } from './worker-process.ts';

const GOOD = { EDGE_URL: 'https://edge.example', NODE_TOKEN: 'secret', MEDIA_ADDRESSES: '127.0.0.1', NODE_ID: 'box' };

test('each worker has a name and a port of its own', () => {
  const plans = planWorkers(readNodeSettings({ ...GOOD, MEDIA_PORT: '9000' }), 3);
  expect(plans.map(({ node, environment }) => [node, environment.NODE_ID, environment.MEDIA_PORT])).toEqual([
    ['box-1', 'box-1', '9000'],
    ['box-2', 'box-2', '9001'],
    ['box-3', 'box-3', '9002'],
  ]);
  // A worker with workers, or a second server on one port, would be the end.
  for (const { environment } of plans) expect(environment).toMatchObject({ NODE_WORKERS: '', NODE_STATUS_PORT: '' });
});

test('the last port is a port', () => {
  const settings = readNodeSettings({ ...GOOD, MEDIA_PORT: '65534' });
  expect(planWorkers(settings, 2).at(-1)?.environment.MEDIA_PORT).toBe('65535');
  expect(() => planWorkers(settings, 3)).toThrow('leaves no room for 3 workers');
});

test('auto is one for each core', () => {
  expect(workerCount('auto', 12)).toBe(12);
  expect(workerCount('3', 12)).toBe(3);
});

test('restarts come quickly at first, then ever more slowly, up to a limit', () => {
  expect([0, 1, 2, 3, 4, 5, 100].map(restartDelayMs)).toEqual([200, 400, 800, 1600, 3200, 5000, 5000]);
});
