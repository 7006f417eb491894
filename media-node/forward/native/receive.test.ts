/** The addon opens what comes exactly as the portable receiver does; and it survives what makes no sense. */
import { execFile } from 'node:child_process';
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import type { SrtpProfile } from '../../transport/types.ts';
import { isRtcp, MIN_DATAGRAM_BYTES } from '../rtcp-mux.ts';
import { parseRtpHeader, RtpHeader } from '../rtp-header.ts';
import { deriveSessionKeys, keyBytes, type SessionKeys } from '../srtp/session-keys.ts';
import { MAX_SSRCS, SrtpReceiver } from '../srtp/srtp-receiver.ts';
import { SRTP_OVERHEAD, SrtpSender } from '../srtp/srtp-sender.ts';
import { seededRandom } from '../testing/keys.ts';
import { buildAddon, loadAddon } from './addon.ts';
import { COLUMN, COLUMNS, KIND, type ReceiveMethods, SLOT_BYTES } from './receive-methods.ts';

const run = promisify(execFile);
const FUZZ = fileURLToPath(new URL('fuzz-receive.ts', import.meta.url));
const CALLS = 30_000;
const BUILD_MS = 300_000;
const PROFILES = { AEAD_AES_128_GCM: 1, AES_CM_128_HMAC_SHA1_80: 2 } as const;

let create: () => ReceiveMethods;
beforeAll(async () => {
  const addon = await loadAddon();
  create = () => addon.createReceiver();
}, BUILD_MS);

/** What one receiver makes of a datagram: plaintext, and the number of an RTP packet (−1: RTCP); null: refused. */
type Opened = { plain: string; index: number } | null;
type Open = (datagram: Buffer) => Opened;

function portable(keys: SessionKeys): Open {
  const receiver = new SrtpReceiver(keys);
  const header = new RtpHeader();
  const out = Buffer.alloc(SLOT_BYTES);
  return (datagram) => {
    if (datagram.length < MIN_DATAGRAM_BYTES) return null;
    const rtcp = isRtcp(datagram);
    if (!rtcp && !parseRtpHeader(datagram, datagram.length, header)) return null;
    const length = rtcp ? receiver.unprotectRtcp(datagram, out) : receiver.unprotectRtp(datagram, header, out);
    return length < 0 ? null : { plain: out.toString('hex', 0, length), index: rtcp ? -1 : receiver.index };
  };
}

function native(keys: SessionKeys): Open {
  const methods = create();
  const opener = methods.openOpener(PROFILES[keys.profile], keyBytes(keys));
  const columns = new Float64Array(COLUMNS);
  const slot = Buffer.alloc(SLOT_BYTES);
  return (datagram) => {
    datagram.copy(slot);
    methods.openMedia(opener, slot, datagram.length, columns);
    const kind = columns[COLUMN.kind];
    if (kind === KIND.refused) return null;
    const plain = slot.toString('hex', 0, columns[COLUMN.length]);
    return { plain, index: kind === KIND.rtp ? (columns[COLUMN.index] ?? 0) : -1 };
  };
}

class Publisher {
  readonly #sender: SrtpSender;
  readonly #random: (below: number) => number;
  readonly #ssrcs = new Map<number, number>();
  #rtcpIndex = 1;

  constructor(keys: SessionKeys, random: (below: number) => number) {
    this.#sender = new SrtpSender(keys);
    this.#random = random;
  }

  /** The next packet of an SSRC, with CSRCs and extensions now and then; some begin close to their rollover. */
  rtp(ssrc: number): Buffer {
    const random = this.#random;
    const index =
      (this.#ssrcs.get(ssrc) ?? (ssrc % 2 === 0 ? 65_500 : 10)) + 1 + (random(40) === 0 ? random(3_000) : 0);
    this.#ssrcs.set(ssrc, index);
    const csrcs = random(8) === 0 ? random(16) : 0;
    const words = random(3) === 0 ? random(8) : -1;
    const header = Buffer.alloc(12 + 4 * csrcs + (words < 0 ? 0 : 4 + 4 * words), 7);
    header[0] = 0x80 | csrcs | (words < 0 ? 0 : 0x10);
    header[1] = 96 + random(8);
    header.writeUInt16BE(index & 0xffff, 2);
    header.writeUInt32BE(ssrc, 8);
    if (words >= 0) header.writeUInt32BE(((0xbede << 16) >>> 0) + words, 12 + 4 * csrcs);
    const payload = Buffer.alloc(random(5) === 0 ? 0 : random(1200), random(256));
    const out = Buffer.alloc(header.length + payload.length + SRTP_OVERHEAD);
    header.copy(out);
    return out.subarray(0, this.#sender.protectRtp(out, header.length, payload, Math.floor(index / 65_536)));
  }

  rtcp(ssrc: number): Buffer {
    const words = 1 + this.#random(60);
    const out = Buffer.alloc(4 + 4 * words + SRTP_OVERHEAD, this.#random(256));
    out.writeUInt32BE((0x81c90000 + words) >>> 0, 0);
    out.writeUInt32BE(ssrc, 4);
    this.#rtcpIndex += 1 + (this.#random(20) === 0 ? this.#random(500) : 0);
    return out.subarray(0, this.#sender.protectRtcpAt(out, 4 + 4 * words, this.#rtcpIndex));
  }
}

/** What a network and an attacker make of it: late, twice, lost, changed, cut, or nonsense. */
function onTheWay(datagrams: Buffer[], random: (below: number) => number): Buffer[] {
  const arrived: [number, Buffer][] = [];
  for (const [at, datagram] of datagrams.entries()) {
    const late = random(10) === 0 ? random(200) : random(3);
    if (random(12) > 0) arrived.push([at + late, datagram]);
    if (random(12) === 0) arrived.push([at + random(400), datagram]);
    if (random(10) === 0) {
      const changed = Buffer.from(datagram);
      const place = random(3) === 0 ? random(16) : random(changed.length);
      changed[place] = (changed[place] ?? 0) ^ (1 << random(8));
      arrived.push([at + random(3), changed]);
    }
    if (random(15) === 0) arrived.push([at, datagram.subarray(0, random(datagram.length))]);
    if (random(20) === 0) arrived.push([at, Buffer.from(Array.from({ length: random(80) }, () => random(256)))]);
  }
  return arrived.toSorted(([a], [b]) => a - b).map(([, datagram]) => datagram);
}

describe.each(['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'] as const)('%s', (profile: SrtpProfile) => {
  it.each([1, 2, 3, 4])('both receivers agree on every datagram of a random course (%i)', (seed) => {
    const unit = seededRandom(seed);
    const random = (below: number): number => Math.floor(unit() * below);
    const salt = Buffer.alloc(profile === 'AEAD_AES_128_GCM' ? 12 : 14, seed);
    const keys = deriveSessionKeys(profile, Buffer.alloc(16, seed), salt);
    const publisher = new Publisher(keys, random);
    // More SSRCs than are remembered: which one is forgotten shows, too.
    const ssrcs = Array.from({ length: seed === 4 ? MAX_SSRCS + 20 : 5 }, (_, i) => 0x1000 * (i + 1) + i);
    const sent = Array.from({ length: 2_500 }, () => {
      const ssrc = ssrcs[random(ssrcs.length)] ?? 0;
      return random(6) === 0 ? publisher.rtcp(ssrc) : publisher.rtp(ssrc);
    });
    const [one, other] = [portable(keys), native(keys)];
    const seen = { opened: 0, refused: 0 };
    for (const datagram of onTheWay(sent, random)) {
      const expected = one(datagram);
      expect(other(datagram)).toEqual(expected);
      seen[expected === null ? 'refused' : 'opened'] += 1;
    }
    expect(Math.min(seen.opened, seen.refused)).toBeGreaterThan(500);
  });

  it('RTCP is refused when its E flag was taken away: the flag is authenticated', () => {
    const salt = Buffer.alloc(profile === 'AEAD_AES_128_GCM' ? 12 : 14, 2);
    const keys = deriveSessionKeys(profile, Buffer.alloc(16, 1), salt);
    const datagram = new Publisher(keys, () => 0).rtcp(7);
    const word = datagram.length - (profile === 'AEAD_AES_128_GCM' ? 4 : 14);
    datagram[word] = (datagram[word] ?? 0) & 0x7f;
    expect([portable(keys)(datagram), native(keys)(datagram)]).toEqual([null, null]);
  });
});

describe('known answers', () => {
  const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
  /** RFC 7714 §16 and §17 give session keys, not master keys. */
  const packetKeys = {
    cipherKey: createSecretKey(hex('000102030405060708090a0b0c0d0e0f')),
    salt: hex('517569642070726f2071756f'),
    authKey: null,
  };
  const keys: SessionKeys = { profile: 'AEAD_AES_128_GCM', rtp: packetKeys, rtcp: packetKeys };

  it('AEAD_AES_128_GCM SRTP (RFC 7714 §16.1)', () => {
    const opened = native(keys)(
      hex(`8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
        0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce`),
    );
    const plain = hex(`8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
      69736120 696e2070 61727465 73207472 6573`);
    expect(opened).toEqual({ plain: plain.toString('hex'), index: 0xf17b });
  });

  it('AEAD_AES_128_GCM SRTCP (RFC 7714 §17.1)', () => {
    const opened = native(keys)(
      hex(`81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
        c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4`),
    );
    const plain = hex(`81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
      deadbeef deadbeef deadbeef deadbeef deadbeef`);
    expect(opened).toEqual({ plain: plain.toString('hex'), index: -1 });
  });

  it('SRTCP that is authenticated and not encrypted, AEAD_AES_128_GCM (RFC 7714 §17.3)', () => {
    const opened = native(keys)(
      hex(`81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
        deadbeef deadbeef deadbeef deadbeef deadbeef 841dd968 3dd78ec9 2ae58790 125f62b3 000005d4`),
    );
    expect(opened?.plain.startsWith('81c8000d4d6172734e545031')).toBe(true);
  });

  it('SRTCP that is authenticated and not encrypted, AES_CM_128_HMAC_SHA1_80 (RFC 3711 §3.4)', () => {
    const own = deriveSessionKeys('AES_CM_128_HMAC_SHA1_80', Buffer.alloc(16, 1), Buffer.alloc(14, 2));
    const clear = hex('80c90001 00000007 00000009');
    const tag = createHmac('sha1', own.rtcp.authKey as KeyObject)
      .update(clear)
      .digest()
      .subarray(0, 10);
    const datagram = Buffer.concat([clear, tag]);
    const expected = { plain: '80c9000100000007', index: -1 };
    expect([portable(own)(datagram), native(own)(datagram)]).toEqual([expected, expected]);
  });
});

describe('the receiving half of the addon', () => {
  /** The library that has to be loaded before Node when the addon is built with the sanitizers; null when there is none. */
  async function sanitizer(): Promise<string | null> {
    try {
      const { stdout } = await run('c++', ['-print-file-name=libasan.so']);
      return existsSync(stdout.trim()) ? stdout.trim() : null;
    } catch {
      return null;
    }
  }

  async function fuzz(addon: string, seed: number, env: NodeJS.ProcessEnv = {}) {
    const args = ['--expose-gc', FUZZ, addon, String(CALLS), String(seed)];
    const { stdout } = await run(process.execPath, args, { env: { ...process.env, ...env } });
    return JSON.parse(stdout) as { through: number; refused: number; received: number; opened: number };
  }

  it('refuses what makes no sense and survives it', { timeout: BUILD_MS }, async () => {
    const { through, refused, received, opened } = await fuzz(await buildAddon(), 1);
    // One step may be two: who opens one socket too many closes another.
    expect(through + refused).toBeGreaterThanOrEqual(CALLS);
    // Everything that is to be tried was tried.
    expect(Math.min(through, refused)).toBeGreaterThan(CALLS / 10);
    expect(Math.min(received, opened)).toBeGreaterThan(50);
  });

  it('touches no memory that is not its own', { timeout: BUILD_MS }, async ({ skip }) => {
    const library = await sanitizer();
    if (library === null) return skip();
    const { through } = await fuzz(await buildAddon({ sanitize: true }), 2, {
      LD_PRELOAD: library,
      ASAN_OPTIONS: 'detect_leaks=0', // Node itself never frees everything.
      UBSAN_OPTIONS: 'print_stacktrace=1',
    });
    expect(through).toBeGreaterThan(CALLS / 10);
  });
});
