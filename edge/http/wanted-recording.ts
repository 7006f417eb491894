/** What a client says about recording, and what it is told: the same for rooms and lobbies. */
import { z } from 'zod';
import { type DesiredRecording, desiredRecordingSchema } from '../../shared/protocol/control.ts';
import { type AppContext, settingsOf } from '../middleware/context.ts';
import { readJson } from './json-body.ts';

const bodySchema = z.strictObject({ format: desiredRecordingSchema.shape.format.optional() });

/** Without a body, or without a format in it: as the deployment has it. @throws ProblemError as `readJson` */
export async function readWantedRecording(c: AppContext): Promise<DesiredRecording> {
  // A PUT of nothing may say so by its length (RFC 9110 §8.6); then there is a body, and it is empty.
  const isEmpty = c.req.raw.body === null || c.req.header('Content-Length') === '0';
  const body = isEmpty ? {} : await readJson(c, bodySchema);
  return { format: body.format ?? settingsOf(c).recordFormat };
}

export function shownRecording(wish: DesiredRecording | null) {
  return { enabled: wish !== null, format: wish?.format ?? null };
}
