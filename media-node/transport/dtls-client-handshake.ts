/** The client's side of a DTLS 1.2 handshake, for peers that offer or answer `setup:passive` (FFmpeg does by default). */
import { randomBytes } from 'node:crypto';
import { ALERT, DtlsFailure } from './dtls-alert.ts';
import {
  createKeyShare,
  ECDSA_SHA256,
  isSupportedCurve,
  type KeyShare,
  publicKeyOf,
  signEcdsaSha256,
  verifySignature,
} from './dtls-crypto.ts';
import { type FlightItem, Handshake, type HandshakeContext, inItsEpoch, unexpected } from './dtls-handshake.ts';
import { clientHello, RANDOM_BYTES, readServerHello } from './dtls-hello.ts';
import { HANDSHAKE, type HandshakeMessage } from './dtls-messages.ts';
import {
  CertificateVerify,
  ClientKeyExchange,
  ServerHelloVerifyRequest,
  ServerKeyExchange,
} from './werift-internals.ts';

const NAMED_CURVE = 3;
/** Curve type, curve and length of the point: what comes before it in ServerKeyExchange. */
const PARAMETERS_HEAD_BYTES = 4;

type Step = 'hello' | 'certificate' | 'key-exchange' | 'request' | 'done' | 'finished';

export class ClientHandshake extends Handshake {
  #step: Step = 'hello';
  #verified = false;
  #certificateRequested = false;
  #keyShare: KeyShare | null = null;
  #preMasterSecret: Buffer | null = null;

  constructor(context: HandshakeContext) {
    super(context);
    this.clientRandom = randomBytes(RANDOM_BYTES);
  }

  /** Sends ClientHello. */
  start(): void {
    this.#sayHello(Buffer.alloc(0));
  }

  override handle(message: HandshakeMessage): void {
    if (!inItsEpoch(message)) throw unexpected(message);
    const key = `${this.#step}:${message.type}`;
    switch (key) {
      case `hello:${HANDSHAKE.helloVerifyRequest}`:
        this.#repeatHello(message);
        break;
      case `hello:${HANDSHAKE.serverHello}`:
        this.#takeHello(message);
        this.#step = 'certificate';
        break;
      case `certificate:${HANDSHAKE.certificate}`:
        this.takeCertificate(message);
        this.#step = 'key-exchange';
        break;
      case `key-exchange:${HANDSHAKE.serverKeyExchange}`:
        this.#agree(message);
        this.#step = 'request';
        break;
      case `request:${HANDSHAKE.certificateRequest}`:
        this.#certificateRequested = true;
        this.transcript.push(message.raw);
        this.#step = 'done';
        break;
      case `request:${HANDSHAKE.serverHelloDone}`:
      case `done:${HANDSHAKE.serverHelloDone}`:
        this.transcript.push(message.raw);
        this.#answer();
        this.#step = 'finished';
        break;
      case `finished:${HANDSHAKE.finished}`:
        this.takeFinished(message, 'server');
        this.done = true;
        break;
      default:
        throw unexpected(message);
    }
  }

  /** The transcript starts with the hello that counts (RFC 6347 §4.2.1). */
  #sayHello(cookie: Buffer): void {
    this.transcript = [];
    const hello = clientHello(this.clientRandom, cookie, this.context.profiles);
    this.context.sendFlight([this.say(HANDSHAKE.clientHello, hello)], true);
  }

  #repeatHello(message: HandshakeMessage): void {
    if (this.#verified) throw unexpected(message);
    const { cookie } = ServerHelloVerifyRequest.deSerialize(message.body);
    this.#verified = true;
    this.#sayHello(cookie);
  }

  #takeHello(message: HandshakeMessage): void {
    const choice = readServerHello(message.body, this.context.profiles);
    this.choose(choice);
    this.serverRandom = choice.serverRandom;
    this.transcript.push(message.raw);
  }

  /** Without the signature check anybody on the path could put their own point under the server's certificate. */
  #agree(message: HandshakeMessage): void {
    const exchange = ServerKeyExchange.deSerialize(message.body);
    const curve: number = exchange.namedCurve;
    if (exchange.ellipticCurveType !== NAMED_CURVE || !isSupportedCurve(curve)) {
      throw new DtlsFailure(ALERT.illegalParameter, 'the peer chose a curve that was not offered');
    }
    const parameters = message.body.subarray(0, PARAMETERS_HEAD_BYTES + exchange.publicKey.length);
    const signed = Buffer.concat([this.clientRandom, this.serverRandom, parameters]);
    const scheme = (exchange.hashAlgorithm << 8) | exchange.signatureAlgorithm;
    const key = this.peerCertificate === null ? null : publicKeyOf(this.peerCertificate);
    if (key === null || !verifySignature(scheme, signed, key, exchange.signature)) {
      throw new DtlsFailure(ALERT.decryptError, 'the peer does not hold the key of its certificate');
    }
    const keyShare = createKeyShare(curve);
    this.#preMasterSecret = keyShare.agree(exchange.publicKey);
    this.#keyShare = keyShare;
    this.transcript.push(message.raw);
  }

  #answer(): void {
    if (this.#keyShare === null || this.#preMasterSecret === null) {
      throw new DtlsFailure(ALERT.unexpectedMessage, 'there was no key exchange');
    }
    const flight: FlightItem[] = [];
    if (this.#certificateRequested) flight.push(this.sayCertificate());
    const exchange = new ClientKeyExchange(this.#keyShare.publicKey).serialize();
    flight.push(this.say(HANDSHAKE.clientKeyExchange, exchange));
    this.deriveKeys(this.#preMasterSecret);
    if (this.#certificateRequested) {
      const signature = signEcdsaSha256(Buffer.concat(this.transcript), this.context.certificate.privateKey);
      flight.push(this.say(HANDSHAKE.certificateVerify, new CertificateVerify(ECDSA_SHA256, signature).serialize()));
    }
    flight.push(...this.sayFinished('client'));
    this.context.sendFlight(flight, true);
  }
}
