/** The clients for use by other pages: `import { LobbyClient, WhipClient, WhepClient } from '/web/clients.js'`. */
export { ClientError } from './errors.ts';
export { type Link, parseLinkHeader } from './link-header.ts';
export type { LiveStatus, LiveTarget } from './live-requests.ts';
export { LobbyClient, type LobbyEvents, type LobbyOptions, type LobbyState } from './lobby-client.ts';
export type { MemberTrack } from './member-listener.ts';
export { labelOf } from './member-tracks.ts';
export type { LocalStream } from './own-media.ts';
export type { VideoLayer } from './session-events.ts';
export {
  createReceiveMeter,
  createSendMeter,
  type ReceiveSummary,
  type SendSummary,
  type StatsMeter,
} from './stats.ts';
export { type LayerWish, WhepClient, type WhepEvents, type WhepOptions, type WhepState } from './whep-client.ts';
export { type PublishOptions, WhipClient, type WhipEvents, type WhipOptions, type WhipState } from './whip-client.ts';
