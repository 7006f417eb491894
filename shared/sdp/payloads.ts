/** Joins the `rtpmap`, `fmtp` and `rtcp-fb` lines of a section into one record per payload type. */
import { MAX_PAYLOAD_TYPE, readUint } from './attributes.ts';
import type { Attribute, PayloadFormat } from './types.ts';

/** Static payload types (RFC 3551 §6) that may come without an `rtpmap`. */
const STATIC_RTPMAPS: ReadonlyMap<number, string> = new Map([
  [0, 'PCMU/8000'],
  [8, 'PCMA/8000'],
  [9, 'G722/8000'],
  [13, 'CN/8000'],
]);

/** A section with more feedback lines than this for one payload type is hostile; the rest is ignored. */
const MAX_FEEDBACK_LINES = 32;

/** Payload types in the order of the m-line, each once. Linear in formats plus attributes. */
export function readPayloads(formats: readonly string[], attributes: readonly Attribute[]): PayloadFormat[] {
  const rtpmaps = new Map(STATIC_RTPMAPS);
  const fmtps = new Map<number, string>();
  const feedbacks = new Map<number, string[]>();
  const everywhere: string[] = [];
  for (const { name, value: written } of attributes) {
    if (written === null || (name !== 'rtpmap' && name !== 'fmtp' && name !== 'rtcp-fb')) continue;
    const value = written.trim();
    const blank = value.indexOf(' ');
    if (blank < 0) continue;
    const rest = value.slice(blank + 1).trim();
    if (name === 'rtcp-fb' && value.slice(0, blank) === '*') {
      if (everywhere.length < MAX_FEEDBACK_LINES) everywhere.push(rest);
      continue;
    }
    const payloadType = readUint(value.slice(0, blank), MAX_PAYLOAD_TYPE);
    if (payloadType === null) continue;
    if (name === 'rtpmap') rtpmaps.set(payloadType, rest);
    else if (name === 'fmtp') fmtps.set(payloadType, rest);
    else {
      const feedback = feedbacks.get(payloadType) ?? [];
      if (feedback.length < MAX_FEEDBACK_LINES) feedback.push(rest);
      feedbacks.set(payloadType, feedback);
    }
  }
  const payloads = new Map<number, PayloadFormat>();
  for (const format of formats) {
    const payloadType = readUint(format, MAX_PAYLOAD_TYPE);
    if (payloadType === null || payloads.has(payloadType)) continue;
    const coding = readRtpmap(rtpmaps.get(payloadType));
    if (coding === null) continue;
    const feedback = [...(feedbacks.get(payloadType) ?? []), ...everywhere];
    payloads.set(payloadType, { payloadType, ...coding, fmtp: fmtps.get(payloadType) ?? '', feedback });
  }
  return [...payloads.values()];
}

/** `<encoding>/<clock rate>[/<channels>]` */
function readRtpmap(text: string | undefined): { encoding: string; clockRate: number; channels: number } | null {
  if (text === undefined) return null;
  const [encoding, clockRate, channels] = text.split('/', 3);
  if (encoding === undefined || encoding === '') return null;
  const rate = readUint(clockRate, 1_000_000);
  if (rate === null || rate === 0) return null;
  return { encoding, clockRate: rate, channels: readUint(channels, 255) ?? 1 };
}

/**
 * Format parameters as a map with lower-case names: `a=1; B = 2` → `a:1, b:2`. A later one wins. Parameters without `=`
 * (`0-15` of telephone-event) get an empty value.
 */
export function readFormatParameters(fmtp: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const part of fmtp.split(';')) {
    const at = part.indexOf('=');
    const name = (at < 0 ? part : part.slice(0, at)).trim().toLowerCase();
    if (name !== '') parameters.set(name, at < 0 ? '' : part.slice(at + 1).trim());
  }
  return parameters;
}
