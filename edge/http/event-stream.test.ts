import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { succeeded } from '../../shared/errors.ts';
import type { NodeResult } from '../../shared/protocol/control.ts';
import type { AppContext } from '../middleware/context.ts';
import { eventStream } from './event-stream.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('what the last read before the end has brought is told', async () => {
  let reads = 0;
  const read = async () => {
    reads += 1;
    const messages: NodeResult<'read-events'>['messages'] = [{ event: 'layers', data: String(reads) }];
    return succeeded({ messages, viewersOf: null });
  };
  const text = (await eventStream({ env: {} } as AppContext, read)).text();
  await vi.advanceTimersByTimeAsync(100_000);
  expect(await text).toContain(`data: ${reads}\n\n`);
});
