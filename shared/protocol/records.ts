/**
 * How a media node hands its recordings to the edge: plain HTTPS requests under `/node/records`, with the node's bearer
 * (`NODE_TOKEN`) and `Vestibule-Node: <node id>`. The node never holds a credential of the store.
 *
 *   POST   /node/records                      → 201  a file was begun (idempotent by `id`)
 *   PATCH  /node/records                      → 200  how far those have come that are being made: `recordProgressSchema` in,
 *                                                    `progressAnswerSchema` out; one request for all of a node
 *   PATCH  /node/records/{id}                 → 200  progress or another state (`recordUpdateSchema`)
 *   POST   /node/records/{id}/upload          → 200  begin or resume the upload: `uploadPlanSchema`
 *   PUT    /node/records/{id}/parts/{n}       → 200  `partReceiptSchema`; body: the bytes of part n (1-based), exactly
 *                                                    `partBytes` but for the last one; `Content-MD5` (base64) is verified
 *   POST   /node/records/{id}/parts/{n}/url   → 200  `partUrlSchema`: the node PUTs the bytes there itself (S3)
 *   POST   /node/records/{id}/complete        → 200  `recordCompleteSchema` in; the object is there, whole, and the record ready
 *   DELETE /node/records/{id}/upload          → 204  abandons the parts; the local file stays the only copy
 *
 * Every request may be repeated. Refusals are problems: 404 `no_record`, 409 `no_upload` (it was abandoned: begin again),
 * 409 `part_mismatch` at completion, 422 `bad_checksum`, 501 `no_store` (nowhere to upload to: the file stays on the node).
 */
import { z } from 'zod';
import { bootIdSchema, lobbyIdSchema, sessionIdSchema } from '../ids.ts';

/** Recordings that one request tells the progress of. */
export const MAX_PROGRESS = 500;
/** Parts are of equal size (R2 demands it), the last one excepted. */
export const PART_BYTES = 16 * 1024 * 1024;
/** S3 and R2 take no more. */
export const MAX_PARTS = 10_000;

/** Unguessable, made by the node, one per file. */
export const recordIdSchema = z
  .string()
  .regex(/^[A-Za-z0-9_-]{22}$/)
  .brand('RecordId');
export type RecordId = z.infer<typeof recordIdSchema>;

/** `{room}_{trackOrSessionId}_{unix}.{ext}`; no path, no leading dot. */
export const recordNameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,250}\.(mp4|webm|ogg|ivf|h264)$/);

export const recordStateSchema = z.enum(['recording', 'finalising', 'uploading', 'ready', 'failed']);
export type RecordState = z.infer<typeof recordStateSchema>;

/** A browser shows what it plays and runs nothing of it, whatever a node says that it is. */
const contentTypeSchema = z.string().regex(/^(video|audio)\/[a-z0-9][a-z0-9.+-]{0,60}$/);
const MAX_CODECS = 64;
const MAX_CODEC_CHARS = 32;
/** The year 2100: what lies far behind it is no date for JavaScript, and would spoil every list it is in. */
const MAX_STARTED_AT = 4_102_444_800_000;
/** Stores differ in what they call a part: S3 takes 34 characters, R2 some hundred. */
const MAX_ETAG_CHARS = 1_024;

export const recordBeginSchema = z.object({
  id: recordIdSchema,
  name: recordNameSchema,
  boot: bootIdSchema,
  lobby: lobbyIdSchema,
  /** The publisher's. */
  session: sessionIdSchema,
  contentType: contentTypeSchema,
  /** RTP encoding names. */
  codecs: z.array(z.string().max(MAX_CODEC_CHARS)).max(MAX_CODECS),
  /** Unix ms */
  startedAt: z.int().nonnegative().max(MAX_STARTED_AT),
});
export type RecordBegin = z.infer<typeof recordBeginSchema>;

export const recordUpdateSchema = z.object({
  state: recordStateSchema.exclude(['ready']),
  bytes: z.int().nonnegative(),
  durationMs: z.number().nonnegative(),
  /** Bytes that the store has, while uploading. */
  uploadedBytes: z.int().nonnegative().optional(),
  /** Why it failed or stopped early, one line for people. */
  error: z.string().max(500).optional(),
});
export type RecordUpdate = z.infer<typeof recordUpdateSchema>;

export const recordProgressSchema = z.object({
  records: z.array(recordUpdateSchema.extend({ id: recordIdSchema })).max(MAX_PROGRESS),
});
export type RecordProgress = z.infer<typeof recordProgressSchema>['records'][number];

/** `refused`: those that this node may say nothing about (any more); a request about the one says why. */
export const progressAnswerSchema = z.object({ refused: z.array(recordIdSchema) });

export const partReceiptSchema = z.object({ part: z.int().positive(), etag: z.string().max(MAX_ETAG_CHARS) });
export type PartReceipt = z.infer<typeof partReceiptSchema>;

export const uploadPlanSchema = z.object({
  /** `edge`: PUT the parts to the edge. `s3`: ask a URL for each part. */
  via: z.enum(['edge', 's3']),
  partBytes: z.int().positive(),
  /** Parts that the store has already. */
  parts: z.array(partReceiptSchema),
});
export type UploadPlan = z.infer<typeof uploadPlanSchema>;

/** The URL is good for some minutes. The `ETag` header of the store's answer goes into `complete`. */
export const partUrlSchema = z.object({ url: z.url(), headers: z.record(z.string(), z.string()) });
export type PartUrl = z.infer<typeof partUrlSchema>;

export const recordCompleteSchema = z.object({
  parts: z.array(partReceiptSchema).min(1).max(MAX_PARTS),
  bytes: z.int().positive(),
  durationMs: z.number().nonnegative(),
});
export type RecordComplete = z.infer<typeof recordCompleteSchema>;
