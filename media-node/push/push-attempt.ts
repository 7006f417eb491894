/** One try at being on the air: server, ffmpeg and feed, from the beginning to whatever ends it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { EgressMedia, SourceTrack } from '../forward/types.ts';
import type { Codec, EgressTrackPlan } from '../negotiate/plan.ts';
import type { NodeContext } from '../session/context.ts';
import { mintMediaIds } from '../session/media-ids.ts';
import type { AddressPolicy } from './address-policy.ts';
import { type FedTrack, feedSdp, ffmpegArguments, isCopied } from './ffmpeg-arguments.ts';
import { FfmpegProgram } from './ffmpeg-program.ts';
import { FLV_AUDIO, FLV_VIDEO, FlvReader, type FlvTag, isKeyframe, isSequenceHeader } from './flv-reader.ts';
import { freePortPair, LoopbackFeed, untilBound } from './loopback-feed.ts';
import type { PushTarget } from './push-target.ts';
import { RtmpPublisher } from './rtmp-publisher.ts';

/** A track that goes on the air. */
export interface PushSource {
  /** Unlike that of any other track of the lobby. */
  key: string;
  codec: Codec;
  track: SourceTrack;
}

export interface PushAttemptOptions {
  context: NodeContext;
  ffmpeg: string;
  target: PushTarget;
  policy: AddressPolicy;
  sources: readonly PushSource[];
  signal: AbortSignal;
  /** The server has the stream and media flows. */
  onOnline(): void;
}

const SERVER_TIMEOUT_MS = 10_000;
const FFMPEG_BIND_TIMEOUT_MS = 10_000;
/** The taps' sender reports reach ffmpeg before the packets, so that it places sound and picture right from the first. */
const REPORTS_AHEAD_MS = 60;
/** Nothing out of ffmpeg for this long: it hangs, or nothing goes in. */
const STALL_MS = 15_000;
const WATCH_MS = 500;
/** A stream that is copied has the publisher's keyframes: browsers send none unasked, services want one this often. */
const KEYFRAME_INTERVAL_MS = 2_000;
/** Without a picture for this long ffmpeg may have lost a packet, and drops all until the next keyframe. */
const NO_PICTURE_MS = 1_000;
const FIRST_PAYLOAD_TYPE = 96;
const NO_FEEDBACK = { nack: false, pli: false, fir: false, remb: false, transportCc: false };

/** Resolves with why it ended, when everything that it started is gone. Never rejects. */
export async function attemptPush(options: PushAttemptOptions): Promise<Error> {
  const attempt = new PushAttempt(options);
  try {
    return await attempt.run();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    await attempt.end();
  }
}

class PushAttempt {
  readonly #options: PushAttemptOptions;
  readonly #taps: { mid: string; copied: boolean; media: EgressMedia }[] = [];
  readonly #broken = Promise.withResolvers<Error>();
  #server: RtmpPublisher | null = null;
  #program: FfmpegProgram | null = null;
  #feed: LoopbackFeed | null = null;
  #watch: NodeJS.Timeout | null = null;
  #lastTagMs = 0;
  #keyframeMs = 0;
  #pictureMs = 0;
  #online = false;

  constructor(options: PushAttemptOptions) {
    this.#options = options;
  }

  async run(): Promise<Error> {
    const { target, policy, signal, sources, ffmpeg, context } = this.#options;
    const refusal = policy.refusal(target.host);
    if (refusal !== null) throw new Error(refusal);
    const lookup = policy.lookupFor(target.host);
    // The server first: while it refuses, no process is started in vain.
    const server = await RtmpPublisher.open({ target, lookup, timeoutMs: SERVER_TIMEOUT_MS, signal });
    this.#server = server;
    const feed = await LoopbackFeed.open();
    this.#feed = feed;
    const tracks: FedTrack[] = [];
    for (const [index, { codec }] of sources.entries()) {
      tracks.push({ codec, payloadType: FIRST_PAYLOAD_TYPE + index, port: await freePortPair() });
    }
    signal.throwIfAborted();
    const flv = new FlvReader();
    const program = new FfmpegProgram(ffmpeg, {
      args: ffmpegArguments(tracks),
      input: feedSdp(tracks),
      onOutput: (data) => this.#forward(flv, data),
    });
    this.#program = program;
    const over = Promise.race([
      program.ended,
      server.ended.then((reason) => reason ?? new Error('stopped')),
      this.#broken.promise,
      aborted(signal),
    ]);
    const ready = AbortSignal.any([signal, AbortSignal.timeout(FFMPEG_BIND_TIMEOUT_MS)]);
    const bound = Promise.all(tracks.flatMap(({ port }) => [untilBound(port, ready), untilBound(port + 1, ready)]));
    const failure = await Promise.race([over, bound.then(() => null)]).finally(() => void bound.catch(() => {}));
    if (failure !== null) return failure;
    this.#openTaps(tracks, feed);
    await Promise.race([over, delay(REPORTS_AHEAD_MS)]);
    if (signal.aborted) return await over;
    for (const [index, { mid, media }] of this.#taps.entries()) {
      media.attach(mid, (sources[index] as PushSource).track, context.now());
    }
    this.#lastTagMs = context.now();
    this.#watch = setInterval(() => this.#look(), WATCH_MS);
    return await over;
  }

  async end(): Promise<void> {
    if (this.#watch !== null) clearInterval(this.#watch);
    for (const { media } of this.#taps) media.close();
    this.#server?.close();
    await this.#program?.stop();
    this.#feed?.close();
    await this.#server?.ended;
  }

  #openTaps(tracks: readonly FedTrack[], feed: LoopbackFeed): void {
    const { context, sources } = this.#options;
    const { cname, nextSsrc } = mintMediaIds();
    for (const [index, { codec, track }] of sources.entries()) {
      const { payloadType, port } = tracks[index] as FedTrack;
      const plan: EgressTrackPlan = {
        mid: String(index),
        kind: codec.kind,
        sourceMid: track.mid,
        codec,
        payloadType,
        rtxPayloadType: null,
        extensions: {},
        feedback: NO_FEEDBACK,
        ssrc: nextSsrc(),
        rtxSsrc: null,
        cname,
      };
      const media = context.forwarder.openEgress(
        { tracks: [plan], keys: null, send: (datagram) => feed.send(datagram, port), onAuthenticated: () => {} },
        context.now(),
      );
      this.#taps.push({ mid: plan.mid, copied: isCopied(codec), media });
    }
  }

  #forward(flv: FlvReader, data: Buffer): void {
    try {
      for (const tag of flv.push(data)) this.#send(tag);
    } catch (error) {
      this.#broken.resolve(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #send(tag: FlvTag): void {
    this.#lastTagMs = this.#options.context.now();
    if (tag.type === FLV_VIDEO) this.#pictureMs = this.#lastTagMs;
    if (isKeyframe(tag)) this.#keyframeMs = this.#lastTagMs;
    this.#server?.send(tag);
    if (this.#online || isSequenceHeader(tag) || (tag.type !== FLV_AUDIO && tag.type !== FLV_VIDEO)) return;
    this.#online = true;
    this.#options.onOnline();
  }

  #look(): void {
    const nowMs = this.#options.context.now();
    if (nowMs - this.#lastTagMs > STALL_MS) this.#broken.resolve(new Error('no media reaches the server'));
    const stuck = nowMs - this.#pictureMs >= NO_PICTURE_MS;
    const due = nowMs - this.#keyframeMs >= KEYFRAME_INTERVAL_MS;
    for (const { mid, copied, media } of this.#taps) if (stuck || (due && copied)) media.requestKeyframe(mid, nowMs);
  }
}

function aborted(signal: AbortSignal): Promise<Error> {
  return new Promise((resolve) => {
    const stop = (): void => resolve(new Error('stopped'));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
