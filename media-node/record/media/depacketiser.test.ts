import { describe, expect, it } from 'vitest';
import { fc } from '../../../shared/test-support/properties.ts';
import type { CodecName } from '../../negotiate/plan.ts';
import { createDepacketiser } from './depacketiser.ts';
import { type Frame, TrackInput } from './track-input.ts';

const CODECS: CodecName[] = ['H264', 'H265', 'VP8', 'VP9', 'AV1', 'opus'];

function assembled(codec: CodecName, ...payloads: string[]) {
  const depacketiser = createDepacketiser(codec);
  const fits = payloads.every((payload) => depacketiser.push(Buffer.from(payload, 'hex')));
  const picture = fits ? depacketiser.take() : null;
  return picture === null ? null : { key: picture.key, units: picture.units.map((unit) => unit.toString('hex')) };
}

const cases: [what: string, codec: CodecName, payloads: string[], expected: ReturnType<typeof assembled>][] = [
  ['single NAL', 'H264', ['419a2035'], { key: false, units: ['419a2035'] }],
  ['STAP-A and IDR', 'H264', ['7800046742c01f000268ce', '6588'], { key: true, units: ['6742c01f', '68ce', '6588'] }],
  ['FU-A', 'H264', ['7c85aabb', '7c05cc', '7c45dd'], { key: true, units: ['65aabbccdd'] }],
  ['FU-A without its end', 'H264', ['7c85aabb'], null],
  ['FU-A without its start', 'H264', ['7c05aabb'], null],
  ['delimiter left out', 'H264', ['09f0', '6588'], { key: true, units: ['6588'] }],
  ['STAP-A that lies about a length', 'H264', ['7800ff6742'], null],
  [
    'parameter sets and an I slice (intra refresh)',
    'H264',
    ['6742c01f', '61b8'],
    { key: true, units: ['6742c01f', '61b8'] },
  ],
  ['parameter sets and a P slice', 'H264', ['6742c01f', '619a'], { key: false, units: ['6742c01f', '619a'] }],
  ['H265 FU', 'H265', ['620193aa', '620113bb', '620153cc'], { key: true, units: ['2601aabbcc'] }],
  [
    'H265 AP',
    'H265',
    ['6001000440010c0100034201010003440101'],
    { key: false, units: ['40010c01', '420101', '440101'] },
  ],
  ['VP8 in two packets', 'VP8', ['90e08001054010', '80e080010540bb'], { key: true, units: ['10bb'] }],
  ['VP8 interframe', 'VP8', ['1011'], { key: false, units: ['11'] }],
  ['VP9 key picture', 'VP9', ['8c812a49'], { key: true, units: ['49'] }],
  [
    'VP9 two spatial layers',
    'VP9',
    ['ac812a0000aabb', 'ac812a0200cc'],
    { key: true, units: ['aabbccd90200000001000000d9'] },
  ],
];

describe('depacketisers', () => {
  it.each(cases)('%s', (_what, codec, payloads, expected) => {
    expect(assembled(codec, ...payloads)).toEqual(expected);
  });

  it('AV1: sizes are written, delimiters left out, fragments joined', () => {
    // W=2: a delimiter, then the first half of a frame OBU; then the other half.
    expect(assembled('AV1', '600110' + '30aa', '90bbcc')).toEqual({ key: false, units: ['3203aabbcc'] });
    // N, W=1: a sequence header without a size.
    expect(assembled('AV1', '18080b00')).toEqual({ key: true, units: ['0a020b00'] });
    expect(assembled('AV1', '90bbcc')).toBeNull();
  });

  it('takes any bytes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CODECS),
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 }),
        (codec, payloads) => {
          const depacketiser = createDepacketiser(codec);
          for (const payload of payloads) if (!depacketiser.push(Buffer.from(payload))) depacketiser.reset();
          const picture = depacketiser.take();
          expect(picture === null || picture.units.length > 0).toBe(true);
        },
      ),
      { numRuns: 5_000 },
    );
  });
});

/** VP8 frames of three packets each; every tenth is a keyframe. */
function stream(count: number): Buffer[] {
  return Array.from({ length: count }, (_, sequence) => {
    const frame = Math.floor(sequence / 3);
    const part = sequence % 3;
    const rtp = Buffer.alloc(12 + 1 + 4);
    rtp[0] = 0x80;
    rtp[1] = 96 | (part === 2 ? 0x80 : 0);
    rtp.writeUInt16BE((sequence + 65_500) % 65_536, 2);
    rtp.writeUInt32BE((frame * 3_000 + 4_294_900_000) % 2 ** 32, 4);
    rtp[12] = part === 0 ? 0x10 : 0;
    rtp[13] = part === 0 ? (frame % 10 === 0 ? 0 : 1) : 0xff;
    rtp.writeUInt16BE(sequence, 15);
    return rtp;
  });
}

describe('TrackInput', () => {
  function input() {
    const frames: Frame[] = [];
    let asked = 0;
    const events = { onFrame: (frame: Frame) => void frames.push(frame), onNeedKeyframe: () => void asked++ };
    const track = new TrackInput({ name: 'VP8', kind: 'video', clockRate: 90_000 }, events);
    return { frames, track, asked: () => asked };
  }

  it('whatever is lost or late, only whole frames come out, each decodable from those before it, at its own time', () => {
    const lossAndDelay = fc.array(fc.record({ lost: fc.integer({ min: 0, max: 19 }), late: fc.nat(30) }), {
      minLength: 300,
      maxLength: 300,
    });
    fc.assert(
      fc.property(lossAndDelay, (fates) => {
        const { frames, track } = input();
        const sent = stream(300).map((rtp, at) => ({
          rtp,
          lost: fates[at]?.lost === 0,
          atMs: at * 10 + (fates[at]?.late ?? 0) * 10,
        }));
        const first = sent[0];
        if (first !== undefined) Object.assign(first, { lost: false, atMs: 0 });
        for (const { rtp, lost, atMs } of sent.toSorted((a, b) => a.atMs - b.atMs)) {
          track.tick(atMs);
          if (!lost) track.push(rtp, atMs);
        }
        track.flush();
        const base = frames[0]?.rtp ?? 0;
        let previous = -1;
        for (const frame of frames) {
          const number = frame.units[0]?.readUInt16BE(2) ?? -1;
          expect(frame.units[0]).toHaveLength(12);
          expect((frame.rtp - base) % 3_000).toBe(0);
          const index = Math.round(number / 3);
          expect(index).toBeGreaterThan(previous);
          // Either it follows the one before it, or it needs none.
          expect(frame.key || index === previous + 1).toBe(true);
          expect(frame.key).toBe(index % 10 === 0);
          expect((frame.rtp - base) / 3_000).toBe(index - Math.round((frames[0]?.units[0]?.readUInt16BE(2) ?? 0) / 3));
          previous = index;
        }
      }),
      { numRuns: 200 },
    );
  });

  it('everything comes out when nothing is lost, in whatever order it came', () => {
    const { frames, track, asked } = input();
    const packets = stream(300);
    for (let at = 1; at < packets.length; at += 2) {
      if (at > 1) track.push(packets[at] as Buffer, at);
      track.push(packets[at - 1] as Buffer, at);
      if (at === 1) track.push(packets[at] as Buffer, at);
    }
    expect(frames).toHaveLength(100);
    expect(asked()).toBe(0);
  });

  it('what is lost for good is followed by a request and the next keyframe', () => {
    const { frames, track, asked } = input();
    for (const [at, packet] of stream(90).entries()) {
      track.tick(at * 100);
      if (at !== 20) track.push(packet, at * 100);
    }
    expect(asked()).toBe(1);
    expect(frames.map(({ key }) => key).lastIndexOf(true)).toBeGreaterThan(5);
    expect(frames).toHaveLength(6 + 20);
  });
});
