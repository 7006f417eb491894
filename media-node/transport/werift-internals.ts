/**
 * The only door to werift: its DTLS 1.2 message codec, record cipher, PRF and certificate maker, and its SCTP chunk
 * codec. The package does not export most of them, so they are resolved by path; the version is pinned exactly and `werift-internals.test.ts` fails
 * when one of them moves or changes its meaning. They are loaded one by one because werift's main entry drags in a whole
 * peer connection.
 *
 * Its handshake driver (`DtlsServer`, `DtlsClient` and their flights) is not used: as of 0.25.2 it checks neither the
 * peer's CertificateVerify nor the signature on ServerKeyExchange nor Finished, so that a fingerprint proves nothing
 * against somebody on the path; it retransmits under old record numbers, which OpenSSL and BoringSSL drop as replays;
 * it polls with timers; and its curves are pure JavaScript (X25519 1.7 ms, P-256 2.5 ms for what node:crypto does in
 * about 0.1 ms).
 *
 * Nor is its SCTP endpoint (`SCTP`), for what it does on hostile or merely lossy input, as of 0.25.2: a chunk or
 * parameter that says length 0 is parsed for ever; whatever is not understood throws out of an async function that
 * nobody awaits; a fragmented message and the set of TSNs ahead grow without bound; TSNs are sorted as strings, so that
 * gap reports go wrong when they gain a digit; nothing is retransmitted sooner than after a second; and it arms up to
 * five timers per association. Packets are taken apart by our own reader (`sctp-packet.ts`), chunks are written by
 * werift's.
 */
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import type * as CrcModule from '../../node_modules/werift/lib/common/src/crc.js';
import type * as CipherSuite from '../../node_modules/werift/lib/dtls/src/cipher/create.js';
import type * as Prf from '../../node_modules/werift/lib/dtls/src/cipher/prf.js';
import type AeadCipher from '../../node_modules/werift/lib/dtls/src/cipher/suites/aead.js';
import type * as CipherContextModule from '../../node_modules/werift/lib/dtls/src/context/cipher.js';
import type * as CertificateModule from '../../node_modules/werift/lib/dtls/src/handshake/message/certificate.js';
import type * as CertificateVerifyModule from '../../node_modules/werift/lib/dtls/src/handshake/message/client/certificateVerify.js';
import type * as ClientHelloModule from '../../node_modules/werift/lib/dtls/src/handshake/message/client/hello.js';
import type * as ClientKeyExchangeModule from '../../node_modules/werift/lib/dtls/src/handshake/message/client/keyExchange.js';
import type * as CertificateRequestModule from '../../node_modules/werift/lib/dtls/src/handshake/message/server/certificateRequest.js';
import type * as ServerHelloModule from '../../node_modules/werift/lib/dtls/src/handshake/message/server/hello.js';
import type * as HelloVerifyRequestModule from '../../node_modules/werift/lib/dtls/src/handshake/message/server/helloVerifyRequest.js';
import type * as ServerKeyExchangeModule from '../../node_modules/werift/lib/dtls/src/handshake/message/server/keyExchange.js';
import type * as SctpChunkModule from '../../node_modules/werift/lib/sctp/src/chunk.js';
import type * as SctpParamModule from '../../node_modules/werift/lib/sctp/src/param.js';

const require = createRequire(import.meta.url);
/** `lib/` of the package; the main entry is `lib/webrtc/src/index.js`. */
const lib = resolve(dirname(require.resolve('werift')), '../..');

/** A module inside `lib/{part}/src/`. */
function load<T>(path: string, part: 'dtls' | 'sctp' | 'common' = 'dtls'): T {
  return require(resolve(lib, part, 'src', path)) as T;
}

export const { ClientHello } = load<typeof ClientHelloModule>('handshake/message/client/hello.js');
export const { ServerHello } = load<typeof ServerHelloModule>('handshake/message/server/hello.js');
export const { ServerHelloVerifyRequest } = load<typeof HelloVerifyRequestModule>(
  'handshake/message/server/helloVerifyRequest.js',
);
export const { Certificate } = load<typeof CertificateModule>('handshake/message/certificate.js');
export const { ServerKeyExchange } = load<typeof ServerKeyExchangeModule>('handshake/message/server/keyExchange.js');
export const { ServerCertificateRequest } = load<typeof CertificateRequestModule>(
  'handshake/message/server/certificateRequest.js',
);
export const { ClientKeyExchange } = load<typeof ClientKeyExchangeModule>('handshake/message/client/keyExchange.js');
export const { CertificateVerify } = load<typeof CertificateVerifyModule>(
  'handshake/message/client/certificateVerify.js',
);
export const { createCipher } = load<typeof CipherSuite>('cipher/create.js');
export const {
  exportKeyingMaterial,
  prfExtendedMasterSecret,
  prfMasterSecret,
  prfVerifyDataClient,
  prfVerifyDataServer,
} = load<typeof Prf>('cipher/prf.js');
export const { CipherContext } = load<typeof CipherContextModule>('context/cipher.js');
export const {
  AbortChunk,
  CookieAckChunk,
  DataChunk,
  HeartbeatAckChunk,
  InitAckChunk,
  ReconfigChunk,
  SackChunk,
  ShutdownAckChunk,
  serializePacket,
} = load<typeof SctpChunkModule>('chunk.js', 'sctp');
export const { OutgoingSSNResetRequestParam, ReconfigResponseParam } = load<typeof SctpParamModule>('param.js', 'sctp');
export const { crc32c } = load<typeof CrcModule>('crc.js', 'common');

export type SctpChunk = SctpChunkModule.Chunk;
export type RecordCipher = AeadCipher;
