/** Builds the native engine ahead of the first start: where a node runs later there may be no compiler, or nothing to write to. */
import { buildAddon } from '../forward/native/addon.ts';

try {
  console.log(await buildAddon());
} catch (error) {
  console.error(`The native engine cannot be built: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
