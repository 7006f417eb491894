import type { Context, Hono } from 'hono';
import { type Env, MisconfiguredError, readSettings, type Settings } from '../env.ts';

export type AppEnv = { Bindings: Env };
export type App = Hono<AppEnv>;
export type AppContext = Context<AppEnv>;

/** @throws MisconfiguredError when the deployment's settings make no sense. */
export function settingsOf(c: AppContext): Settings {
  return readSettings(c.env);
}

/** For what has to work in a misconfigured deployment too: telling a browser so. */
export function settingsOrNull(c: AppContext): Settings | null {
  try {
    return readSettings(c.env);
  } catch (error) {
    if (error instanceof MisconfiguredError) return null;
    throw error;
  }
}
