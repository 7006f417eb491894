/** What is shown now, as a JPEG: made by ffmpeg of the newest keyframe, only when asked for, at most once a second. */
import { constants, setPriority } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { ProblemError } from '../../shared/errors.ts';
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import { type KeyframePackets, newestKeyframe, requestKeyframe } from '../forward/keyframe-packets.ts';
import type { SourceTrack } from '../forward/types.ts';
import type { Codec, CodecName, SourceTrackInfo } from '../negotiate/plan.ts';
import { FfmpegProgram } from '../push/ffmpeg-program.ts';
import type { NodeContext } from '../session/context.ts';
import { createDepacketiser, type Picture } from './media/depacketiser.ts';
import { spropParameterSets } from './media/parameter-sets.ts';
import { streamData } from './media/picture-bytes.ts';
import { pictureFormat } from './media/picture-format.ts';
import type { Rotation } from './media/track-input.ts';
import { ivfFrame, ivfHeader } from './raw-file.ts';

const FRESH_MS = 1_000;
/** Those who ignore requests send a keyframe every few seconds; the caller waits no longer than a control request may. */
const KEYFRAME_PATIENCE_MS = 2_500;
const POLL_MS = 50;
/** It gives way to everybody else: on a busy machine it needs long for a picture. Both together are less than the edge waits. */
const FFMPEG_PATIENCE_MS = 4_500;
const MAX_PROGRAMS = 4;
const MAX_JPEG_BYTES = 1024 * 1024;
/** How ffmpeg says that it was built without what this codec needs. */
const NO_DECODER = /decoder[^:]* not found|unknown (decoder|input format)|not (built|compiled) with/i;
const HINT = 'install it on the media node or name it in FFMPEG_PATH';
/** 8K. A keyframe of a few bytes may claim to be larger by far, and a decoder would make room for all of it. */
const MAX_PIXELS = 7_680 * 4_320;
const SCALE = "scale='min(1280,iw)':-2";
/** What ffmpeg has to do with the picture of a camera that is held otherwise; nothing in the file says so. */
const TURNS = {
  0: [],
  90: ['transpose=clock'],
  180: ['hflip', 'vflip'],
  270: ['transpose=cclock'],
} as const satisfies Record<Rotation, readonly string[]>;
const IVF_CODES = { VP8: 'VP80', VP9: 'VP90', AV1: 'AV01' } as const;
const TEMPORAL_DELIMITER = Buffer.from([0x12, 0x00]);

/** A session, as far as a picture of it goes. */
interface Pictured {
  readonly id: SessionId;
  readonly sources: readonly SourceTrackInfo[];
  sourceTrack(mid: string): SourceTrack | null;
}

export interface SnapshotsOptions {
  context: Pick<NodeContext, 'now'>;
  /** Path of ffmpeg. @throws ProblemError 501 `no_ffmpeg` */
  ffmpeg(): string;
  /** How long ffmpeg may take; for tests, which may run on a machine that is too busy for the default. */
  ffmpegPatienceMs?: number;
}

export class Snapshots {
  readonly #options: SnapshotsOptions;
  readonly #taken = new Map<string, { atMs: number; jpeg: Promise<{ jpeg: string }> }>();
  #programs = 0;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
  }

  /**
   * @param session null: the first that has a video
   * @throws ProblemError 404 `no_publisher`, 501 `no_ffmpeg`, `no_decoder`, 503 `no_picture`, `busy`
   */
  take(lobby: LobbyId, publishers: readonly Pictured[], session: SessionId | null): Promise<{ jpeg: string }> {
    const nowMs = this.#options.context.now();
    for (const [key, { atMs }] of this.#taken) if (nowMs - atMs > FRESH_MS) this.#taken.delete(key);
    const video = videoOf(publishers, session);
    const ffmpeg = this.#ffmpeg();
    const key = `${video.session}/${lobby}`;
    const known = this.#taken.get(key);
    if (known !== undefined) return known.jpeg;
    if (this.#programs >= MAX_PROGRAMS) {
      throw new ProblemError(503, 'busy', 'too many snapshots are being made', { retryAfterSeconds: 1 });
    }
    this.#programs++;
    const jpeg = this.#make(ffmpeg, video).finally(() => {
      this.#programs--;
    });
    this.#taken.set(key, { atMs: nowMs, jpeg });
    return jpeg;
  }

  #ffmpeg(): string {
    try {
      return this.#options.ffmpeg();
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      throw new ProblemError(501, 'no_ffmpeg', `snapshots need ffmpeg: ${HINT}`);
    }
  }

  async #make(ffmpeg: string, { codec, track }: Video): Promise<{ jpeg: string }> {
    const { picture, rotation } = await this.#keyframe(codec, track);
    const { format, data } = asFile(codec.name, picture);
    const output: Buffer[] = [];
    const program = new FfmpegProgram(ffmpeg, {
      args: [
        ...[
          '-hide_banner',
          '-loglevel',
          'error',
          '-max_pixels',
          String(MAX_PIXELS),
          '-f',
          format,
          '-i',
          'pipe:0',
          '-frames:v',
          '1',
        ],
        ...[
          '-vf',
          [SCALE, ...TURNS[rotation]].join(),
          '-pix_fmt',
          'yuvj420p',
          '-c:v',
          'mjpeg',
          '-q:v',
          '4',
          '-f',
          'image2pipe',
          'pipe:1',
        ],
      ],
      input: data,
      onOutput: (chunk) => void output.push(chunk),
    });
    giveWay(program.pid);
    const timer = setTimeout(() => void program.stop(), this.#options.ffmpegPatienceMs ?? FFMPEG_PATIENCE_MS);
    const ended = await program.ended;
    clearTimeout(timer);
    const jpeg = Buffer.concat(output);
    if (jpeg.length === 0 && NO_DECODER.test(ended.message)) {
      throw new ProblemError(501, 'no_decoder', `snapshots of ${codec.name} need an ffmpeg that decodes it: ${HINT}`);
    }
    if (jpeg.length === 0 || jpeg.length > MAX_JPEG_BYTES) {
      throw new ProblemError(503, 'no_picture', `no picture could be made: ${ended.message}`, { retryAfterSeconds: 1 });
    }
    return { jpeg: jpeg.toString('base64') };
  }

  async #keyframe(codec: Codec, track: SourceTrack): Promise<{ picture: Picture; rotation: Rotation }> {
    const { context } = this.#options;
    const endMs = context.now() + KEYFRAME_PATIENCE_MS;
    for (let asked = false; context.now() < endMs; asked = true) {
      const packets = newestKeyframe(track);
      const picture = packets === null ? null : assemble(codec.name, packets);
      if (packets !== null && picture !== null) {
        // Some send parameter sets only in the offer (RFC 6184 §8.1); those in the picture come later and count.
        if (codec.name === 'H264') picture.units.unshift(...spropParameterSets(codec.fmtp));
        return { picture, rotation: packets.rotation };
      }
      if (!asked) requestKeyframe(track, context.now());
      await delay(POLL_MS);
    }
    throw new ProblemError(503, 'no_picture', 'no keyframe came in time', { retryAfterSeconds: 2 });
  }
}

/** Who forwards packets goes first. */
function giveWay(pid: number | undefined): void {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended, or we may not: then it is a program like any other.
  }
}

interface Video {
  session: SessionId;
  codec: Codec;
  track: SourceTrack;
}

function videoOf(publishers: readonly Pictured[], session: SessionId | null): Video {
  for (const publisher of publishers) {
    if (session !== null && publisher.id !== session) continue;
    for (const { mid, kind, codec } of publisher.sources) {
      const track = kind === 'video' ? publisher.sourceTrack(mid) : null;
      if (track !== null) return { session: publisher.id, codec, track };
    }
  }
  throw new ProblemError(404, 'no_publisher', 'no active publisher with a video');
}

function assemble(codec: CodecName, { payloads }: KeyframePackets): Picture | null {
  const depacketiser = createDepacketiser(codec);
  return payloads.every((payload) => depacketiser.push(payload)) ? depacketiser.take() : null;
}

/** What ffmpeg reads on its standard input. */
function asFile(codec: CodecName, picture: Picture): { format: string; data: Buffer } {
  if (codec === 'H264') return { format: 'h264', data: streamData(codec, picture) };
  if (codec === 'H265') return { format: 'hevc', data: streamData(codec, picture) };
  const units = codec === 'AV1' ? [TEMPORAL_DELIMITER, ...picture.units] : picture.units;
  const header = ivfHeader(IVF_CODES[codec as keyof typeof IVF_CODES], pictureFormat(codec, picture));
  return { format: 'ivf', data: Buffer.concat([header, ivfFrame(Buffer.concat(units), 0)]) };
}
