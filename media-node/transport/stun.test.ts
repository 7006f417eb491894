import { describe, expect, test } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { bindingError, bindingSuccess, hasIntegrity, localFragment, parseBindingRequest } from './stun.ts';
import { readStun, stunCheck } from './testing/stun-check.ts';

/** RFC 5769 §2.1; its password. */
const SAMPLE = Buffer.from(
  '000100582112a442b7e7a701bc34d686fa87dfae' +
    '802200105354554e207465737420636c69656e74' +
    '002400046e0001ff80290008932ff9b151263b36' +
    '000600096576746a3a68367659202020' +
    '000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf',
  'hex',
);
const PASSWORD = 'VOkJxbRl1RmTxUk/WvJxBt';

function parsed(data: Buffer) {
  const request = parseBindingRequest(data);
  if (request === null) throw new Error('not parsed');
  return request;
}

describe('reading', () => {
  test('the sample request of RFC 5769', () => {
    const request = parsed(Buffer.from(SAMPLE));

    expect(request.username).toBe('evtj:h6vY');
    expect(localFragment('evtj:h6vY')).toBe('evtj');
    expect(request.iceControlled).toBe(true);
    expect(request.useCandidate).toBe(false);
    expect(request.unknown).toEqual([]);
    expect(hasIntegrity(request, PASSWORD)).toBe(true);
    expect(hasIntegrity(request, `${PASSWORD}x`)).toBe(false);
  });

  test('attributes behind MESSAGE-INTEGRITY do not count', () => {
    const data = stunCheck({
      username: 'ours:theirs',
      password: 'secret',
      behindIntegrity: [
        [0x0006, Buffer.from('evil:theirs')],
        [0x0025, Buffer.alloc(0)],
      ],
    });

    const request = parsed(data);

    expect(request.username).toBe('ours:theirs');
    expect(request.useCandidate).toBe(false);
    expect(hasIntegrity(request, 'secret')).toBe(true);
  });

  test.each([
    [
      'a wrong fingerprint',
      (data: Buffer) => void data.writeUInt8(data.readUInt8(data.length - 1) ^ 1, data.length - 1),
    ],
    ['a wrong cookie', (data: Buffer) => void data.writeUInt8(0, 4)],
    ['a wrong length', (data: Buffer) => void data.writeUInt16BE(data.length, 2)],
    ['a response', (data: Buffer) => void data.writeUInt16BE(0x0101, 0)],
    ['an attribute that is too long', (data: Buffer) => void data.writeUInt16BE(999, 22)],
  ])('%s is no request', (_name, damage) => {
    const data = stunCheck({ username: 'a:b', password: 'c' });
    damage(data);
    expect(parseBindingRequest(data)).toBeNull();
  });

  test('a message without FINGERPRINT is one', () => {
    expect(parseBindingRequest(stunCheck({ username: 'a:b', password: 'c', fingerprint: false }))).not.toBeNull();
  });

  test('anything at all never throws', () => {
    const valid = stunCheck({ username: 'ours:theirs', password: 'secret', useCandidate: true });
    const mutated = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 4 }).map((changes) => {
      const data = Buffer.from(valid);
      for (const [at, value] of changes) data.writeUInt8(value, at);
      return data;
    });
    const random = fc.uint8Array({ maxLength: 120 }).map((bytes) => Buffer.from(bytes));
    const headed = random.map((bytes) => {
      const head = Buffer.from(valid.subarray(0, 20));
      head.writeUInt16BE(bytes.length, 2);
      return Buffer.concat([head, bytes]);
    });

    fc.assert(
      fc.property(fc.oneof(mutated, random, headed), (data) => {
        const request = parseBindingRequest(data);
        if (request === null) return;
        const authentic = hasIntegrity(request, 'secret');
        // Whoever keeps the integrity keeps what it covers.
        if (authentic) expect(request.raw.subarray(20, request.integrityOffset)).toEqual(valid.subarray(20, 40));
        bindingSuccess(request, '192.0.2.1', 1, 'secret');
        bindingError(request, 420, null);
      }),
      { numRuns: 10_000 },
    );
  });
});

describe('writing', () => {
  test.each([
    ['192.0.2.1', '0001a147e112a643'],
    ['2001:db8:1234:5678:11:2233:4455:6677', '0002a1470113a9faa5d3f179bc25f4b5bed2b9d9'],
  ])('XOR-MAPPED-ADDRESS of %s is that of RFC 5769', (address, expected) => {
    const request = parsed(Buffer.from(SAMPLE));

    const response = bindingSuccess(request, address, 32853, PASSWORD);

    const { type, attributes } = readStun(response);
    expect(type).toBe(0x0101);
    expect(response.subarray(4, 20)).toEqual(SAMPLE.subarray(4, 20));
    expect(attributes.get(0x0020)?.toString('hex')).toBe(expected);
    // As a request it would authenticate: integrity and fingerprint are where they belong.
    response.writeUInt16BE(0x0001, 0);
    expect([...attributes.keys()]).toEqual([0x0020, 0x0008, 0x8028]);
  });

  test('420 names the unknown attributes', () => {
    const request = parsed(
      stunCheck({
        username: 'a:b',
        password: 'c',
        extra: [
          [0x7ffe, Buffer.alloc(4)],
          [0xc001, Buffer.alloc(4)],
        ],
      }),
    );

    const { type, errorCode, attributes } = readStun(bindingError(request, 420, 'c'));

    expect({ type, errorCode, unknown: attributes.get(0x000a)?.toString('hex') }).toEqual({
      type: 0x0111,
      errorCode: 420,
      unknown: '7ffe',
    });
  });
});
