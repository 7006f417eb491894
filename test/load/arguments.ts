/** What `npm run load` was asked to do. */

import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { MAX_PAYLOAD_BYTES, OPUS_FRAMES_PER_SECOND } from '../support/client/pattern.ts';
import { FEEDBACK_KINDS, type FeedbackRates, NO_FEEDBACK } from './feedback.ts';

const MS_PER_S = 1_000;
const BITS_PER_BYTE = 8;
const USUAL_FRAMES_PER_SECOND = 30;
/** Of a frame, with some room for what is around it. */
const FULL_PACKET_BYTES = MAX_PAYLOAD_BYTES - 24;
/** Parameter sets apart, an H.264 picture of ours is at least user data and a slice. */
const PACKETS_PER_FRAME = 2;
const MULTIPLES: Readonly<Record<string, number>> = { k: 1e3, m: 1e6 };

export const PLAY_CODECS = ['H264', 'VP8', 'VP9', 'AV1'] as const;
export type PlayCodec = (typeof PLAY_CODECS)[number];
const PUBLISH_CODECS = ['H264', 'VP8'] as const;
const PROTECTIONS = ['any', 'gcm', 'cm', 'both'] as const;

interface CommonRequest {
  url: string;
  token: string | undefined;
  /** Local IPv4 address; undefined: the one that leads to the server. */
  bind: string | undefined;
  /** 0: until it is stopped. */
  seconds: number;
  /** Process whose CPU time is measured; undefined: the one whose UDP port the server names, when it is here. */
  pid: number | undefined;
  json: boolean;
}

export interface PublishRequest extends CommonRequest {
  command: 'publish';
  codec: (typeof PUBLISH_CODECS)[number];
  /** Sound included. */
  packetsPerSecond: number;
  /** Of the video's RTP payload. */
  bitrateBps: number;
  keyframeEveryMs: number;
  framesPerSecond: number;
  audio: boolean;
  /** Media in place of the synthetic one. */
  file: string | undefined;
  /** A keyframe when asked for one; a file has none to give. */
  answersPli: boolean;
  answersNack: boolean;
}

export interface PlayRequest extends CommonRequest {
  command: 'play';
  viewers: number;
  joinsPerSecond: number;
  processes: number;
  codecs: readonly PlayCodec[];
  /** Protection to offer. */
  srtp: (typeof PROTECTIONS)[number];
  feedback: FeedbackRates;
  /** Count outside of JavaScript where that can be built. */
  native: boolean;
  /** What each viewer should get; undefined: what the best one got. */
  sourcePps: number | undefined;
}

export type LoadRequest = PublishRequest | PlayRequest | { command: 'help' };

/** The message is for whoever typed the command. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const HELP = `Load for any WHIP or WHEP server.

  npm run load -- publish URL [options]   one synthetic publisher (WHIP)
  npm run load -- play URL [options]      many cheap viewers (WHEP): ICE and DTLS; media is counted, not decrypted

Both:
  --token TOKEN      bearer token
  --seconds S        how long; 0: until Ctrl-C (play: 10 s after all have joined; publish: 0)
  --server-pid PID   (or --pid) the server process on this machine whose CPU time is told; without it, the one
                     that has the UDP port in the server's answer
  --bind ADDRESS     local IPv4 address (default: the one that leads to the server)
  --codec CODEC      publish: H264 (default) or VP8; play: H264, VP8, VP9, AV1 or several with commas (default: all)
  --json             the summary as one JSON object
  --help             this text

publish:
  --pps N            packets per second on average, sound included (355)
  --bitrate B        of the video, in bits per second; 500k, 2.5M (2.48M)
  --gop S            seconds between keyframes; 0: only the first and when asked (2)
  --fps N            frames per second (30, or fewer, when there are few packets or full ones)
  --no-audio         video only; else Opus with ${OPUS_FRAMES_PER_SECOND} packets/s
  --file PATH        media of a file, over and over: .ivf (VP8, VP9, AV1), .h264 (Annex B; --fps), .ogg (Opus);
                     anything else needs ffmpeg. --pps, --bitrate, --gop and --codec do not go with it
  --no-pli           send no keyframe when asked, as OBS and ffmpeg
  --no-nack          send nothing again

play:
  -n, --viewers N    how many (1)
  --join-rate N      joins per second (50)
  --processes N      spread the viewers over so many processes (1)
  --feedback LIST    RTCP per viewer and second: rr:1,nack:0.5,pli:0.1 (none)
  --rtcp             the same as --feedback rr:1
  --srtp KIND        protection to offer: gcm, cm, both (viewers in turn) or any (any)
  --source-pps N     what each viewer should get; who gets less than 99 % is starved (default: what was
                     numbered for the best one)
  --no-native        count in JavaScript, even if a C++ compiler is there

Exit code: 0; 1 when nothing connected; 2 when the command is wrong.`;

const OPTIONS = {
  token: { type: 'string' },
  seconds: { type: 'string' },
  pid: { type: 'string' },
  'server-pid': { type: 'string' },
  bind: { type: 'string' },
  codec: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  pps: { type: 'string' },
  bitrate: { type: 'string' },
  gop: { type: 'string' },
  fps: { type: 'string' },
  'no-audio': { type: 'boolean' },
  file: { type: 'string' },
  'no-pli': { type: 'boolean' },
  'no-nack': { type: 'boolean' },
  viewers: { type: 'string', short: 'n' },
  'join-rate': { type: 'string' },
  processes: { type: 'string' },
  rtcp: { type: 'boolean' },
  feedback: { type: 'string' },
  srtp: { type: 'string' },
  'source-pps': { type: 'string' },
  'no-native': { type: 'boolean' },
} as const;
type OptionName = keyof typeof OPTIONS;

const ONLY: Readonly<Record<'publish' | 'play', readonly OptionName[]>> = {
  publish: ['pps', 'bitrate', 'gop', 'fps', 'no-audio', 'file', 'no-pli', 'no-nack'],
  play: ['viewers', 'join-rate', 'processes', 'rtcp', 'feedback', 'srtp', 'source-pps', 'no-native'],
};

type Values = ReturnType<typeof readOptions>['values'];

/** @throws UsageError */
export function readArguments(args: readonly string[]): LoadRequest {
  const { values, positionals } = readOptions(args);
  if (values.help === true) return { command: 'help' };
  const [command, url, ...rest] = positionals;
  if (command !== 'publish' && command !== 'play') {
    throw new UsageError(command === undefined ? 'publish or play?' : `${command}: neither publish nor play`);
  }
  if (url === undefined || rest.length > 0) throw new UsageError(`${command} takes one URL`);
  const other = command === 'publish' ? 'play' : 'publish';
  const foreign = ONLY[other].find((name) => values[name] !== undefined);
  if (foreign !== undefined) throw new UsageError(`--${foreign} is for ${other}`);
  const common = {
    url: readUrl(url),
    token: values.token,
    bind: values.bind,
    pid: optionalNumber('pid', values['server-pid'] ?? values.pid, { least: 1, whole: true }),
    json: values.json === true,
  };
  return command === 'publish' ? { ...common, ...readPublish(values) } : { ...common, ...readPlay(values) };
}

function readOptions(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function readPublish(values: Values): Omit<PublishRequest, 'url' | 'token' | 'bind' | 'pid' | 'json'> {
  const audio = values['no-audio'] !== true;
  if (values.file !== undefined) checkFile(values.file, values);
  const packetsPerSecond = readNumber('pps', values.pps ?? '355', { least: 1 });
  const bitrateBps = readNumber('bitrate', values.bitrate ?? '2.48M', { least: 1_000 });
  const gopS = readNumber('gop', values.gop ?? '2', { least: 0 });
  const videoPackets = packetsPerSecond - (audio ? OPUS_FRAMES_PER_SECOND : 0);
  if (videoPackets < PACKETS_PER_FRAME) throw new UsageError(`--pps ${packetsPerSecond} leaves no packets for video`);
  // The slice of a picture of ours is a packet with next to nothing in it; the others have to carry all bytes.
  const fullPackets = bitrateBps / BITS_PER_BYTE / FULL_PACKET_BYTES;
  const mostFrames = Math.min(videoPackets / PACKETS_PER_FRAME, videoPackets - fullPackets);
  if (mostFrames < 1) throw new UsageError(`--bitrate ${bitrateBps} does not fit into ${videoPackets} video packets/s`);
  const usualFrames = Math.min(USUAL_FRAMES_PER_SECOND, Math.floor(mostFrames));
  const framesPerSecond = values.fps === undefined ? usualFrames : readNumber('fps', values.fps, { least: 1 });
  if (framesPerSecond > mostFrames) {
    throw new UsageError(`--fps ${framesPerSecond}: ${Math.floor(mostFrames)} at most with this --pps and --bitrate`);
  }
  const codec = PUBLISH_CODECS.find((name) => name === (values.codec ?? 'H264').toUpperCase());
  if (codec === undefined) throw new UsageError(`--codec ${values.codec}: ${PUBLISH_CODECS.join(' or ')}`);
  return {
    command: 'publish',
    codec,
    packetsPerSecond,
    bitrateBps,
    framesPerSecond,
    audio,
    keyframeEveryMs: gopS === 0 ? Number.POSITIVE_INFINITY : gopS * MS_PER_S,
    seconds: readNumber('seconds', values.seconds ?? '0', { least: 0 }),
    file: values.file,
    answersPli: values['no-pli'] !== true,
    answersNack: values['no-nack'] !== true,
  };
}

function readPlay(values: Values): Omit<PlayRequest, 'url' | 'token' | 'bind' | 'pid' | 'json'> {
  const viewers = readNumber('viewers', values.viewers ?? '1', { least: 1, whole: true });
  const codecs = (values.codec ?? PLAY_CODECS.join(',')).split(',').map((text) => {
    const codec = PLAY_CODECS.find((name) => name === text.trim().toUpperCase());
    if (codec === undefined) throw new UsageError(`--codec ${text}: of ${PLAY_CODECS.join(', ')}`);
    return codec;
  });
  return {
    command: 'play',
    viewers,
    codecs,
    joinsPerSecond: readNumber('join-rate', values['join-rate'] ?? '50', { least: 0.01 }),
    processes: Math.min(viewers, readNumber('processes', values.processes ?? '1', { least: 1, whole: true })),
    srtp: readProtection(values.srtp ?? 'any'),
    feedback: readFeedback(values.feedback ?? (values.rtcp === true ? 'rr:1' : '')),
    native: values['no-native'] !== true,
    sourcePps: optionalNumber('source-pps', values['source-pps'], { least: 1 }),
    seconds: readNumber('seconds', values.seconds ?? '10', { least: 0 }),
  };
}

function checkFile(file: string, values: Values): void {
  const synthetic = (['pps', 'bitrate', 'gop', 'codec'] as const).find((name) => values[name] !== undefined);
  if (synthetic !== undefined) throw new UsageError(`--${synthetic} does not go with --file`);
  if (!existsSync(file)) throw new UsageError(`--file ${file}: there is no such file`);
}

function readProtection(text: string): PlayRequest['srtp'] {
  const kind = PROTECTIONS.find((name) => name === text.toLowerCase());
  if (kind === undefined) throw new UsageError(`--srtp ${text}: ${PROTECTIONS.join(', ')}`);
  return kind;
}

/** `rr:1,pli:0.1` */
function readFeedback(text: string): FeedbackRates {
  const rates = { ...NO_FEEDBACK };
  for (const part of text === '' ? [] : text.split(',')) {
    const [name = '', rate = ''] = part.trim().toLowerCase().split(':');
    const kind = FEEDBACK_KINDS.find((each) => each === name);
    if (kind === undefined) throw new UsageError(`--feedback ${part}: of ${FEEDBACK_KINDS.join(', ')}, each with :N`);
    rates[kind] = readNumber('feedback', rate, { least: 0 });
  }
  return rates;
}

function optionalNumber(name: OptionName, text: string | undefined, rule: { least: number; whole?: boolean }) {
  return text === undefined ? undefined : readNumber(name, text, rule);
}

function readUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new UsageError(`${text}: no http or https URL`);
  }
  return url.href;
}

/** Decimal, with `k` or `M` for thousands and millions. */
function readNumber(name: OptionName, text: string, rule: { least: number; whole?: boolean }): number {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)([kKmM]?)$/.exec(text) ?? [];
  const value = digits === undefined ? Number.NaN : Number(digits) * (MULTIPLES[unit.toLowerCase()] ?? 1);
  if (!(value >= rule.least) || (rule.whole === true && !Number.isInteger(value))) {
    throw new UsageError(`--${name} ${text}: a ${rule.whole === true ? 'whole ' : ''}number from ${rule.least}`);
  }
  return value;
}
