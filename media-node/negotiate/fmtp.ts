/** Format parameters of our answers and offers. */
import { readFormatParameters } from '../../shared/sdp/payloads.ts';
import type { Codec } from './plan.ts';

/** They describe what their writer sends, so they have no place in what we write back to it. */
const SENDER_ONLY: ReadonlySet<string> = new Set([
  'sprop-parameter-sets',
  'sprop-vps',
  'sprop-sps',
  'sprop-pps',
  'sprop-maxcapturerate',
]);

/** To a publisher: its own parameters back. They must stay symmetric (RFC 6184 §8.2.2), stereo Opus included. */
export function publishedFmtp(codec: Codec): string {
  return withoutSenderOnly(codec.fmtp);
}

/**
 * To a viewer: the viewer's own parameters, plus what the publisher's stream makes necessary. A stereo Opus stream is
 * named as such (RFC 7587 §6.1), and an H264 viewer without parameters (GStreamer) learns profile and packetization
 * mode.
 */
export function playedFmtp(source: Codec, viewer: Codec): string {
  if (source.name === 'opus' && isStereo(source)) return withStereo(viewer.fmtp);
  if (source.name === 'H264' && viewer.fmtp === '') return withoutSenderOnly(source.fmtp);
  return withoutSenderOnly(viewer.fmtp);
}

/** The publisher sends, or may send, two channels of Opus. */
export function isStereo(source: Codec): boolean {
  const parameters = readFormatParameters(source.fmtp);
  return parameters.get('sprop-stereo') === '1' || parameters.get('stereo') === '1';
}

function withStereo(fmtp: string): string {
  const kept = splitParameters(fmtp).filter((parameter) => !/^(sprop-)?stereo *=/i.test(parameter));
  return [...kept, 'stereo=1', 'sprop-stereo=1'].join(';');
}

function withoutSenderOnly(fmtp: string): string {
  return splitParameters(fmtp)
    .filter((parameter) => !SENDER_ONLY.has((parameter.split('=', 1)[0] ?? '').trim().toLowerCase()))
    .join(';');
}

function splitParameters(fmtp: string): string[] {
  return fmtp
    .split(';')
    .map((parameter) => parameter.trim())
    .filter((parameter) => parameter !== '');
}
