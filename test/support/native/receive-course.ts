/** For a test that preloads a kernel of its own: 100 datagrams to a socket of the addon; how many came, by how many calls. */
import { setImmediate } from 'node:timers/promises';
import { loadAddon } from '../../../media-node/forward/native/addon.ts';
import { COLUMNS, SLOT_BYTES, SLOTS, STATE, STATES } from '../../../media-node/forward/native/receive-methods.ts';

const DATAGRAMS = 100;
const MAX_TURNS = 1_000;

const native = (await loadAddon()).createReceiver();
let received = 0;
native.start(Buffer.alloc(SLOTS * SLOT_BYTES), new Float64Array(SLOTS * COLUMNS), (_socket, count) => {
  received += count;
});
const socket = native.openSocket('127.0.0.1', 0, 1 << 20, 1 << 20);
const state = new Float64Array(STATES);
native.socketState(socket, state);
for (let i = 0; i < DATAGRAMS; i++) native.send(socket, Buffer.from([i]), '127.0.0.1', state[STATE.port] ?? 0);
for (let turn = 0; turn < MAX_TURNS && received < DATAGRAMS; turn++) await setImmediate();
native.socketState(socket, state);
process.stdout.write(JSON.stringify({ received, calls: state[STATE.receiveCalls] }));
native.end();
