import { expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { parseRtcp } from '../rtcp/parse.ts';
import { VisitorLog } from '../rtcp/visitor-log.ts';
import { RtcpWriter } from '../rtcp/write.ts';
import { BEST, readOffered, readWanted, writeOffered, writeWanted } from './relay-messages.ts';

class Reader extends VisitorLog {
  readonly messages: [subtype: number, name: number, words: readonly number[]][] = [];

  application(_sender: number, subtype: number, name: number, words: readonly number[]): void {
    this.messages.push([subtype, name, words]);
  }
}

function sent(write: (writer: RtcpWriter) => boolean): Reader {
  const writer = new RtcpWriter();
  writer.receiverReport(7, []);
  expect(write(writer)).toBe(true);
  const reader = new Reader();
  expect(parseRtcp(writer.buffer, writer.length, reader)).toBe(true);
  return reader;
}

const ssrc = fc.integer({ min: 1, max: 0xffffffff });
const layer = fc.record({
  ssrc,
  bitrateBps: fc.integer({ min: 0, max: 0xffffffff }),
  width: fc.integer({ min: 0, max: 0xffff }),
  height: fc.integer({ min: 0, max: 0xffff }),
});

it('what is offered comes as it was said, and is no wish', () => {
  fc.assert(
    fc.property(fc.array(layer, { maxLength: 8 }), (layers) => {
      const [message] = sent((writer) => writeOffered(writer, 9, layers)).messages;
      expect(readOffered(...(message ?? [0, 0, []]))).toEqual(layers);
      expect(readWanted(...(message ?? [0, 0, []]))).toBeNull();
    }),
  );
});

it('what is wanted comes as it was said, and is no offer', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(ssrc, fc.constant(BEST)), { maxLength: 20 }), (wanted) => {
      const [message] = sent((writer) => writeWanted(writer, 9, wanted)).messages;
      expect(readWanted(...(message ?? [0, 0, []]))).toEqual(wanted);
      expect(readOffered(...(message ?? [0, 0, []]))).toBeNull();
    }),
  );
});

it.each([
  ['another application', 1, 0x51545353, [1, 2, 3]],
  ['another subtype', 3, 0x564c4159, [1, 2, 3]],
])('%s is neither', (_, subtype, name, words) => {
  expect([readOffered(subtype, name, words), readWanted(subtype, name, words)]).toEqual([null, null]);
});

it('half a layer is none', () => {
  expect(readOffered(1, 0x564c4159, [1, 2])).toEqual([]);
});

it('a packet that is cut off is malformed, whoever listens', () => {
  const cut = Buffer.from('81cc0001000000090000', 'hex');
  expect(parseRtcp(cut, 8, new Reader())).toBe(false);
  expect(parseRtcp(cut, 8, new VisitorLog())).toBe(false);
});
