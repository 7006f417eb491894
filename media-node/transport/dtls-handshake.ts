/** What both roles of the DTLS 1.2 handshake share: transcript, key derivation, Finished and the SRTP keys. */
import { timingSafeEqual } from 'node:crypto';
import type { DtlsCertificate } from './certificate.ts';
import { ALERT, DtlsFailure } from './dtls-alert.ts';
import { publicKeyOf } from './dtls-crypto.ts';
import type { HelloChoice, SrtpProfileChoice } from './dtls-hello.ts';
import { HANDSHAKE, type HandshakeMessage, handshakeMessage } from './dtls-messages.ts';
import { CONTENT, type RecordLayer } from './dtls-records.ts';
import { ownBytes } from './own-bytes.ts';
import type { SrtpKeys } from './types.ts';
import {
  Certificate,
  exportKeyingMaterial,
  prfExtendedMasterSecret,
  prfMasterSecret,
  prfVerifyDataClient,
  prfVerifyDataServer,
} from './werift-internals.ts';

/** RFC 5764 §4.2 */
const EXPORTER_LABEL = 'EXTRACTOR-dtls_srtp';

/** One message of a flight, kept as plaintext: every transmission gets records of its own. */
export interface FlightItem {
  readonly contentType: number;
  readonly epoch: 0 | 1;
  readonly payload: Buffer;
}

export interface HandshakeContext {
  readonly records: RecordLayer;
  readonly certificate: DtlsCertificate;
  /** Offered or accepted, best first. */
  readonly profiles: readonly SrtpProfileChoice[];
  /** Whether the peer's certificate (DER) is the one that signalling promised. */
  acceptsCertificate(der: Buffer): boolean;
  /** Sends a flight and keeps it; it is repeated until the peer answers when `awaitsAnswer`, else when the peer repeats. */
  sendFlight(items: readonly FlightItem[], awaitsAnswer: boolean): void;
}

export abstract class Handshake {
  protected readonly context: HandshakeContext;
  protected transcript: Buffer[] = [];
  protected clientRandom: Buffer = Buffer.alloc(0);
  protected serverRandom: Buffer = Buffer.alloc(0);
  /** DER of the peer's certificate, once its fingerprint matched. */
  protected peerCertificate: Buffer | null = null;
  #masterSecret: Buffer = Buffer.alloc(0);
  #choice: HelloChoice | null = null;
  #nextSequence = 0;
  /** Set when the peer's Finished was right. */
  done = false;

  constructor(context: HandshakeContext) {
    this.context = context;
  }

  /**
   * Takes the peer's next message.
   *
   * @throws {DtlsFailure} when the handshake has to end
   * @throws other errors when the message is unreadable; nothing has changed then
   */
  abstract handle(message: HandshakeMessage): void;

  /** The master keys of SRTP, sorted by who writes with them. */
  exportSrtpKeys(role: 'client' | 'server'): SrtpKeys {
    const { name, keyBytes, saltBytes } = this.choice().profile;
    const isClient = role === 'client';
    const local = isClient ? this.clientRandom : this.serverRandom;
    const remote = isClient ? this.serverRandom : this.clientRandom;
    const length = 2 * (keyBytes + saltBytes);
    const exported = exportKeyingMaterial(EXPORTER_LABEL, length, this.#masterSecret, local, remote, isClient);
    const material = ownBytes(exported);
    const clientKey = material.subarray(0, keyBytes);
    const serverKey = material.subarray(keyBytes, 2 * keyBytes);
    const clientSalt = material.subarray(2 * keyBytes, 2 * keyBytes + saltBytes);
    const serverSalt = material.subarray(2 * keyBytes + saltBytes);
    return isClient
      ? { profile: name, localKey: clientKey, localSalt: clientSalt, remoteKey: serverKey, remoteSalt: serverSalt }
      : { profile: name, localKey: serverKey, localSalt: serverSalt, remoteKey: clientKey, remoteSalt: clientSalt };
  }

  protected choose(choice: HelloChoice): void {
    this.#choice = choice;
  }

  protected choice(): HelloChoice {
    if (this.#choice === null) throw new DtlsFailure(ALERT.unexpectedMessage, 'there was no hello yet');
    return this.#choice;
  }

  /** A message of ours, entered into the transcript. */
  protected say(type: number, body: Buffer, epoch: 0 | 1 = 0): FlightItem {
    const payload = handshakeMessage(type, this.#nextSequence, body);
    this.#nextSequence += 1;
    this.transcript.push(payload);
    return { contentType: CONTENT.handshake, epoch, payload };
  }

  protected sayCertificate(): FlightItem {
    return this.say(HANDSHAKE.certificate, new Certificate([this.context.certificate.der]).serialize());
  }

  /** ChangeCipherSpec and Finished. */
  protected sayFinished(role: 'client' | 'server'): FlightItem[] {
    const change: FlightItem = { contentType: CONTENT.changeCipherSpec, epoch: 0, payload: Buffer.from([1]) };
    return [change, this.say(HANDSHAKE.finished, this.#verifyData(role), 1)];
  }

  /** @throws {DtlsFailure} when it is missing or not the one that signalling promised */
  protected takeCertificate(message: HandshakeMessage): void {
    const [der] = Certificate.deSerialize(message.body).certificateList;
    if (der === undefined || der.length === 0) throw new DtlsFailure(ALERT.handshakeFailure, 'no peer certificate');
    if (!this.context.acceptsCertificate(der)) {
      throw new DtlsFailure(ALERT.badCertificate, 'the certificate does not match the fingerprint');
    }
    // Unreadable: the fingerprint matched, so no retransmission will be better.
    try {
      publicKeyOf(der);
    } catch {
      throw new DtlsFailure(ALERT.badCertificate, 'the peer certificate cannot be read');
    }
    this.peerCertificate = Buffer.from(der);
    this.transcript.push(message.raw);
  }

  /** Derives master secret and record keys; the transcript ends with ClientKeyExchange (RFC 7627 §4). */
  protected deriveKeys(preMasterSecret: Buffer): void {
    const { suite, extendedMasterSecret } = this.choice();
    this.#masterSecret = extendedMasterSecret
      ? prfExtendedMasterSecret(preMasterSecret, Buffer.concat(this.transcript))
      : prfMasterSecret(preMasterSecret, this.clientRandom, this.serverRandom);
    this.context.records.setKeys(suite, this.#masterSecret, this.clientRandom, this.serverRandom);
  }

  /** @throws {DtlsFailure} when the peer saw another handshake than we did */
  protected takeFinished(message: HandshakeMessage, role: 'client' | 'server'): void {
    const expected = this.#verifyData(role);
    if (message.body.length !== expected.length || !timingSafeEqual(message.body, expected)) {
      throw new DtlsFailure(ALERT.decryptError, 'Finished does not fit the handshake');
    }
    this.transcript.push(message.raw);
  }

  #verifyData(role: 'client' | 'server'): Buffer {
    const transcript = Buffer.concat(this.transcript);
    return role === 'client'
      ? prfVerifyDataClient(this.#masterSecret, transcript)
      : prfVerifyDataServer(this.#masterSecret, transcript);
  }
}

/** Everything before Finished is plain, Finished is protected; anything else was injected. */
export function inItsEpoch(message: HandshakeMessage): boolean {
  return message.epoch === (message.type === HANDSHAKE.finished ? 1 : 0);
}

export function unexpected(message: HandshakeMessage): DtlsFailure {
  return new DtlsFailure(ALERT.unexpectedMessage, `unexpected handshake message ${message.type}`);
}
