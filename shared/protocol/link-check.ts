/**
 * What `npm run node -- --check` asks the edge: `GET /node/link` with this header field and the token, but without a
 * node's name. No link is made, so a node of that name that runs is not disturbed. An edge that is too old to know the
 * field answers 400 for the missing name, once the token is right.
 */
import { z } from 'zod';

export const LINK_CHECK_FIELD = 'Vestibule-Check';

export const linkCheckSchema = z.object({
  protocol: z.int(),
  /** The request still asked for a WebSocket when it arrived: what stands in between passes them on. */
  websocket: z.boolean(),
  /** The address that the request came from, where the edge knows it. */
  address: z.string().nullable(),
});
export type LinkCheck = z.infer<typeof linkCheckSchema>;
