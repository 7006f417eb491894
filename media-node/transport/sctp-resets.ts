/** Stream resets of an SCTP association (RFC 6525), by which data channels are closed (RFC 8831 §6.7). */
import type { SctpOutbound } from './sctp-outbound.ts';
import { readParameters, tsnAdd, tsnDistance } from './sctp-packet.ts';
import { OutgoingSSNResetRequestParam, ReconfigResponseParam } from './werift-internals.ts';

const PARAMETER = { outgoingReset: 13, incomingReset: 14, response: 16, addOutgoing: 17, addIncoming: 18 } as const;
/** RFC 6525 §4.4 */
const RESULT = { nothingToDo: 0, performed: 1, denied: 2, badSequence: 5, inProgress: 6 } as const;
const RESET_HEADER_BYTES = 12;
const RESPONSE_BYTES = 8;
/** As many as chunks are sent: a way that is gone for a while ends nothing. */
const MAX_REQUESTS = 15;
/** Streams that wait for their reset. */
const MAX_WAITING = 256;
/** What one request of the peer may name. */
const MAX_STREAMS_PER_REQUEST = 256;

interface ReconfigParameter {
  readonly type: number;
  readonly bytes: Buffer;
}

export interface ResetEvents {
  send(parameter: ReconfigParameter): void;
  /** The peer reset its side of these streams. */
  reset(streams: readonly number[]): void;
}

export class SctpResets {
  readonly #outbound: SctpOutbound;
  readonly #events: ResetEvents;
  #nextRequest: number;
  /** The peer's last request that was dealt with, and what it was told. */
  #lastRequest: number;
  #lastResult: number = RESULT.performed;
  readonly #waiting = new Set<number>();
  #pending: { parameter: InstanceType<typeof OutgoingSSNResetRequestParam>; sentMs: number; sends: number } | null =
    null;

  constructor(initialTsn: number, peerTsn: number, outbound: SctpOutbound, events: ResetEvents) {
    this.#outbound = outbound;
    this.#events = events;
    this.#nextRequest = initialTsn;
    this.#lastRequest = tsnAdd(peerTsn, -1);
  }

  /** When `tick` has something to do. */
  get nextTickMs(): number {
    const pending = this.#pending;
    return pending === null ? Number.POSITIVE_INFINITY : pending.sentMs + this.#outbound.timeoutMs(pending.sends - 1);
  }

  request(stream: number, nowMs: number): void {
    if (this.#waiting.size >= MAX_WAITING) return;
    this.#waiting.add(stream);
    this.#outbound.hold(stream);
    this.flush(nowMs);
  }

  /** Sends the next request, of streams on which everything is acknowledged, when none is on the way. */
  flush(nowMs: number): void {
    if (this.#pending !== null || this.#waiting.size === 0) return;
    const streams = [...this.#waiting].filter((stream) => this.#outbound.isSettled(stream));
    if (streams.length === 0) return;
    for (const stream of streams) this.#waiting.delete(stream);
    // What the peer must have before is what it has acknowledged, though other streams have more on the way: it need not
    // say that it is not ready, which versions of libwebrtc then say for ever.
    const { cumulativeTsn } = this.#outbound;
    const parameter = new OutgoingSSNResetRequestParam(this.#nextRequest, this.#lastRequest, cumulativeTsn, streams);
    this.#nextRequest = tsnAdd(this.#nextRequest, 1);
    this.#pending = { parameter, sentMs: nowMs, sends: 1 };
    this.#events.send(parameter);
  }

  /** Repeats the request, ever more seldom. False when the peer never answers. */
  tick(nowMs: number): boolean {
    const pending = this.#pending;
    if (pending === null || nowMs < this.nextTickMs) return true;
    if (pending.sends >= MAX_REQUESTS) return false;
    pending.sends += 1;
    pending.sentMs = nowMs;
    this.#events.send(pending.parameter);
    return true;
  }

  /** Takes the body of a RE-CONFIG chunk. */
  receive(body: Buffer, cumulativeTsn: number, nowMs: number): void {
    for (const { type, value } of readParameters(body)) {
      if (type === PARAMETER.response) this.#receiveResponse(value, nowMs);
      else if (type === PARAMETER.outgoingReset) this.#receiveReset(value, cumulativeTsn);
      else if (type === PARAMETER.incomingReset || type === PARAMETER.addOutgoing || type === PARAMETER.addIncoming) {
        if (value.length >= 4) this.#answer(value.readUInt32BE(0), () => RESULT.denied);
      }
    }
  }

  #receiveResponse(value: Buffer, nowMs: number): void {
    const pending = this.#pending;
    if (pending === null || value.length < RESPONSE_BYTES) return;
    if (value.readUInt32BE(0) !== pending.parameter.requestSequence) return;
    const result = value.readUInt32BE(4);
    if (result === RESULT.inProgress) {
      // It is there, and waits for what was sent before.
      pending.sends = 1;
      return;
    }
    this.#pending = null;
    const wasReset = result === RESULT.performed || result === RESULT.nothingToDo;
    for (const stream of pending.parameter.streams) {
      this.#outbound.release(stream, wasReset, nowMs);
      if (this.#waiting.has(stream)) this.#outbound.hold(stream);
    }
    this.flush(nowMs);
  }

  #receiveReset(value: Buffer, cumulativeTsn: number): void {
    if (value.length < RESET_HEADER_BYTES) return;
    let streams: number[] = [];
    this.#answer(value.readUInt32BE(0), () => {
      // What it sent before must be here first.
      if (tsnDistance(cumulativeTsn, value.readUInt32BE(8)) > 0) return RESULT.inProgress;
      for (let at = RESET_HEADER_BYTES; at + 2 <= value.length; at += 2) streams.push(value.readUInt16BE(at));
      streams = [...new Set(streams)].slice(0, MAX_STREAMS_PER_REQUEST);
      return RESULT.performed;
    });
    if (streams.length > 0) this.#events.reset(streams);
  }

  /**
   * Requests are dealt with in their order, each once; a repeated one is told the same again. One that could not be dealt
   * with yet is repeated under its own number (RFC 6525 §5.2.2), or under the next one: dcSCTP did so for years.
   */
  #answer(sequence: number, deal: () => number): void {
    const isNext = sequence === tsnAdd(this.#lastRequest, 1);
    const isRepeated = sequence === this.#lastRequest;
    let result: number = RESULT.badSequence;
    if (isNext || (isRepeated && this.#lastResult === RESULT.inProgress)) {
      result = deal();
      this.#lastRequest = sequence;
      this.#lastResult = result;
    } else if (isRepeated) result = this.#lastResult;
    // werift knows two results only.
    this.#events.send(new ReconfigResponseParam(sequence, result as 1));
  }
}
