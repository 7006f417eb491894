/**
 * A viewer as browsers are: asks for what is missing of the picture at once and then ten times a second, reports once a second,
 * and shows the pictures that are whole in time.
 */
import { emptyReportBlock } from '../../rtcp/packet-types.ts';
import { ReceptionStats } from '../../rtcp/reception-stats.ts';
import { readContent } from './rtp-source.ts';
import type { ReceivedRtp, TestPeer } from './test-peer.ts';

const TIMES_ASKED = 10;
/** What browsers take for the round trip while they cannot know it. */
const ASK_AGAIN_MS = 100;
const MAX_ASKED_AT_ONCE = 200;
const REPORT_MS = 1_000;

interface Picture {
  isKeyframe: boolean;
  /** Those that have come, by index. */
  readonly parts: Set<number>;
  wholeMs: number;
}

export interface PlayerOptions {
  ssrc: number;
  rtxSsrc: number | null;
  soundSsrc: number;
  peer: TestPeer;
  /** What the player says to the node. */
  say(datagram: Buffer): void;
}

export class Player {
  /** Packets. */
  sounds = 0;
  /** Bytes of the picture, each packet once. */
  usefulBytes = 0;
  readonly #options: PlayerOptions;
  readonly #stats = new ReceptionStats(90_000);
  readonly #missing = new Map<number, { askedMs: number; times: number }>();
  /** By the number of the frame. */
  readonly #pictures = new Map<number, Picture>();
  #readPackets = 0;
  #readReports = 0;
  #highest = -1;
  #reportMs = 0;

  constructor(options: PlayerOptions) {
    this.#options = options;
  }

  /** Call it every few milliseconds, after what has arrived was given to its peer. */
  run(nowMs: number): void {
    const { peer } = this.#options;
    for (; this.#readPackets < peer.rtp.length; this.#readPackets++) {
      const packet = peer.rtp[this.#readPackets];
      if (packet !== undefined) this.#note(packet, nowMs);
    }
    this.#ask(nowMs);
    this.#report(nowMs);
  }

  /**
   * What it shows of the frames from `first` on: shares of those that are whole in time, and of those that can be decoded.
   * @param sentMs when each frame was sent, from the very first on
   */
  shown(first: number, sentMs: readonly number[], inTimeMs: number): { whole: number; decoded: number } {
    const shown = { whole: 0, decoded: 0 };
    let decodes = false;
    for (const [frame, sent] of sentMs.entries()) {
      const { isKeyframe = false, wholeMs = Number.POSITIVE_INFINITY } = this.#pictures.get(frame) ?? {};
      const isWhole = wholeMs - sent <= inTimeMs;
      decodes = isWhole && (decodes || isKeyframe);
      if (frame < first) continue;
      if (isWhole) shown.whole++;
      if (decodes) shown.decoded++;
    }
    const frames = sentMs.length - first;
    return { whole: shown.whole / frames, decoded: shown.decoded / frames };
  }

  #note({ ssrc, sequence, timestamp, payload }: ReceivedRtp, nowMs: number): void {
    const { ssrc: own, rtxSsrc, soundSsrc } = this.#options;
    if (ssrc === soundSsrc) this.sounds++;
    if (ssrc === rtxSsrc) {
      const original = this.#highest - ((this.#highest - payload.readUInt16BE(0)) & 0xffff);
      this.#keep(original, payload.subarray(2), nowMs);
    }
    if (ssrc !== own) return;
    this.#stats.received(sequence, timestamp, nowMs);
    for (let lost = this.#highest + 1; this.#highest >= 0 && lost < sequence; lost++) {
      this.#missing.set(lost, { askedMs: Number.NEGATIVE_INFINITY, times: 0 });
    }
    this.#highest = Math.max(this.#highest, sequence);
    this.#keep(sequence, payload, nowMs);
  }

  #keep(sequence: number, payload: Buffer, nowMs: number): void {
    this.#missing.delete(sequence);
    const content = readContent(payload);
    if (content === null) return;
    const picture = this.#pictures.get(content.frame) ?? { isKeyframe: false, parts: new Set(), wholeMs: Infinity };
    this.#pictures.set(content.frame, picture);
    picture.isKeyframe ||= content.keyframe;
    if (picture.parts.has(content.index)) return;
    picture.parts.add(content.index);
    this.usefulBytes += payload.length;
    if (picture.parts.size === content.count) picture.wholeMs = nowMs;
  }

  #ask(nowMs: number): void {
    const asked: number[] = [];
    for (const [sequence, missing] of this.#missing) {
      if (nowMs - missing.askedMs < ASK_AGAIN_MS || asked.length === MAX_ASKED_AT_ONCE) continue;
      missing.askedMs = nowMs;
      missing.times++;
      asked.push(sequence & 0xffff);
      if (missing.times === TIMES_ASKED) this.#missing.delete(sequence);
    }
    const { peer, ssrc } = this.#options;
    if (asked.length > 0) this.#options.say(peer.rtcp((rtcp) => rtcp.nack(1, ssrc, asked, asked.length)));
  }

  #report(nowMs: number): void {
    const { peer, ssrc } = this.#options;
    for (; this.#readReports < peer.reports.length; this.#readReports++) {
      const report = peer.reports[this.#readReports];
      if (report?.ssrc === ssrc) this.#stats.noteSenderReport(report.ntpMiddle32, nowMs);
    }
    if (nowMs < this.#reportMs || this.#stats.packets === 0) return;
    this.#reportMs = nowMs + REPORT_MS;
    const block = emptyReportBlock(ssrc);
    this.#stats.report(nowMs, block);
    this.#options.say(peer.rtcp((rtcp) => rtcp.receiverReport(1, [block])));
  }
}
