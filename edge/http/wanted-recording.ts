/** What a client says about recording, and what it is told: the same for rooms and lobbies. */
import { z } from 'zod';
import type { LobbyId } from '../../shared/ids.ts';
import { type DesiredRecording, desiredRecordingSchema } from '../../shared/protocol/control.ts';
import { RECORDS_NAME } from '../env.ts';
import { type AppContext, settingsOf } from '../middleware/context.ts';
import { readOptionalJson } from './json-body.ts';

/** Newest first: those of a full lobby, and some before them. */
const MAX_SHOWN = 50;

export const recordingBodySchema = z
  .strictObject({ format: desiredRecordingSchema.shape.format.optional() })
  .meta({ examples: [{ format: 'mp4' }] });

/** Without a body, or without a format in it: as the deployment has it. @throws ProblemError as `readJson` */
export async function readWantedRecording(c: AppContext): Promise<DesiredRecording> {
  const { format } = await readOptionalJson(c, recordingBodySchema);
  return { format: format ?? settingsOf(c).recordFormat };
}

export function shownRecording(wish: DesiredRecording | null) {
  return { enabled: wish !== null, format: wish?.format ?? null };
}

/**
 * What is wanted, and how the recordings of this lobby fare. Not why one failed: that may name paths and hosts, and is in
 * the list for operators.
 */
export async function recordingStatus(c: AppContext, lobby: LobbyId, wish: DesiredRecording | null) {
  const { records } = await c.env.RECORDS.getByName(RECORDS_NAME).list({ lobby, before: null, limit: MAX_SHOWN });
  const recordings = records.map(({ name, state, bytes, uploadedBytes, durationMs, startedAt }) => ({
    ...{ name, state, size: bytes, uploadedBytes, durationMs },
    startedAt: new Date(startedAt).toISOString(),
  }));
  return { ...shownRecording(wish), recordings };
}
