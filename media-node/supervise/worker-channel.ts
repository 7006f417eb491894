/**
 * What a worker and its supervisor say over the channel that node gives a forked process. That it stands is how the
 * worker knows that the supervisor lives; besides it carries one question.
 */
import { z } from 'zod';
import { type NodeStatus, nodeStatusSchema } from '../status/node-status.ts';

export const statusRequestSchema = z.object({ ask: z.literal('status'), id: z.int() });
export const statusAnswerSchema = z.object({ id: z.int(), status: nodeStatusSchema });

/** In a worker: answers the supervisor. Does nothing in a process without one. */
export function answerSupervisor(status: () => NodeStatus): void {
  if (process.channel === undefined) return;
  process.on('message', (message) => {
    const request = statusRequestSchema.safeParse(message).data;
    if (request === undefined || !process.connected) return;
    // A supervisor that is gone shows by `disconnect`.
    process.send?.({ id: request.id, status: status() }, undefined, undefined, () => undefined);
  });
  process.channel?.unref();
}
