/** Chooses the fan-out engine of a process. */
import type { FanoutEngine } from './fanout-engine.ts';
import { type Addon, type BuildStep, loadAddon } from './native/addon.ts';
import { NativeEngine } from './native/native-engine.ts';
import { testAddon } from './native/self-test.ts';
import { PortableEngine } from './portable-engine.ts';

export const ENGINE_CHOICES = ['auto', 'portable', 'native'] as const;
/** `auto`: native when it can be built and does what it must on this machine, else portable. */
export type EngineChoice = (typeof ENGINE_CHOICES)[number];

/** Logged before a wait, unlike all else that is logged here. */
export const WAITS: Readonly<Record<BuildStep, string>> = {
  compiling: 'compiling the native fan-out engine: once, about half a minute (FANOUT_ENGINE=portable does without)',
  'waiting for another process that compiles': 'waiting for another process that compiles the native fan-out engine',
};

/** What a test may replace. */
export interface EngineParts {
  load?: (onStep: (step: BuildStep) => void) => Promise<Addon>;
  test?: (addon: Addon) => { cuts: boolean };
}

/**
 * Opens an engine and says in one line which and why, but for a portable one that was asked for. One line before it says
 * that it has to be compiled first.
 *
 * @throws {Error} that names FANOUT_ENGINE when `native` was asked for and is not possible
 */
export async function openFanoutEngine(
  choice: EngineChoice,
  log: (message: string) => void,
  { load = loadAddon, test = testAddon }: EngineParts = {},
): Promise<FanoutEngine> {
  if (choice === 'portable') return new PortableEngine();
  try {
    const addon = await load((step) => log(WAITS[step]));
    const { cuts } = test(addon);
    log(`packets are sent by the native fan-out engine${cuts ? '' : ', one by one: this kernel cuts no messages'}`);
    return new NativeEngine(addon);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (choice === 'native') throw new Error(`FANOUT_ENGINE=native is not possible: ${reason}`, { cause: error });
    log(`packets are sent by the portable fan-out engine, because ${reason}`);
    return new PortableEngine();
  }
}
