/**
 * H264 in SDP (RFC 6184 §8): which of a viewer's payload types suits a published stream. Encoders describe themselves
 * carelessly (OBS writes 42e01f whatever it emits), and decoders mostly take more than they offer, so this ranks
 * instead of refusing.
 */
import { readFormatParameters } from '../../shared/sdp/payloads.ts';

/** Profiles in the order of what a decoder of them can do, as far as one includes another. */
export type H264Profile =
  | 'constrained-baseline'
  | 'baseline'
  | 'extended'
  | 'main'
  | 'constrained-high'
  | 'high'
  | 'high-10'
  | 'high-422'
  | 'high-444';

/** RFC 6184 table 5: profile_idc, bits of profile_iop that count, and their values. */
const PROFILE_PATTERNS: readonly { idc: number; mask: number; iop: number; profile: H264Profile }[] = [
  { idc: 0x42, mask: 0x4f, iop: 0x40, profile: 'constrained-baseline' },
  { idc: 0x4d, mask: 0x8f, iop: 0x80, profile: 'constrained-baseline' },
  { idc: 0x58, mask: 0xcf, iop: 0xc0, profile: 'constrained-baseline' },
  { idc: 0x42, mask: 0x4f, iop: 0x00, profile: 'baseline' },
  { idc: 0x58, mask: 0xcf, iop: 0x80, profile: 'baseline' },
  { idc: 0x4d, mask: 0xaf, iop: 0x00, profile: 'main' },
  { idc: 0x58, mask: 0xcf, iop: 0x00, profile: 'extended' },
  { idc: 0x64, mask: 0xff, iop: 0x0c, profile: 'constrained-high' },
  { idc: 0x64, mask: 0xff, iop: 0x00, profile: 'high' },
  { idc: 0x6e, mask: 0xef, iop: 0x00, profile: 'high-10' },
  { idc: 0x7a, mask: 0xef, iop: 0x00, profile: 'high-422' },
  { idc: 0xf4, mask: 0xef, iop: 0x00, profile: 'high-444' },
];

/** Which other streams a decoder of a profile plays by the standard (ITU-T H.264 annex A.2). */
const DECODES: Readonly<Record<H264Profile, readonly H264Profile[]>> = {
  'constrained-baseline': [],
  baseline: ['constrained-baseline'],
  extended: ['constrained-baseline', 'baseline'],
  main: ['constrained-baseline'],
  'constrained-high': ['constrained-baseline'],
  high: ['constrained-baseline', 'main', 'constrained-high'],
  'high-10': ['constrained-baseline', 'main', 'constrained-high', 'high'],
  'high-422': ['constrained-baseline', 'main', 'constrained-high', 'high', 'high-10'],
  'high-444': ['constrained-baseline', 'main', 'constrained-high', 'high', 'high-10', 'high-422'],
};

/** From least to most able: the last resort between profiles that do not include each other. */
const ABILITY: readonly H264Profile[] = [
  'constrained-baseline',
  'baseline',
  'extended',
  'main',
  'constrained-high',
  'high',
  'high-10',
  'high-422',
  'high-444',
];

/** The profile of a `profile-level-id`; null when it is not one. */
export function readH264Profile(profileLevelId: string): H264Profile | null {
  if (!/^[0-9a-fA-F]{6}$/.test(profileLevelId)) return null;
  const idc = Number.parseInt(profileLevelId.slice(0, 2), 16);
  const iop = Number.parseInt(profileLevelId.slice(2, 4), 16);
  return (
    PROFILE_PATTERNS.find((pattern) => pattern.idc === idc && (iop & pattern.mask) === pattern.iop)?.profile ?? null
  );
}

/**
 * What ranks higher suits better: the packetization mode first, since a depacketizer that does not know it plays
 * nothing.
 */
const MODE_WEIGHT = 100;
const SAME_PROFILE = 90;
const UNSAID_PROFILE = 80;
const INCLUDING_PROFILE = 60;

/**
 * How well a viewer's H264 format suits a published one; higher is better, never negative: a decoder that offers only
 * another profile or mode is tried rather than refused. Levels do not count: what is sent is what the encoder makes.
 */
export function rankH264(sourceFmtp: string, viewerFmtp: string): number {
  const source = readFormatParameters(sourceFmtp);
  const viewer = readFormatParameters(viewerFmtp);
  return modeRank(source, viewer) + profileRank(source, viewer);
}

function modeRank(source: Map<string, string>, viewer: Map<string, string>): number {
  // GStreamer offers no parameters at all and takes everything.
  if (viewer.size === 0) return MODE_WEIGHT;
  // A publisher that says nothing is taken to fragment, as all do; mode 1 plays either way.
  const sent = source.get('packetization-mode') ?? (source.size === 0 ? '1' : '0');
  const taken = viewer.get('packetization-mode') ?? '0';
  if (taken === sent) return 2 * MODE_WEIGHT;
  // Mode 1 includes the single NAL units of mode 0.
  return sent === '0' && taken === '1' ? MODE_WEIGHT : 0;
}

function profileRank(source: Map<string, string>, viewer: Map<string, string>): number {
  const takenId = viewer.get('profile-level-id');
  if (takenId === undefined) return UNSAID_PROFILE;
  const taken = readH264Profile(takenId);
  if (taken === null) return 0;
  const sentId = source.get('profile-level-id');
  const sent = sentId === undefined ? 'constrained-baseline' : readH264Profile(sentId);
  if (taken === sent) return SAME_PROFILE;
  // Among those that include the stream's profile the nearest one; among the others the most able one.
  const ability = ABILITY.indexOf(taken);
  return sent !== null && DECODES[taken].includes(sent) ? INCLUDING_PROFILE - ability : ability;
}
