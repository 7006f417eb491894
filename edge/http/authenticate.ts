/**
 * `POST /authenticate`: the back end of an application vouches for one of its users and gets a token for them. It shows
 * `REGISTER_TOKEN`, which must never reach a browser; what it gets is good for this user only, and only for a while.
 */
import { z } from 'zod';
import { unauthorized } from '../auth/access.ts';
import { secretsEqual } from '../auth/constant-time.ts';
import { writeMemberToken } from '../auth/member-token.ts';
import { isDerivedUuid, userNameSchema, userUuid } from '../auth/user-name.ts';
import { type App, settingsOf } from '../middleware/context.ts';
import { limitRate } from '../middleware/rate-limit.ts';
import { JSON_TYPE, readJson } from './json-body.ts';
import { NO_STORE, route } from './methods.ts';

const MAX_TOKEN_CHARS = 4096;
const MAX_CLIENT_CHARS = 200;

export const loginSchema = z
  .strictObject({
    // Such a name is how another user is called.
    user: userNameSchema.refine((user) => !isDerivedUuid(user), 'must not be a UUID of version 8'),
    token: z.string().min(1).max(MAX_TOKEN_CHARS),
    /** What asks, in its own words. */
    client: z.string().max(MAX_CLIENT_CHARS),
  })
  .meta({ examples: [{ user: 'ada', token: 'REGISTER_TOKEN', client: 'our web shop' }] });

export function authenticateRoute(app: App): void {
  route(app, '/authenticate', {
    POST: async (c) => {
      limitRate(c);
      const { user, token } = await readJson(c, loginSchema);
      const settings = settingsOf(c);
      const { registerToken } = settings;
      if (registerToken === null || !(await secretsEqual(token, registerToken))) throw unauthorized([token]);
      const jwt = await writeMemberToken({ user, uuid: await userUuid(user) }, settings, Date.now());
      return c.json({ jwt }, 200, NO_STORE);
    },
    acceptPost: JSON_TYPE,
  });
}
