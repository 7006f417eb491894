/** A part of the viewers, in a process of its own that does what its parent says. */
import { z } from 'zod';
import { groupOptionsSchema, ViewerGroup } from './viewer-group.ts';

const orderSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('join'), options: groupOptionsSchema }),
  z.object({ type: z.literal('snapshot') }),
  z.object({ type: z.literal('halt') }),
  z.object({ type: z.literal('close') }),
]);

let group: ViewerGroup | null = null;

async function obey(order: z.infer<typeof orderSchema>): Promise<void> {
  if (order.type === 'join') {
    group = new ViewerGroup(order.options);
    await group.join();
    process.send?.({ type: 'joined' });
  } else if (order.type === 'snapshot') {
    const snapshot = await group?.snapshot();
    if (snapshot !== undefined) process.send?.({ type: 'snapshot', snapshot });
  } else if (order.type === 'halt') {
    group?.halt();
  } else {
    await end();
  }
}

async function end(): Promise<void> {
  await group?.close();
  process.exit();
}

// Ctrl-C reaches the whole group of processes; the parent says when to end.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('disconnect', () => void end());
process.on('message', (message) => void obey(orderSchema.parse(message)));
