import { describe, expect, test } from 'vitest';
import { fc } from '../../../shared/test-support/properties.ts';
import { answerFrame, muteFrame, readSignalFrame } from './signal-frames.ts';

const OFFER = { id: 7, type: 1, data: { number: 3, sdp: { type: 'offer', sdp: 'v=0' } } };

function binary(message: unknown): ArrayBuffer {
  return new TextEncoder().encode(JSON.stringify(message)).buffer;
}

function text(frame: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(frame));
}

describe('frames of the signal channel', () => {
  test('an offer is read from a binary frame and from text', () => {
    const expected = { kind: 'offer', id: 7, number: 3, sdp: 'v=0' };

    expect(readSignalFrame(binary(OFFER))).toEqual(expected);
    expect(readSignalFrame(JSON.stringify(OFFER))).toEqual(expected);
  });

  test('the type as text and the description as a string are read, too', () => {
    expect(readSignalFrame(binary({ id: 7, type: '1', data: { number: 3, sdp: 'v=0' } }))).toEqual(
      readSignalFrame(binary(OFFER)),
    );
  });

  test('a mute is read', () => {
    expect(readSignalFrame(binary({ id: 0, type: 3, data: { mid: '4', mute: true } }))).toEqual({
      kind: 'mute',
      mid: '4',
      muted: true,
    });
  });

  test('the wish that we come back elsewhere is read', () => {
    expect(readSignalFrame(binary({ id: 0, type: 4, data: {} }))).toEqual({ kind: 'reconnect' });
  });

  test.each([
    ['no JSON', 'hello'],
    ['nothing', ''],
    ['null', 'null'],
    ['an empty object', '{}'],
    ['no data', '{"id":1,"type":1,"data":null}'],
    ['an unknown type', '{"id":1,"type":9,"data":{}}'],
    ['an answer', '{"id":1,"type":2,"data":{"number":1,"sdp":{"type":"answer","sdp":"v=0"}}}'],
    ['an offer without a number', '{"id":1,"type":1,"data":{"sdp":"v=0"}}'],
    ['an offer with half a number', '{"id":1,"type":1,"data":{"number":1.5,"sdp":"v=0"}}'],
    ['an offer without a description', '{"id":1,"type":1,"data":{"number":1,"sdp":{}}}'],
    ['a mute of nothing', '{"id":1,"type":3,"data":{"mute":true}}'],
    ['a mute without a state', '{"id":1,"type":3,"data":{"mid":"1","mute":1}}'],
  ])('%s is not a frame for us', (_name, frame) => {
    expect(readSignalFrame(frame)).toBeNull();
  });

  test('nothing makes it throw', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => readSignalFrame(new Uint8Array(bytes).buffer) === null));
    fc.assert(fc.property(fc.json(), (json) => readSignalFrame(json) !== undefined));
  });

  test('an answer repeats message id and number', () => {
    expect(text(answerFrame({ id: 7, number: 3, sdp: 'v=0' }))).toEqual({
      id: 7,
      type: 2,
      data: { number: 3, sdp: { type: 'answer', sdp: 'v=0' } },
    });
  });

  test('a mute names our own section', () => {
    expect(text(muteFrame('2', false))).toEqual({ id: 0, type: 3, data: { mid: '2', mute: false } });
  });
});
