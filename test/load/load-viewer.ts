/**
 * One viewer of many: ICE, DTLS and keys as everybody, but media is only counted by its clear headers. Counting happens
 * outside of JavaScript where that can be built, else in `node:dgram`, which costs some ten times as much.
 */
import type { SrtpProfile } from '../../media-node/transport/types.ts';
import { ClientSession } from '../support/client/client-session.ts';
import { ClientTransport, type TransportEvents } from '../support/client/client-transport.ts';
import { IncomingTrack } from '../support/client/incoming-track.ts';
import type { OfferedSection } from '../support/client/offer.ts';
import type { RemoteTrack } from '../support/client/remote-answer.ts';
import type { Signalling } from '../support/client/signalling.ts';
import type { NativeReceiver, NativeSocket, StreamCounts } from '../support/native/native-receiver.ts';
import type { PlayCodec } from './arguments.ts';
import { FEEDBACK_KINDS, Feedback, type FeedbackRates, type ReportedStream } from './feedback.ts';

const AUDIO_PAYLOAD_TYPE = 111;
const PAYLOAD_TYPES: Readonly<Record<PlayCodec, number>> = { VP8: 96, VP9: 98, H264: 102, AV1: 45 };

export interface LoadViewerOptions {
  signalling: Signalling;
  /** Local IPv4 address. */
  address: string;
  codecs: readonly PlayCodec[];
  /** Offered in DTLS. */
  srtpProfiles: readonly SrtpProfile[];
  feedback: FeedbackRates;
  /** Null: `node:dgram`. */
  receiver: NativeReceiver | null;
}

/** What a viewer got so far. */
export interface ViewerCounts {
  packets: number;
  /** SRTP. */
  bytes: number;
  rtcp: number;
  /** As `performance.now()`; null: nothing came. */
  firstMs: number | null;
  /** Dropped by the kernel at this viewer's socket; 0 where that cannot be told. */
  overflowed: number;
  /** Of all streams that are not retransmissions: numbers from the first to the highest, and those that never came. */
  expected: number;
  missing: number;
  gaps: number;
  duplicates: number;
}

export class LoadViewer {
  readonly session: ClientSession;
  readonly #socket: NativeSocket | null;
  readonly #tracks: readonly IncomingTrack[];
  readonly #bytes: () => number;
  readonly #feedback: () => number;

  private constructor(fields: {
    session: ClientSession;
    socket: NativeSocket | null;
    tracks: readonly IncomingTrack[];
    bytes: () => number;
    feedback: () => number;
  }) {
    this.session = fields.session;
    this.#socket = fields.socket;
    this.#tracks = fields.tracks;
    this.#bytes = fields.bytes;
    this.#feedback = fields.feedback;
  }

  /** @throws SignallingError, or Error when there is no connection within 10 s */
  static async open(options: LoadViewerOptions): Promise<LoadViewer> {
    const { signalling, address, receiver, srtpProfiles, feedback: rates } = options;
    const tracks: IncomingTrack[] = [];
    let socket: NativeSocket | null = null;
    let bytes = 0;
    const reported = (): ReportedStream[] => reportedStreams(tracks, socket);
    const feedback = FEEDBACK_KINDS.some((kind) => rates[kind] > 0) ? new Feedback(rates, reported) : null;
    const events: TransportEvents = {
      onRtp: (_packet, length, header, nowMs) => {
        bytes += length;
        for (const track of tracks) {
          // Some servers announce no SSRC, or keep the publisher's.
          if (track.ssrc === null && track.info.payloadType === header.payloadType) track.ssrc = header.ssrc;
          if (track.ssrc === header.ssrc) track.count(header.sequence, header.timestamp, nowMs);
        }
      },
      onRtcp: () => {},
      onTick: (nowMs) => feedback?.tick(transport, nowMs),
    };
    const common = { address, cheap: true, srtpProfiles };
    const transport: ClientTransport = await ClientTransport.open(
      receiver === null
        ? common
        : {
            ...common,
            openSocket: (from, onDatagram) => {
              socket = receiver.open(from, false, onDatagram);
              return socket;
            },
          },
      events,
    );
    const sections = offered(options.codecs, rates.nack > 0);
    const session = await ClientSession.open({ signalling }, transport, sections, (answer) => {
      tracks.push(...answer.tracks.map((track) => new IncomingTrack(track)));
    });
    const counting = socket as NativeSocket | null;
    counting?.countOnly();
    return new LoadViewer({
      session,
      socket: counting,
      tracks,
      bytes: () => bytes,
      feedback: () => feedback?.sent ?? 0,
    });
  }

  /** By the server. */
  get hasEnded(): boolean {
    return this.session.transport.endReason !== null;
  }

  get feedbackSent(): number {
    return this.#feedback();
  }

  get counts(): ViewerCounts {
    return this.#socket === null ? this.#countsOfTracks() : this.#countsOfSocket(this.#socket);
  }

  /** DELETE and close_notify. Idempotent. */
  async close(): Promise<void> {
    await this.session.close();
  }

  #countsOfSocket(socket: NativeSocket): ViewerCounts {
    const { packets, bytes, rtcp, firstMs, overflowed, streams } = socket.counts;
    const sums = { expected: 0, missing: 0, gaps: 0, duplicates: 0 };
    for (const stream of streams) {
      if (isRetransmission(stream, this.#tracks)) continue;
      const expected = stream.highest - stream.first + 1;
      sums.expected += expected;
      sums.missing += expected - stream.unique;
      sums.gaps += stream.gaps;
      sums.duplicates += stream.duplicates;
    }
    const repeated = streams.filter((stream) => isRetransmission(stream, this.#tracks));
    return {
      packets: packets - repeated.reduce((sum, { unique }) => sum + unique, 0),
      bytes,
      rtcp,
      firstMs,
      overflowed,
      ...sums,
    };
  }

  #countsOfTracks(): ViewerCounts {
    const sums: ViewerCounts = {
      packets: 0,
      bytes: this.#bytes(),
      rtcp: 0,
      firstMs: null,
      overflowed: 0,
      expected: 0,
      missing: 0,
      gaps: 0,
      duplicates: 0,
    };
    for (const track of this.#tracks) {
      if (track.packets === 0) continue;
      sums.packets += track.packets;
      sums.firstMs = Math.min(sums.firstMs ?? Number.POSITIVE_INFINITY, track.firstArrivalMs);
      sums.expected += track.highestSequence - track.firstSequence + 1;
      sums.missing += track.missing;
      sums.gaps += track.gaps;
      sums.duplicates += track.duplicates;
    }
    return sums;
  }
}

function isRetransmission({ ssrc, payloadType }: StreamCounts, tracks: readonly { info: RemoteTrack }[]): boolean {
  return tracks.some(({ info }) => info.rtxSsrc === ssrc || info.rtxPayloadType === payloadType);
}

function reportedStreams(tracks: readonly IncomingTrack[], socket: NativeSocket | null): ReportedStream[] {
  if (socket === null) {
    return tracks
      .filter(({ packets }) => packets > 0)
      .map((track) => ({
        ssrc: track.ssrc ?? 0,
        highest: track.highestSequence,
        missing: track.missing,
        isVideo: track.info.kind === 'video',
      }));
  }
  return socket.counts.streams
    .filter((stream) => !isRetransmission(stream, tracks))
    .map((stream) => ({
      ssrc: stream.ssrc,
      highest: stream.highest,
      missing: stream.highest - stream.first + 1 - stream.unique,
      isVideo: tracks.some(({ info }) => info.kind === 'video' && info.payloadType === stream.payloadType),
    }));
}

/** @param rtx who asks for nothing gets nothing again, and what comes is what was forwarded */
function offered(codecs: readonly PlayCodec[], rtx: boolean): OfferedSection[] {
  const common = { direction: 'recvonly', rids: [], ssrcs: null, extensions: ['mid'] } as const;
  const audio = { codec: 'opus', payloadType: AUDIO_PAYLOAD_TYPE, rtxPayloadType: null } as const;
  const video = codecs.map((codec) => {
    const payloadType = PAYLOAD_TYPES[codec];
    return { codec, payloadType, rtxPayloadType: rtx ? payloadType + 1 : null };
  });
  return [
    { ...common, kind: 'audio', mid: 'a', formats: [audio] },
    { ...common, kind: 'video', mid: 'v', formats: video },
  ];
}
