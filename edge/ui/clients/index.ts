/** The clients for use by other pages: `import { WhipClient, WhepClient } from '/web/clients.js'`. */
export { ClientError } from './errors.ts';
export { type Link, parseLinkHeader } from './link-header.ts';
export {
  createReceiveMeter,
  createSendMeter,
  type ReceiveSummary,
  type SendSummary,
  type StatsMeter,
} from './stats.ts';
export { WhepClient, type WhepEvents, type WhepOptions, type WhepState } from './whep-client.ts';
export { type PublishOptions, WhipClient, type WhipEvents, type WhipOptions, type WhipState } from './whip-client.ts';
