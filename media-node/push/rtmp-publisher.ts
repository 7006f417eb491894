/**
 * Publishes to an RTMP server (Adobe RTMP 1.0, plain handshake). The node speaks RTMP itself, ffmpeg only encodes: so the
 * stream key never stands in a process's arguments or environment, what the server says is known word for word, and the
 * address that is connected to is the one that was checked.
 */
import { randomBytes } from 'node:crypto';
import { connect as connectTcp, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type AmfValue, decodeAmf, encodeAmf } from './amf0.ts';
import { FLV_DATA, type FlvTag } from './flv-reader.ts';
import type { PushTarget } from './push-target.ts';
import { ChunkReader, type RtmpMessage, SET_CHUNK_SIZE, writeChunks } from './rtmp-chunks.ts';

const VERSION = 3;
const HANDSHAKE_BYTES = 1536;
const OUT_CHUNK_BYTES = 4096;
/** Chunk streams by what travels on them, as encoders commonly choose. */
const CHUNK_STREAM = { control: 2, command: 3, media: 4 } as const;
const MESSAGE = { acknowledgement: 3, userControl: 4, windowAckSize: 5, command: 20 } as const;
const PING_REQUEST = 6;
const PING_RESPONSE = 7;
/** What services let in; OBS and ffmpeg say the same. */
const ENCODER_NAME = 'FMLE/3.0 (compatible; Vestibule)';
/** Seconds of a stream: a server that lags this far behind is as good as gone. */
const MAX_UNSENT_BYTES = 8 * 1024 * 1024;
const SET_DATA_FRAME = encodeAmf(['@setDataFrame']);

export interface RtmpOptions {
  target: PushTarget;
  lookup: LookupFunction;
  /** Until the server has taken the stream, ms. */
  timeoutMs: number;
  signal: AbortSignal;
}

type Step = 'handshake-answer' | 'handshake-echo' | 'messages';

export class RtmpPublisher {
  /** Settles when the connection is over: with the error that ended it, or null after `close`. Never rejects. */
  readonly ended: Promise<Error | null>;
  readonly #target: PushTarget;
  readonly #socket: Socket;
  readonly #reader = new ChunkReader();
  readonly #end: (reason: Error | null) => void;
  readonly #published: () => void;
  #step: Step = 'handshake-answer';
  #pending = Buffer.alloc(0);
  #transaction = 0;
  #createTransaction = 0;
  #stream = 0;
  #received = 0;
  #acknowledged = 0;
  #ackWindow = Number.POSITIVE_INFINITY;
  #over = false;

  private constructor(target: PushTarget, socket: Socket, published: () => void) {
    this.#target = target;
    this.#socket = socket;
    this.#published = published;
    const { promise, resolve } = Promise.withResolvers<Error | null>();
    this.ended = promise;
    this.#end = (reason) => {
      this.#over = true;
      socket.destroy();
      resolve(reason);
    };
    socket.on('data', (data: Buffer) => this.#receive(data));
    socket.on('error', (error) => this.#end(this.#over ? null : error));
    socket.on('close', () => this.#end(this.#over ? null : new Error('the server closed the connection')));
  }

  /** Resolves when the server takes the stream. @throws Error with the server's words, or why it cannot be reached */
  static async open({ target, lookup, timeoutMs, signal }: RtmpOptions): Promise<RtmpPublisher> {
    signal.throwIfAborted();
    const { host, port } = target;
    const where = { host, port, lookup, noDelay: true };
    const socket = target.tls ? connectTls({ ...where, servername: host }) : connectTcp(where);
    const published = Promise.withResolvers<null>();
    const publisher = new RtmpPublisher(target, socket, () => published.resolve(null));
    const abort = (): void => publisher.#end(new Error('stopped'));
    signal.addEventListener('abort', abort);
    const timer = setTimeout(
      () => publisher.#end(new Error(`the server did not take the stream within ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
    socket.once(target.tls ? 'secureConnect' : 'connect', () => publisher.#hello());
    try {
      const failure = await Promise.race([publisher.ended, published.promise]);
      if (failure !== null) throw failure;
      return publisher;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  /** Sends one tag of ffmpeg's. */
  send(tag: FlvTag): void {
    if (this.#over) return;
    const payload = tag.type === FLV_DATA ? Buffer.concat([SET_DATA_FRAME, tag.payload]) : tag.payload;
    this.#write({ type: tag.type, stream: this.#stream, timestampMs: tag.timestampMs, payload }, CHUNK_STREAM.media);
  }

  /** Tells the server that the stream is over, then ends. Idempotent. */
  close(): void {
    if (this.#over) return;
    this.#command(0, 'FCUnpublish', ++this.#transaction, null, this.#target.key);
    this.#command(0, 'deleteStream', ++this.#transaction, null, this.#stream);
    // `destroySoon` flushes what is written; a server that does not read is not waited for.
    this.#socket.destroySoon();
    this.#over = true;
    setTimeout(() => this.#end(null), CLOSE_TIMEOUT_MS).unref();
  }

  #hello(): void {
    const clientHello = Buffer.concat([Buffer.from([VERSION]), Buffer.alloc(8), randomBytes(HANDSHAKE_BYTES - 8)]);
    this.#socket.write(clientHello);
  }

  #receive(data: Buffer): void {
    if (this.#over) return;
    this.#received += data.length;
    try {
      if (this.#step === 'messages') this.#receiveChunks(data);
      else this.#receiveHandshake(data);
    } catch (error) {
      this.#end(error instanceof Error ? error : new Error(String(error)));
    }
    if (this.#received - this.#acknowledged >= this.#ackWindow) {
      this.#acknowledged = this.#received;
      this.#control(MESSAGE.acknowledgement, uint32(this.#received >>> 0));
    }
  }

  #receiveHandshake(data: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, data]);
    if (this.#step === 'handshake-answer') {
      if (this.#pending.length < 1 + HANDSHAKE_BYTES) return;
      if (this.#pending[0] !== VERSION) throw new Error('the server does not speak RTMP');
      this.#socket.write(this.#pending.subarray(1, 1 + HANDSHAKE_BYTES));
      this.#pending = this.#pending.subarray(1 + HANDSHAKE_BYTES);
      this.#step = 'handshake-echo';
    }
    if (this.#pending.length < HANDSHAKE_BYTES) return;
    const rest = this.#pending.subarray(HANDSHAKE_BYTES);
    this.#pending = Buffer.alloc(0);
    this.#step = 'messages';
    const { app, tcUrl } = this.#target;
    this.#control(SET_CHUNK_SIZE, uint32(OUT_CHUNK_BYTES));
    const about = { app, type: 'nonprivate', flashVer: ENCODER_NAME, tcUrl };
    this.#command(0, 'connect', ++this.#transaction, about);
    this.#receiveChunks(rest);
  }

  #receiveChunks(data: Buffer): void {
    for (const message of this.#reader.push(data)) {
      if (message.type === MESSAGE.command) this.#receiveCommand(message);
      else if (message.type === MESSAGE.windowAckSize && message.payload.length >= 4) {
        this.#ackWindow = Math.max(1, message.payload.readUInt32BE(0));
      } else if (message.type === MESSAGE.userControl) this.#receiveUserControl(message.payload);
    }
  }

  #receiveUserControl(payload: Buffer): void {
    if (payload.length < 6 || payload.readUInt16BE(0) !== PING_REQUEST) return;
    const pong = Buffer.from(payload.subarray(0, 6));
    pong.writeUInt16BE(PING_RESPONSE, 0);
    this.#control(MESSAGE.userControl, pong);
  }

  #receiveCommand({ payload }: RtmpMessage): void {
    const [name, transaction, , info] = decodeAmf(payload);
    if (name === '_result' && transaction === 1) this.#announce();
    else if (name === '_result' && transaction === this.#createTransaction) this.#publish(info);
    // Old servers answer `releaseStream` and `FCPublish`, which they do not know, by an error: no harm.
    else if (name === '_error' && (transaction === 1 || transaction === this.#createTransaction)) {
      throw new Error(refusal(info, 'the server refused the connection'));
    } else if (name === 'onStatus') this.#receiveStatus(info);
    else if (name === 'close') throw new Error('the server closed the stream');
  }

  #announce(): void {
    const { key } = this.#target;
    this.#command(0, 'releaseStream', ++this.#transaction, null, key);
    this.#command(0, 'FCPublish', ++this.#transaction, null, key);
    this.#createTransaction = ++this.#transaction;
    this.#command(0, 'createStream', this.#createTransaction, null);
  }

  #publish(stream: AmfValue): void {
    if (typeof stream !== 'number') throw new Error('the server gave no stream');
    this.#stream = stream;
    this.#command(stream, 'publish', ++this.#transaction, null, this.#target.key, 'live');
  }

  #receiveStatus(info: AmfValue): void {
    const { level, code } = fieldsOf(info);
    if (code === 'NetStream.Publish.Start') this.#published();
    else if (level === 'error' || /BadName|Denied|Failed|Rejected/i.test(String(code))) {
      throw new Error(refusal(info, 'the server refused the stream'));
    } else if (code === 'NetStream.Unpublish.Success') throw new Error('the server ended the stream');
  }

  #command(stream: number, ...values: AmfValue[]): void {
    const payload = encodeAmf(values);
    this.#write({ type: MESSAGE.command, stream, timestampMs: 0, payload }, CHUNK_STREAM.command);
  }

  #control(type: number, payload: Buffer): void {
    this.#write({ type, stream: 0, timestampMs: 0, payload }, CHUNK_STREAM.control);
  }

  #write(message: RtmpMessage, chunkStream: number): void {
    // The first control message announces the size itself; nothing longer than the default goes before it.
    if (this.#over) return;
    this.#socket.write(writeChunks(message, chunkStream, OUT_CHUNK_BYTES));
    // Answers count as well: a server that asks for ever and reads nothing must not fill our memory.
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.#end(new Error('the server is too slow for this stream'));
  }
}

const CLOSE_TIMEOUT_MS = 1_000;

function uint32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

function fieldsOf(info: AmfValue): { [key: string]: AmfValue } {
  return typeof info === 'object' && info !== null && !Array.isArray(info) ? (info as { [key: string]: AmfValue }) : {};
}

function refusal(info: AmfValue, what: string): string {
  const { code, description } = fieldsOf(info);
  const words = [code, description].filter((word) => typeof word === 'string' && word !== '');
  return words.length === 0 ? what : `${what}: ${words.join(', ')}`;
}
