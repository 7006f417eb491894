/** `npm run build:web`: makes the pages for `wrangler deploy` (its `[build]` command). `npm start` does the same by itself. */
import { join } from 'node:path';
import { buildWeb } from './bundle.ts';
import { PROJECT_ROOT } from './project.ts';
import { readWranglerConfig } from './wrangler-config.ts';

const assets = readWranglerConfig(PROJECT_ROOT).assets.directory;
const written = await buildWeb(PROJECT_ROOT, join(PROJECT_ROOT, assets));
console.log(`${written.length} files in ${assets}`);
