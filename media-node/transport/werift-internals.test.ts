/**
 * The contract with werift: exact version, the pieces taken from inside it, and its own DTLS ends as peers of ours.
 * A new werift that changes any of it fails here, not in somebody's session.
 */
import { createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { afterEach, describe, expect, test } from 'vitest';
import { DtlsClient, DtlsServer, RtpHeader, SrtpSession } from 'werift';
import { createCertificate, readCertificate } from './certificate.ts';
import { DtlsEnd } from './testing/dtls-pair.ts';
import { eventually } from './testing/eventually.ts';
import { SctpPair } from './testing/sctp-pair.ts';
import type { SrtpKeys } from './types.ts';
import {
  ClientHello,
  CookieAckChunk,
  crc32c,
  createCipher,
  DataChunk,
  OutgoingSSNResetRequestParam,
  prfVerifyDataClient,
  ReconfigChunk,
  ReconfigResponseParam,
  SackChunk,
  ServerKeyExchange,
  serializePacket,
} from './werift-internals.ts';

test('the version is the one that the internals were read from', () => {
  const entry = createRequire(import.meta.url).resolve('werift');
  const manifest = JSON.parse(readFileSync(`${entry.split('/lib/')[0]}/package.json`, 'utf8')) as { version: string };
  const own = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  expect([manifest.version, own.dependencies.werift]).toEqual(['0.25.2', '0.25.2']);
});

test('ClientHello round trip, byte for byte', () => {
  const hello = new ClientHello(
    { major: 254, minor: 253 },
    { gmt_unix_time: 1, random_bytes: Buffer.alloc(28, 2) },
    Buffer.alloc(0),
    Buffer.from('cookie'),
    [0xc02b],
    [0],
    [{ type: 14, data: Buffer.from('0002000700', 'hex') }],
  );
  const wire = `fefd00000001${'02'.repeat(28)}0006636f6f6b69650002c02b01000009000e00050002000700`;
  expect(hello.serialize().toString('hex')).toBe(wire);
  expect({ ...ClientHello.deSerialize(Buffer.from(wire, 'hex')) }).toEqual({ ...hello });
});

test('the record cipher is AES-128-GCM with the explicit nonce of RFC 5288', () => {
  const cipher = createCipher(0xc02b);
  cipher.init(Buffer.alloc(48, 1), Buffer.alloc(32, 2), Buffer.alloc(32, 3));
  const header = { type: 23, version: 0xfefd, epoch: 1, sequenceNumber: 5 };

  const sealed = cipher.encrypt(1, Buffer.from('hello'), header);

  expect(sealed.subarray(0, 8).toString('hex')).toBe('0001000000000005');
  const nonce = Buffer.concat([cipher.clientNonce?.subarray(0, 4) ?? Buffer.alloc(0), sealed.subarray(0, 8)]);
  const open = createDecipheriv('aes-128-gcm', cipher.clientWriteKey ?? Buffer.alloc(16), nonce);
  open.setAAD(Buffer.from('000100000000000517fefd0005', 'hex')).setAuthTag(sealed.subarray(-16));
  expect(Buffer.concat([open.update(sealed.subarray(8, -16)), open.final()]).toString()).toBe('hello');
});

test('the PRF and ServerKeyExchange mean what they meant', () => {
  // RFC 5246 §7.4.9 and §5 by hand: one round of P_SHA256 covers 12 bytes.
  const secret = Buffer.alloc(48, 9);
  const mac = (data: Buffer): Buffer => createHmac('sha256', secret).update(data).digest();
  const seed = Buffer.concat([Buffer.from('client finished'), createHash('sha256').update('hellos').digest()]);
  const expected = mac(Buffer.concat([mac(seed), seed])).subarray(0, 12);
  expect(prfVerifyDataClient(secret, Buffer.from('hellos'))).toEqual(expected);

  const wire = Buffer.from('03001d03aabbcc040300021122', 'hex');
  const { namedCurve, publicKey, hashAlgorithm, signatureAlgorithm, signature } = ServerKeyExchange.deSerialize(wire);
  expect({ namedCurve, hashAlgorithm, signatureAlgorithm }).toEqual({
    namedCurve: 29,
    hashAlgorithm: 4,
    signatureAlgorithm: 3,
  });
  expect([publicKey.toString('hex'), signature.toString('hex')]).toEqual(['aabbcc', '1122']);
});

describe('SCTP chunks, byte for byte', () => {
  const data = new DataChunk(0, undefined);
  Object.assign(data, { flags: 7, tsn: 0xfffffffe, streamId: 1, streamSeqNum: 2, protocol: 53 });
  data.userData = Buffer.from('abcde');
  const sack = new SackChunk(0, undefined);
  Object.assign(sack, { cumulativeTsn: 0xffffffff, advertisedRwnd: 0x10000, gaps: [[2, 3]] });
  const reset = new ReconfigChunk();
  const request = new OutgoingSSNResetRequestParam(1, 2, 3, [4, 5]);
  reset.params.push([request.type, request.bytes]);
  const response = new ReconfigChunk();
  const result = new ReconfigResponseParam(9, 1);
  response.params.push([result.type, result.bytes]);

  test.each([
    ['DATA', data, '00070015fffffffe00010002000000356162636465000000'],
    ['SACK', sack, '03000014ffffffff000100000001000000020003'],
    ['RE-CONFIG, request', reset, '82000018000d0014000000010000000200000003' + '00040005'],
    ['RE-CONFIG, response', response, '820000100010000c0000000900000001'],
    ['COOKIE ACK', new CookieAckChunk(), '0b000004'],
  ])('%s', (_name, chunk, wire) => {
    const packet = serializePacket(5000, 5001, 0x01020304, chunk);

    expect(packet.subarray(12).toString('hex')).toBe(wire);
    expect(packet.subarray(0, 8).toString('hex')).toBe('1388138901020304');
    const checksum = packet.readUInt32LE(8);
    packet.writeUInt32LE(0, 8);
    expect(crc32c(packet)).toBe(checksum);
  });

  test('CRC32c has the check value of RFC 3720 appendix B.4', () => {
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  });
});

test("werift's own SCTP as the peer: messages of many chunks both ways", async () => {
  const pair = await new SctpPair().start();
  pair.openChannel(0, 'signal');
  await eventually(() => expect(pair.opened).toHaveLength(1));
  const long = randomBytes(50_000);

  pair.send(0, 53, long);
  pair.opened[0]?.send(long);

  await eventually(() => expect(pair.heard.map(({ data }) => data.equals(long))).toEqual([true]));
  // The first one is the acknowledgement of the OPEN.
  await eventually(() => expect(pair.clientHeard).toHaveLength(2));
  expect(pair.clientHeard.map(([stream, protocol]) => [stream, protocol])).toEqual([
    [0, 50],
    [0, 53],
  ]);
  expect(pair.clientHeard[1]?.[2].equals(long)).toBe(true);
  await pair.close();
});

describe("werift's own DTLS as the peer", () => {
  const cleanups: (() => void)[] = [];
  afterEach(() => {
    for (const cleanup of cleanups.splice(0)) cleanup();
  });

  const GCM = 7;
  const CM = 1;

  /** Our `role` against werift's other one; resolves when both are connected. */
  async function connect(role: 'client' | 'server', profile: typeof GCM | typeof CM) {
    const pem = await createCertificate();
    const ours = new DtlsEnd(role, { certificate: readCertificate(await createCertificate()) });
    const transport = {
      type: 'test',
      address: {},
      closed: false,
      onData: (_data: Buffer) => {},
      send: async (data: Buffer) => {
        setImmediate(() => {
          ours.association.receive(data, performance.now());
          pump();
        });
      },
      close: async () => {},
    };
    const pump = (): void => {
      for (const datagram of ours.outbox.splice(0)) transport.onData(datagram);
    };
    const options = {
      transport,
      cert: pem.certPem,
      key: pem.keyPem,
      signatureHash: { signature: 3, hash: 4 } as const,
      srtpProfiles: [profile],
      extendedMasterSecret: true,
      certificateRequest: true,
    };
    const theirs = role === 'server' ? new DtlsClient(options as never) : new DtlsServer(options as never);
    cleanups.push(() => ours.association.close());
    const connected = new Promise<void>((resolve) => theirs.onConnect.once(() => resolve()));
    if (theirs instanceof DtlsClient) void theirs.connect();
    ours.association.start(performance.now());
    pump();
    await connected;
    // Its last flight may still be on the way to us.
    await eventually(() => expect(ours.keys).not.toBeNull());
    if (ours.keys === null) throw new Error(`not connected: ${ours.log}`);
    const saltBytes = profile === GCM ? 12 : 14;
    return { ours: ours.keys, theirs: theirs.extractSessionKeys(16, saltBytes) };
  }

  test.each([
    ['server', GCM, 'AEAD_AES_128_GCM'],
    ['client', GCM, 'AEAD_AES_128_GCM'],
    ['server', CM, 'AES_CM_128_HMAC_SHA1_80'],
    ['client', CM, 'AES_CM_128_HMAC_SHA1_80'],
  ] as const)(
    'we as %s with profile %d: equal keys, and an SRTP packet opens at the other end',
    async (role, id, name) => {
      const { ours, theirs } = await connect(role, id);

      expect(ours.profile).toBe(name);
      expect(ours.localKey).toEqual(theirs.remoteKey);
      expect(ours.localSalt).toEqual(theirs.remoteSalt);
      expect(ours.remoteKey).toEqual(theirs.localKey);
      expect(ours.remoteSalt).toEqual(theirs.localSalt);

      const payload = randomBytes(100);
      const header = new RtpHeader({ payloadType: 111, sequenceNumber: 1, timestamp: 1, ssrc: 1, marker: false });
      const sealed = srtp(id, ours).encrypt(payload, header);
      const opened = srtp(id, { ...ours, ...sides(theirs) }).decrypt(sealed);
      expect(opened.subarray(-100)).toEqual(payload);
    },
  );

  function sides(theirs: { localKey: Buffer; localSalt: Buffer; remoteKey: Buffer; remoteSalt: Buffer }) {
    const { localKey, localSalt, remoteKey, remoteSalt } = theirs;
    return { localKey, localSalt, remoteKey, remoteSalt };
  }

  function srtp(profile: typeof GCM | typeof CM, keys: SrtpKeys): SrtpSession {
    return new SrtpSession({
      profile,
      keys: {
        localMasterKey: keys.localKey,
        localMasterSalt: keys.localSalt,
        remoteMasterKey: keys.remoteKey,
        remoteMasterSalt: keys.remoteSalt,
      },
    });
  }
});
