/**
 * The server's side of a DTLS 1.2 handshake. It sends no HelloVerifyRequest: ICE has proved the peer's address before,
 * and the round trip would be the viewer's (RFC 6347 §4.2.1 leaves it to the server).
 */
import { randomBytes } from 'node:crypto';
import { ALERT, DtlsFailure } from './dtls-alert.ts';
import {
  createKeyShare,
  ECDSA_SHA256,
  type KeyShare,
  publicKeyOf,
  SIGNATURE_SCHEMES,
  signEcdsaSha256,
  verifySignature,
} from './dtls-crypto.ts';
import { Handshake, inItsEpoch, unexpected } from './dtls-handshake.ts';
import { answerClientHello, RANDOM_BYTES } from './dtls-hello.ts';
import { HANDSHAKE, type HandshakeMessage } from './dtls-messages.ts';
import { CertificateVerify, ClientKeyExchange, ServerCertificateRequest } from './werift-internals.ts';

const NAMED_CURVE = 3;
/** `ecdsa_sign` and `rsa_sign` (RFC 8422 §5.5). */
const CERTIFICATE_TYPES = [64, 1];

/** In the order in which they have to come. */
const EXPECTED = [
  HANDSHAKE.clientHello,
  HANDSHAKE.certificate,
  HANDSHAKE.clientKeyExchange,
  HANDSHAKE.certificateVerify,
  HANDSHAKE.finished,
] as const;

export class ServerHandshake extends Handshake {
  #step = 0;
  #keyShare: KeyShare | null = null;

  override handle(message: HandshakeMessage): void {
    const expected = EXPECTED[this.#step];
    if (message.type !== expected || !inItsEpoch(message)) throw unexpected(message);
    switch (expected) {
      case HANDSHAKE.clientHello:
        this.#answerHello(message);
        break;
      case HANDSHAKE.certificate:
        this.takeCertificate(message);
        break;
      case HANDSHAKE.clientKeyExchange:
        this.#agree(message);
        break;
      case HANDSHAKE.certificateVerify:
        this.#verifyPossession(message);
        break;
      case HANDSHAKE.finished:
        this.takeFinished(message, 'client');
        this.context.sendFlight(this.sayFinished('server'), false);
        this.done = true;
        break;
    }
    this.#step += 1;
  }

  #answerHello(message: HandshakeMessage): void {
    const serverRandom = randomBytes(RANDOM_BYTES);
    const answer = answerClientHello(message.body, serverRandom, this.context.profiles);
    const keyShare = createKeyShare(answer.curve);
    this.choose(answer);
    this.clientRandom = answer.clientRandom;
    this.serverRandom = serverRandom;
    this.#keyShare = keyShare;
    this.transcript.push(message.raw);
    this.context.sendFlight(
      [
        this.say(HANDSHAKE.serverHello, answer.serverHello),
        this.sayCertificate(),
        this.say(HANDSHAKE.serverKeyExchange, this.#keyExchange(keyShare)),
        this.say(HANDSHAKE.certificateRequest, certificateRequest()),
        this.say(HANDSHAKE.serverHelloDone, Buffer.alloc(0)),
      ],
      true,
    );
  }

  /** RFC 8422 §5.4: the curve and our point, signed together with both randoms. */
  #keyExchange({ curve, publicKey }: KeyShare): Buffer {
    const head = Buffer.from([NAMED_CURVE, curve >> 8, curve & 0xff, publicKey.length]);
    const parameters = Buffer.concat([head, publicKey]);
    const signed = Buffer.concat([this.clientRandom, this.serverRandom, parameters]);
    const signature = signEcdsaSha256(signed, this.context.certificate.privateKey);
    const tail = Buffer.alloc(4);
    tail.writeUInt16BE(ECDSA_SHA256, 0);
    tail.writeUInt16BE(signature.length, 2);
    return Buffer.concat([parameters, tail, signature]);
  }

  #agree(message: HandshakeMessage): void {
    const { publicKey } = ClientKeyExchange.deSerialize(message.body);
    const preMasterSecret = this.#keyShare?.agree(publicKey);
    if (preMasterSecret === undefined) throw unexpected(message);
    this.transcript.push(message.raw);
    this.deriveKeys(preMasterSecret);
  }

  /** Without this check a certificate would be no proof: it travels in the clear. */
  #verifyPossession(message: HandshakeMessage): void {
    const { algorithm, signature } = CertificateVerify.deSerialize(message.body);
    const key = this.peerCertificate === null ? null : publicKeyOf(this.peerCertificate);
    if (key === null || !verifySignature(algorithm, Buffer.concat(this.transcript), key, signature)) {
      throw new DtlsFailure(ALERT.decryptError, 'the peer does not hold the key of its certificate');
    }
    this.transcript.push(message.raw);
  }
}

function certificateRequest(): Buffer {
  const signatures = SIGNATURE_SCHEMES.map((scheme) => ({ hash: scheme >> 8, signature: scheme & 0xff }));
  type Signatures = ConstructorParameters<typeof ServerCertificateRequest>[1];
  return new ServerCertificateRequest(CERTIFICATE_TYPES, signatures as Signatures, []).serialize();
}
