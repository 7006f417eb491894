/** A hand-driven peer on a loopback socket: checks by hand, DTLS by our own association. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { DtlsCertificate } from '../certificate.ts';
import { bindingSuccess, hasIntegrity, parseBindingRequest } from '../stun.ts';
import { DtlsEnd } from './dtls-pair.ts';
import { eventually } from './eventually.ts';
import { NO_PEER } from './session.ts';
import { type CheckOptions, readStun, stunCheck } from './stun-check.ts';

export interface UdpPeer {
  readonly port: number;
  /** But for DTLS, once `dtls` was called, and questions for consent. */
  readonly received: Buffer[];
  /** Questions for consent; they are answered, as full agents do, while `consents`. */
  asked: number;
  consents: boolean;
  send(datagram: Buffer): void;
  /** Sends a check and resolves with its answer. */
  check(
    credentials: { ufrag: string; pwd: string },
    options?: Partial<CheckOptions>,
  ): Promise<ReturnType<typeof readStun>>;
  /** Runs a DTLS handshake in `role`. */
  dtls(role: 'client' | 'server', certificate: DtlsCertificate): DtlsEnd;
  close(): Promise<void>;
}

export async function openUdpPeer(serverPort: number): Promise<UdpPeer> {
  const socket = createSocket({ type: 'udp4', lookup: (hostname, _options, done) => done(null, hostname, 4) });
  const listening = once(socket, 'listening');
  socket.bind(0, '127.0.0.1');
  await listening;
  const received: Buffer[] = [];
  let end: DtlsEnd | null = null;
  let timer: NodeJS.Timeout | null = null;
  const send = (datagram: Buffer): void => socket.send(datagram, serverPort, '127.0.0.1');
  const pump = (): void => {
    for (const datagram of end?.outbox.splice(0) ?? []) send(datagram);
  };
  socket.on('message', (data) => {
    const first = data[0] ?? 0;
    if (end !== null && first >= 20 && first <= 63) {
      end.association.receive(data, performance.now());
      pump();
      return;
    }
    const question = parseBindingRequest(data);
    if (question === null) {
      received.push(data);
    } else if (hasIntegrity(question, NO_PEER.ice.pwd)) {
      peer.asked += 1;
      if (peer.consents) send(bindingSuccess(question, '127.0.0.1', serverPort, NO_PEER.ice.pwd));
    }
  });
  const peer: UdpPeer = {
    port: socket.address().port,
    received,
    asked: 0,
    consents: true,
    send,
    async check({ ufrag, pwd }, options = {}) {
      const message = stunCheck({ username: `${ufrag}:peer`, password: pwd, ...options });
      send(message);
      const id = message.toString('hex', 8, 20);
      const answer = await eventually(() => {
        const found = received.find((data) => data.length >= 20 && data.toString('hex', 8, 20) === id);
        if (found === undefined) throw new Error('no answer to the check');
        return found;
      });
      return readStun(answer);
    },
    dtls(role, certificate) {
      end = new DtlsEnd(role, { certificate });
      end.association.start(performance.now());
      pump();
      timer = setInterval(() => {
        end?.association.tick(performance.now());
        pump();
      }, 20);
      return end;
    },
    async close() {
      if (timer !== null) clearInterval(timer);
      end?.association.close();
      pump();
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
  return peer;
}
