/** How a stream is written: by an administrator in a PUT, and in the space's storage. */
import { z } from 'zod';
import { streamIdSchema } from '../../shared/ids.ts';
import { userNameSchema } from '../auth/user-name.ts';
import type { StreamInfo } from './rpc.ts';

/** Everybody in a lobby sees everybody else, which ends long before this. */
const MAX_GUESTS = 500;

const titleSchema = z
  .string()
  .trim()
  .regex(/^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]{1,200}$/u, 'must be 1 to 200 printable characters');

/** The body of a PUT. Who is named twice, or is the owner, is listed once. */
export const streamBodySchema = z
  .strictObject({
    title: titleSchema,
    owner: userNameSchema,
    guests: z.array(userNameSchema).max(MAX_GUESTS),
  })
  .transform(({ title, owner, guests }) => ({
    title,
    owner,
    guests: [...new Set(guests)].filter((guest) => guest !== owner),
  }))
  .meta({ examples: [{ title: 'Morning show', owner: 'ada', guests: ['ben', 'cleo'] }] });

const storedSchema = z.object({
  uuid: streamIdSchema,
  title: z.string(),
  owner: z.string(),
  /** JSON. */
  guests: z.string(),
});
const storedGuestsSchema = z.array(z.string());

/** @throws ZodError when the row is not one that this version writes. */
export function infoOfRow(row: unknown): StreamInfo {
  const { guests, ...rest } = storedSchema.parse(row);
  return { ...rest, guests: storedGuestsSchema.parse(JSON.parse(guests)) };
}
