/**
 * What node:dgram and node:crypto take in the plain way: a process that sends and does nothing else, with a GCM cipher
 * of its own for each datagram if asked to (the portable engine makes cheaper use of them). `node bare-dgram.ts PORTS
 * GCM BURST BYTES BURSTS_PER_SECOND SECONDS`, ports with commas between them; says `done` with the CPU of its process.
 */
import { createCipheriv, createSecretKey, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { say } from './say.ts';

const LOOPBACK = '127.0.0.1';
const HEADER_BYTES = 12;
const TAG_BYTES = 16;
const MS_PER_S = 1_000;
const US_PER_S = 1e6;

const [portList = '', ...numbers] = process.argv.slice(2);
const ports = portList.split(',').map(Number);
const [gcm = 0, burst = 0, bytes = 0, perSecond = 0, seconds = 0] = numbers.map(Number);
const key = createSecretKey(randomBytes(16));
const iv = Buffer.alloc(12);
const header = Buffer.alloc(HEADER_BYTES, 0x80);
const payload = Buffer.alloc(bytes - HEADER_BYTES - TAG_BYTES);
const datagram = Buffer.alloc(bytes, 0x80);
let nonce = 0;
let refused = 0;

const socket = createSocket({ type: 'udp4', lookup: (name, _options, done) => done(null, name, 4) });
// Awaited from before the call: with this look-up it listens when `bind` returns.
const listening = once(socket, 'listening');
socket.bind(0, LOOPBACK);
await listening;
const onSent = (error: Error | null): void => {
  if (error !== null) refused += 1;
};

function protect(): void {
  iv.writeUInt32BE(nonce++, 8);
  const cipher = createCipheriv('aes-128-gcm', key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(header);
  const end = HEADER_BYTES + cipher.update(payload).copy(datagram, HEADER_BYTES);
  cipher.final();
  cipher.getAuthTag().copy(datagram, end);
}

const bursts = Math.round(perSecond * seconds);
const begunMs = performance.now();
const before = process.cpuUsage();
for (let done = 0; done < bursts; done++) {
  for (const port of ports) {
    for (let i = 0; i < burst; i++) {
      if (gcm === 1) protect();
      socket.send(datagram, port, LOOPBACK, onSent);
    }
  }
  await sleep(Math.max(0, begunMs + ((done + 1) * MS_PER_S) / perSecond - performance.now()));
}
const { user, system } = process.cpuUsage(before);
const sent = bursts * burst * ports.length - refused;
say('done', { sent, refused, cpuS: (user + system) / US_PER_S, userS: user / US_PER_S });
socket.close();
