/** What stands behind `npm start --` and `npm run edge --`. */
import { parseArgs } from 'node:util';
import { describeSettings, NODE_SETTINGS } from '../../shared/node-settings.ts';
import { EDGE_SETTINGS, LAUNCHER_SETTINGS } from './settings-help.ts';

export interface LauncherArguments {
  help: boolean;
  /** As NODE_WORKERS; null: not said. */
  workers: string | null;
}

/** @throws Error in words when the arguments are not ours */
export function parseLauncherArguments(args: readonly string[], parts: { mediaNode: boolean }): LauncherArguments {
  const { values } = parseArgs({
    args: [...args],
    options: { help: { type: 'boolean', short: 'h' }, ...(parts.mediaNode ? { workers: { type: 'string' } } : {}) },
  });
  const { help, workers } = values as { help?: boolean; workers?: string };
  return { help: help === true, workers: workers ?? null };
}

export function launcherHelp(parts: { mediaNode: boolean }): string {
  const besides = NODE_SETTINGS.filter(
    ({ name }) => !['EDGE_URL', 'NODE_TOKEN', ...EDGE_SETTINGS.map((setting) => setting.name)].includes(name),
  );
  const usage = parts.mediaNode
    ? `Vestibule on this machine: the edge, and a media node beside it.

  npm start
  npm start -- --workers N|auto   with N media nodes side by side (auto: one per core)`
    : `The edge alone; media nodes dial it from wherever they are (npm run node).

  npm run edge`;
  return `${usage}

Settings, from the environment or from .env, with what they are when they are not set:

${describeSettings([...LAUNCHER_SETTINGS, ...EDGE_SETTINGS])}
${parts.mediaNode ? `\nFor the media node:\n\n${describeSettings(besides)}\n` : ''}`;
}
