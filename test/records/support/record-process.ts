/**
 * A node that records a synthetic publisher until it is killed; for tests that kill it. Arguments: folder, URL of the edge,
 * codec. First it finishes what a former life left. On SIGTERM it ends as a node does. Tells `recording` on standard output.
 */
import { Recordings } from '../../../media-node/record/recordings.ts';
import { VIDEO } from '../../support/client/pattern.ts';
import { publish } from '../../support/client/publisher.ts';
import { openNodeUnderTest } from '../../support/node-under-test.ts';
import { until } from '../../support/until.ts';
import { recorderSettings } from './settings.ts';

const [folder, edgeUrl, codec] = process.argv.slice(2);
if (folder === undefined || edgeUrl === undefined) throw new Error('usage: record-process.ts FOLDER EDGE CODEC');
const ROOM = 'studio';

const opened: { recordings: Recordings | null } = { recordings: null };
const node = await openNodeUnderTest({
  recordings: (context) => {
    opened.recordings = new Recordings({ context, settings: recorderSettings(folder, edgeUrl) });
    return opened.recordings;
  },
});
opened.recordings?.recover();
const signalling = node.publishing(ROOM);
const publisher = await publish({ signalling, video: { ...VIDEO, codec: codec === 'VP8' ? 'VP8' : 'H264' } });
node.apply(ROOM, { publisher: { session: signalling.session, generation: 1 }, recording: { format: 'mp4' } });
await until(() => opened.recordings?.size === 1, 'a recording', 10_000);
process.stdout.write('{"event":"recording"}\n');
process.once('SIGTERM', async () => {
  await publisher.close();
  await node.close();
  process.exit(0);
});
