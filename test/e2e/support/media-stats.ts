/** What a connection inside a page receives and sends, by its own statistics. */
import type { Page } from 'playwright-core';
import { until } from './until.ts';

export interface Received {
  state: string;
  videoCodec: string;
  audioCodec: string;
  width: number;
  framesDecoded: number;
  keyFramesDecoded: number;
  videoPackets: number;
  lost: number;
  nacks: number;
  repaired: number;
  freezes: number;
  freezeSeconds: number;
  /** Mean over the whole session. */
  jitterBufferMs: number;
  audioPackets: number;
  /** Sum over time of the squared amplitude: grows only when something is heard. */
  audioEnergy: number;
}

export interface Sent {
  state: string;
  videoCodec: string;
  bytes: number;
  framesSent: number;
  retransmitted: number;
  nacks: number;
  plis: number;
  /** Encodings that have sent frames, by rid. */
  framesByRid: Record<string, number>;
  availableBps: number;
  iceLocal: string;
}

declare global {
  /** Pages of the project expose `vestibule`, pages of the tests set `connection`. */
  var vestibule: { client: { connection: RTCPeerConnection | null; resourceUrl: string | null; state: string } };
  var connection: RTCPeerConnection | undefined;
}

/** Null while the page has no connection. */
export function received(page: Page): Promise<Received | null> {
  return page.evaluate(async () => {
    const peer = globalThis.connection ?? globalThis.vestibule?.client.connection ?? null;
    if (peer === null) return null;
    const report = await peer.getStats();
    const all = [...report.values()];
    const video = all.find((stat) => stat.type === 'inbound-rtp' && stat.kind === 'video') ?? {};
    const audio = all.find((stat) => stat.type === 'inbound-rtp' && stat.kind === 'audio') ?? {};
    const codecOf = (stat: { codecId?: string }): string => report.get(stat.codecId ?? '')?.mimeType ?? '';
    return {
      state: peer.connectionState as string,
      videoCodec: codecOf(video),
      audioCodec: codecOf(audio),
      width: video.frameWidth ?? 0,
      framesDecoded: video.framesDecoded ?? 0,
      keyFramesDecoded: video.keyFramesDecoded ?? 0,
      videoPackets: video.packetsReceived ?? 0,
      lost: video.packetsLost ?? 0,
      nacks: video.nackCount ?? 0,
      repaired: video.retransmittedPacketsReceived ?? 0,
      freezes: video.freezeCount ?? 0,
      freezeSeconds: video.totalFreezesDuration ?? 0,
      jitterBufferMs: (1000 * (video.jitterBufferDelay ?? 0)) / Math.max(1, video.jitterBufferEmittedCount ?? 0),
      audioPackets: audio.packetsReceived ?? 0,
      audioEnergy: audio.totalAudioEnergy ?? 0,
    };
  });
}

/** Null while the page has no connection. */
export function sent(page: Page): Promise<Sent | null> {
  return page.evaluate(async () => {
    const peer = globalThis.connection ?? globalThis.vestibule?.client.connection ?? null;
    if (peer === null) return null;
    const report = await peer.getStats();
    const all = [...report.values()];
    const video = all.filter((stat) => stat.type === 'outbound-rtp' && stat.kind === 'video');
    const sum = (name: string): number => video.reduce((total, stat) => total + (stat[name] ?? 0), 0);
    const transport = all.find((stat) => stat.type === 'transport') ?? {};
    return {
      state: peer.connectionState as string,
      videoCodec: report.get(video[0]?.codecId ?? '')?.mimeType ?? '',
      bytes: sum('bytesSent'),
      framesSent: sum('framesSent'),
      retransmitted: sum('retransmittedPacketsSent'),
      nacks: sum('nackCount'),
      plis: sum('pliCount'),
      framesByRid: Object.fromEntries(video.map((stat) => [stat.rid ?? '', stat.framesSent ?? 0])),
      availableBps: report.get(transport.selectedCandidatePairId ?? '')?.availableOutgoingBitrate ?? 0,
      iceLocal: transport.iceLocalUsernameFragment ?? '',
    };
  });
}

/** The picture moves and is heard: `frames` more frames and some sound than now. */
export async function playsOn(page: Page, frames = 15, deadlineMs?: number): Promise<Received> {
  const before = await received(page);
  return until(
    `${frames} more frames with sound`,
    async () => {
      const now = await received(page);
      if (now === null) return null;
      // A new session counts from nothing.
      const base =
        before !== null && now.framesDecoded >= before.framesDecoded ? before : { framesDecoded: 0, audioPackets: 0 };
      return now.framesDecoded >= base.framesDecoded + frames && now.audioPackets > base.audioPackets ? now : null;
    },
    deadlineMs,
  );
}
