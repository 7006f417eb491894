import { describe, expect, test } from 'vitest';
import {
  answerFrame,
  decodeFrame,
  encodeFrame,
  MAX_SIGNAL_FRAME_LENGTH,
  muteFrame,
  offerFrame,
  type SignalFrame,
} from './signal-frames.ts';
import { fc } from './test-support/properties.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const OFFER = offerFrame(3, 'v=0\r\n');
const ANSWER = answerFrame({ ...OFFER, id: 123 }, 'v=0\r\ns=-\r\n');
const MUTE = muteFrame('4', true);

test('the form on the wire', () => {
  expect(encodeFrame(OFFER)).toBe('{"id":0,"type":1,"data":{"number":3,"sdp":{"type":"offer","sdp":"v=0\\r\\n"}}}');
  expect(JSON.parse(encodeFrame(ANSWER))).toEqual({
    id: 123,
    type: 2,
    data: { number: 3, sdp: { type: 'answer', sdp: 'v=0\r\ns=-\r\n' } },
  });
  expect(JSON.parse(encodeFrame(MUTE))).toEqual({ id: 0, type: 3, data: { mid: '4', mute: true } });
});

test.each([OFFER, ANSWER, MUTE])('there and back, binary and text: type $type', (frame) => {
  expect(decodeFrame(bytes(encodeFrame(frame)))).toEqual(frame);
  expect(decodeFrame(encodeFrame(frame))).toEqual(frame);
});

describe('reads what other clients write', () => {
  test.each<[string, unknown, SignalFrame]>([
    ['the type as a number in text', { ...ANSWER, type: '2' }, ANSWER],
    ['the type by name', { ...ANSWER, type: 'answer' }, ANSWER],
    ['mute by name', { ...MUTE, type: 'mute' }, MUTE],
    ['a bare SDP', { ...ANSWER, data: { number: 3, sdp: ANSWER.data.sdp.sdp } }, ANSWER],
    ['both', { id: 123, type: 'answer', data: { number: 3, sdp: ANSWER.data.sdp.sdp } }, ANSWER],
    ['no id', { type: 3, data: { mid: '4', mute: true } }, MUTE],
    ['more than we know', { ...MUTE, extra: 1, data: { mid: '4', mute: true, why: 'x' } }, MUTE],
  ])('%s', (_what, written, read) => {
    expect(decodeFrame(JSON.stringify(written))).toEqual(read);
  });
});

describe('refuses', () => {
  test.each([
    '',
    'junk',
    '{}',
    'null',
    '[]',
    '3',
    '{"type":9}',
    '{"type":"9"}',
    '{"type":"toString"}',
    '{"type":"__proto__","data":{}}',
    '{"id":0,"type":2,"data":null}',
    '{"id":0,"type":2,"data":{"number":-1,"sdp":"x"}}',
    '{"id":0,"type":2,"data":{"number":1.5,"sdp":"x"}}',
    '{"id":0,"type":2,"data":{"number":4294967296,"sdp":"x"}}',
    '{"id":0,"type":2,"data":{"number":1,"sdp":{"type":"offer","sdp":"x"}}}',
    '{"id":0,"type":2,"data":{"number":1,"sdp":{"type":"answer"}}}',
    '{"id":0,"type":3,"data":{"mid":4,"mute":true}}',
    '{"id":0,"type":3,"data":{"mid":"4","mute":"yes"}}',
    `{"id":0,"type":3,"data":{"mid":"${'4'.repeat(300)}","mute":true}}`,
    '{"id":-1,"type":3,"data":{"mid":"4","mute":true}}',
  ])('%s', (text) => {
    expect(decodeFrame(text)).toBeNull();
    expect(decodeFrame(bytes(text))).toBeNull();
  });

  test('what is not UTF-8, or too long', () => {
    expect(decodeFrame(Uint8Array.from([0x22, 0xff, 0x22]))).toBeNull();
    const long = encodeFrame(answerFrame(OFFER, 'x'.repeat(MAX_SIGNAL_FRAME_LENGTH)));
    expect(decodeFrame(long)).toBeNull();
    expect(decodeFrame(bytes(long))).toBeNull();
  });

  test('anything without throwing', () => {
    const changed = fc
      .tuple(fc.constantFrom(OFFER, ANSWER, MUTE), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }))
      .map(([frame, changes]) => {
        const data = bytes(encodeFrame(frame));
        for (const [at, value] of changes) data[at % data.length] = value;
        return data;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.json(), changed), (data) => {
        const frame = decodeFrame(data);
        if (frame !== null) expect(decodeFrame(encodeFrame(frame))).toEqual(frame);
      }),
      { numRuns: 10_000 },
    );
  });
});
