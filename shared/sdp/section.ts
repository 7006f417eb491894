/** The typed meaning of one media section, with session-level values where the section says nothing itself. */
import {
  isDirection,
  isIcePwd,
  isIceUfrag,
  readCandidate,
  readExtensionMap,
  readFingerprint,
  readMid,
  readMsid,
  readRid,
  readSetup,
  readSimulcast,
  readSsrc,
  readSsrcGroup,
} from './attributes.ts';
import { readPayloads } from './payloads.ts';
import type {
  Attribute,
  Direction,
  ExtensionMap,
  FingerprintAttribute,
  IceParameters,
  MediaSection,
  MediaSource,
  Setup,
} from './types.ts';

/** What a section inherits from the session level. */
export interface SectionDefaults {
  readonly direction: Direction | null;
  readonly ufrag: string | null;
  readonly pwd: string | null;
  readonly fingerprints: readonly FingerprintAttribute[];
  readonly setup: Setup | null;
  readonly extensions: readonly ExtensionMap[];
}

const NO_DEFAULTS: SectionDefaults = {
  direction: null,
  ufrag: null,
  pwd: null,
  fingerprints: [],
  setup: null,
  extensions: [],
};

export function sectionDefaults(attributes: readonly Attribute[]): SectionDefaults {
  const read = new AttributeLists(attributes);
  return {
    direction: read.direction(),
    ufrag: read.first('ice-ufrag'),
    pwd: read.first('ice-pwd'),
    fingerprints: read.all('fingerprint', readFingerprint),
    setup: read.one('setup', readSetup),
    extensions: read.all('extmap', readExtensionMap),
  };
}

export function readSection(source: MediaSource, index: number, defaults: SectionDefaults = NO_DEFAULTS): MediaSection {
  const read = new AttributeLists(source.attributes);
  const fingerprints = read.all('fingerprint', readFingerprint);
  return {
    kind: source.kind,
    port: source.port,
    protocol: source.protocol,
    formats: source.formats,
    information: source.information,
    lines: source.lines,
    attributes: source.attributes,
    index,
    mid: read.one('mid', readMid),
    direction: read.direction() ?? defaults.direction ?? 'sendrecv',
    ice: iceParameters(read.first('ice-ufrag') ?? defaults.ufrag, read.first('ice-pwd') ?? defaults.pwd),
    fingerprints: fingerprints.length > 0 ? fingerprints : defaults.fingerprints,
    setup: read.one('setup', readSetup) ?? defaults.setup,
    payloads: readPayloads(source.formats, source.attributes),
    extensions: [...read.all('extmap', readExtensionMap), ...defaults.extensions],
    rids: read.all('rid', readRid),
    simulcast: read.one('simulcast', readSimulcast),
    msids: read.all('msid', readMsid),
    ssrcs: [...new Set(read.all('ssrc', readSsrc))],
    ssrcGroups: read.all('ssrc-group', readSsrcGroup),
    candidates: read.all('candidate', readCandidate),
    endOfCandidates: read.has('end-of-candidates'),
    bundleOnly: read.has('bundle-only'),
    rtcpMux: read.has('rtcp-mux'),
    rtcpMuxOnly: read.has('rtcp-mux-only'),
    rtcpRsize: read.has('rtcp-rsize'),
  };
}

function iceParameters(ufrag: string | null, pwd: string | null): IceParameters | null {
  if (ufrag === null || pwd === null || !isIceUfrag(ufrag) || !isIcePwd(pwd)) return null;
  return { ufrag, pwd };
}

/** Attributes by name, so that each look-up costs what it yields and not the whole section. */
class AttributeLists {
  readonly #values = new Map<string, string[]>();

  constructor(attributes: readonly Attribute[]) {
    for (const { name, value } of attributes) {
      const values = this.#values.get(name);
      const trimmed = value?.trim() ?? '';
      if (values === undefined) this.#values.set(name, [trimmed]);
      else values.push(trimmed);
    }
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The first value that is not empty. */
  first(name: string): string | null {
    return this.#values.get(name)?.find((value) => value !== '') ?? null;
  }

  one<T>(name: string, reader: (value: string) => T | null): T | null {
    return this.all(name, reader)[0] ?? null;
  }

  all<T>(name: string, reader: (value: string) => T | null): T[] {
    const found: T[] = [];
    for (const value of this.#values.get(name) ?? []) {
      const item = reader(value);
      if (item !== null) found.push(item);
    }
    return found;
  }

  direction(): Direction | null {
    for (const name of this.#values.keys()) if (isDirection(name)) return name;
    return null;
  }
}
