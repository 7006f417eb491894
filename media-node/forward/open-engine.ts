/** Chooses the fan-out engine of a process. */
import type { FanoutEngine } from './fanout-engine.ts';
import { loadAddon } from './native/addon.ts';
import { NativeEngine } from './native/native-engine.ts';
import { PortableEngine } from './portable-engine.ts';

export const ENGINE_CHOICES = ['auto', 'portable', 'native'] as const;
/** `auto`: native when it can be built, else portable. */
export type EngineChoice = (typeof ENGINE_CHOICES)[number];

/**
 * Opens an engine and says in one line which, and why when that is not obvious.
 *
 * @throws {Error} that names FANOUT_ENGINE when `native` was asked for and is not possible
 */
export async function openFanoutEngine(
  choice: EngineChoice,
  log: (message: string) => void,
  load: typeof loadAddon = loadAddon,
): Promise<FanoutEngine> {
  if (choice === 'portable') return new PortableEngine();
  try {
    const engine = new NativeEngine(await load());
    log('packets are sent by the native fan-out engine');
    return engine;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (choice === 'native') throw new Error(`FANOUT_ENGINE=native is not possible: ${reason}`, { cause: error });
    log(`packets are sent by the portable fan-out engine, because ${reason}`);
    return new PortableEngine();
  }
}
