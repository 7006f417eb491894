/** The worker: the app answers requests (`http/`), the Durable Objects remember. */
import { buildApp } from './http/app.ts';

export { Audience } from './audience/audience-object.ts';
export { Fleet } from './fleet/fleet-object.ts';
export { Lobby } from './lobby/lobby-object.ts';
export { NodeLink } from './node-link/node-link-object.ts';
export { Records } from './records/records-object.ts';
export { Space } from './space/space-object.ts';
export { StreamLobby } from './stream-lobby/stream-object.ts';

// biome-ignore lint/style/noDefaultExport: the runtime asks for it.
export default buildApp();
