import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it, test } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { AddressPolicy } from './address-policy.ts';
import { type AmfValue, decodeAmf, encodeAmf } from './amf0.ts';
import { parsePushTarget } from './push-target.ts';
import { ChunkReader, type RtmpMessage, SET_CHUNK_SIZE, writeChunks } from './rtmp-chunks.ts';
import { RtmpPublisher } from './rtmp-publisher.ts';

/** Cuts a buffer into pieces of these sizes, round and round. */
function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

describe('AMF0', () => {
  it('reads what it writes', () => {
    const { value } = fc.letrec<{ value: AmfValue }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.double(),
        fc.boolean(),
        fc.string({ unit: 'grapheme' }),
        fc.constantFrom(null, undefined),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(fc.string({ minLength: 1 }), tie('value'), { maxKeys: 4, noNullPrototype: false }),
      ),
    }));
    fc.assert(
      fc.property(fc.array(value), (values) => {
        expect(decodeAmf(encodeAmf(values))).toEqual(values);
      }),
    );
  });

  it('long text keeps its length', () => {
    const text = 'x'.repeat(70_000);
    expect(decodeAmf(encodeAmf([text]))).toEqual([text]);
  });

  it('of a hostile server ends in a RangeError, not in a loop', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeAmf(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
    expect(() => decodeAmf(Buffer.alloc(100_000, 10))).toThrow(RangeError);
  });
});

describe('chunks', () => {
  const message = fc.record<RtmpMessage>({
    type: fc.constantFrom(8, 9, 18, 20),
    stream: fc.nat(0xffff_ffff),
    timestampMs: fc.oneof(fc.nat(1_000_000), fc.integer({ min: 0xff_ff00, max: 0xffff_ffff })),
    payload: fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
  });

  it('put together again are the messages that were cut, however they arrive', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(message, fc.integer({ min: 2, max: 63 })), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 }),
        (messages, sizes) => {
          const wire = Buffer.concat(messages.map(([each, chunkStream]) => writeChunks(each, chunkStream, 128)));
          const reader = new ChunkReader();
          expect(cut(wire, sizes).flatMap((piece) => reader.push(piece))).toEqual(messages.map(([each]) => each));
        },
      ),
    );
  });

  it('with short headers and interleaved, as servers write them', () => {
    const reader = new ChunkReader();
    const first = writeChunks({ type: 20, stream: 0, timestampMs: 100, payload: Buffer.alloc(200, 1) }, 3, 128);
    const other = writeChunks({ type: 5, stream: 0, timestampMs: 0, payload: Buffer.from([0, 0, 0, 9]) }, 2, 128);
    // Type 1 (delta 20, length 1, type 20), then type 2 (delta 5), then type 3 (all as before).
    const short = Buffer.from([0x43, 0, 0, 20, 0, 0, 1, 20, 7, 0x83, 0, 0, 5, 8, 0xc3, 9]);
    const wire = Buffer.concat([first.subarray(0, 140), other, first.subarray(140), short]);
    expect(reader.push(wire).map(({ type, timestampMs, payload }) => [type, timestampMs, payload.at(-1)])).toEqual([
      [5, 0, 9],
      [20, 100, 1],
      [20, 120, 7],
      [20, 125, 8],
      [20, 130, 9],
    ]);
  });

  it('of a hostile server end in a RangeError', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 10 }), (pieces) => {
        const reader = new ChunkReader();
        try {
          for (const piece of pieces) reader.push(Buffer.from(piece));
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
    expect(() => new ChunkReader().push(Buffer.from([3, 0, 0, 0, 0xff, 0xff, 0xff, 9, 0, 0, 0, 0]))).toThrow(
      RangeError,
    );
  });

  it('of one byte each cost no more than their number', () => {
    const reader = new ChunkReader();
    const one = Buffer.from([0, 0, 0, 1]);
    reader.push(writeChunks({ type: SET_CHUNK_SIZE, stream: 0, timestampMs: 0, payload: one }, 2, 128));
    const payload = Buffer.alloc(64 * 1024, 7);
    // Some 20 s when each chunk cost as much as all before it.
    const [message] = reader.push(writeChunks({ type: 20, stream: 0, timestampMs: 0, payload }, 3, 1));
    expect(message?.payload.equals(payload)).toBe(true);
  });
});

describe('publishing', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  /** A server that shakes hands and then answers each command by `answer`. */
  async function serve(
    answer: (name: string, transaction: number, socket: Socket) => AmfValue[] | null,
  ): Promise<string> {
    const server = createServer((socket) => {
      const reader = new ChunkReader();
      let shaken = 0;
      socket.on('error', () => {});
      socket.on('data', (data: Buffer) => {
        const before = shaken;
        shaken += data.length;
        if (before === 0) socket.write(Buffer.concat([Buffer.from([3]), Buffer.alloc(1536, 1), Buffer.alloc(1536, 2)]));
        const rest = data.subarray(Math.max(0, 1 + 1536 * 2 - before));
        for (const { type, payload } of reader.push(rest)) {
          if (type !== 20) continue;
          const [name, transaction] = decodeAmf(payload);
          const values = answer(String(name), Number(transaction), socket);
          if (values === null) continue;
          socket.write(writeChunks({ type: 20, stream: 0, timestampMs: 0, payload: encodeAmf(values) }, 3, 128));
        }
      });
    });
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `rtmp://127.0.0.1:${(server.address() as AddressInfo).port}/live/key`;
  }

  function open(url: string, timeoutMs = 20_000): Promise<RtmpPublisher> {
    const target = parsePushTarget(url);
    if (target === null) throw new Error('not a target');
    const lookup = new AddressPolicy(['127.0.0.1']).lookupFor(target.host);
    return RtmpPublisher.open({ target, lookup, timeoutMs, signal: new AbortController().signal });
  }

  const status = (level: string, code: string): AmfValue[] => ['onStatus', 0, null, { level, code, description: 'so' }];
  const accepting = (name: string, transaction: number): AmfValue[] | null => {
    if (name === 'connect') return ['_result', transaction, {}, { code: 'NetConnection.Connect.Success' }];
    if (name === 'releaseStream') return ['_error', transaction, null, { code: 'NetConnection.Call.Failed' }];
    if (name === 'createStream') return ['_result', transaction, null, 1];
    return name === 'publish' ? status('status', 'NetStream.Publish.Start') : null;
  };

  test('is done when the server says so, even when it does not know every command, and close says goodbye', async () => {
    const names: string[] = [];
    const url = await serve((name, transaction) => {
      names.push(name);
      return accepting(name, transaction);
    });
    const publisher = await open(url);
    publisher.close();
    expect(await publisher.ended).toBeNull();
    await expect.poll(() => names.at(-1)).toBe('deleteStream');
    expect(names).toEqual([
      'connect',
      'releaseStream',
      'FCPublish',
      'createStream',
      'publish',
      'FCUnpublish',
      'deleteStream',
    ]);
  });

  test.each<[string, Parameters<typeof serve>[0], RegExp, number?]>([
    [
      'no',
      (name, id) => (name === 'connect' ? ['_error', id, null, { description: 'no such app' }] : null),
      /no such app/,
    ],
    [
      'a name that is taken',
      (name, id) => (name === 'publish' ? status('error', 'NetStream.Publish.BadName') : accepting(name, id)),
      /BadName, so/,
    ],
    ['nothing', () => null, /within 0.2 s/, 200],
    [
      'goodbye',
      (_, __, socket) => {
        socket.destroy();
        return null;
      },
      /closed the connection|ECONNRESET/,
    ],
  ])('fails with the words of a server that says %s', async (_, answer, words, timeoutMs) => {
    await expect(serve(answer).then((url) => open(url, timeoutMs))).rejects.toThrow(words);
  });

  test('ends when a server asks for ever and reads nothing', async () => {
    const url = await serve((name, _, socket) => {
      if (name !== 'connect') return null;
      socket.pause();
      // Each has us say the stream key twice.
      const payload = encodeAmf(['_result', 1, null, null]);
      const asked = writeChunks({ type: 20, stream: 0, timestampMs: 0, payload }, 3, 128);
      socket.write(Buffer.concat(Array.from({ length: 10_000 }, () => asked)));
      return null;
    });
    await expect(open(`${url}${'k'.repeat(2_000)}`, 20_000)).rejects.toThrow('too slow');
  });

  test('fails with what is no RTMP server', async () => {
    const server = createServer((socket) => {
      // Who finds no RTMP here hangs up without reading to the end.
      socket.on('error', () => {});
      socket.end(`HTTP/1.1 400 Bad Request\r\n\r\n${' '.repeat(4_000)}`);
    });
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await expect(open(`rtmp://127.0.0.1:${port}/live/key`)).rejects.toThrow(/does not speak RTMP|ECONNRESET|EPIPE/);
  });
});
