import type { RecorderSettings } from '../../../media-node/record/worker-messages.ts';
import { mintBootId, nodeIdSchema } from '../../../shared/ids.ts';

/** Of a recorder that keeps its files, so that tests can look at them. */
export function recorderSettings(folder: string, edgeUrl: string): RecorderSettings {
  return {
    ...{ folder, boot: mintBootId(), node: nodeIdSchema.parse('node-under-test'), edgeUrl, token: 'node-token' },
    ...{ deleteAfterUpload: false, maxFileBytes: Number.POSITIVE_INFINITY },
  };
}
