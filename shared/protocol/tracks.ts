/** What is published: kinds and codecs of tracks, and what members say of theirs. */
import { z } from 'zod';

export const mediaKindSchema = z.enum(['audio', 'video']);
export type MediaKind = z.infer<typeof mediaKindSchema>;

/**
 * What a member says of a track in its `i=` line: `<1 guest | 2 main> <1 muted | 2 not> <label>`. `main` tracks are what
 * goes on air.
 */
export const trackInfoSchema = z.object({
  purpose: z.enum(['guest', 'main']),
  muted: z.boolean(),
  /** No white space. */
  label: z.string().min(1).max(64),
});
export type TrackInfo = z.infer<typeof trackInfoSchema>;

/** A track received from a publisher, as the outside may know it. */
export const trackReportSchema = z.object({
  mid: z.string(),
  kind: mediaKindSchema,
  /** RTP encoding name in its registered spelling: `opus`, `VP8`, `H264`, … */
  codec: z.string(),
  /** Simulcast rids; empty without simulcast. */
  rids: z.array(z.string()),
  /** Of a member's track, with the present mute; absent in rooms. */
  info: trackInfoSchema.optional(),
});
export type TrackReport = z.infer<typeof trackReportSchema>;
