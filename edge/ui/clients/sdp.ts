/**
 * The few readings and rewritings of SDP that a WHIP/WHEP client needs. Everything is a pure function of text; browsers
 * write and expect CRLF, and so does this.
 */

export interface IceCredentials {
  ufrag: string;
  pwd: string;
}

/** What travels in an `application/trickle-ice-sdpfrag` body (RFC 8840 §9, RFC 9725 §4.3). */
export interface IceFragment extends IceCredentials {
  /** Values of `a=candidate` lines with the `candidate:` prefix, as `RTCIceCandidate.candidate` has them. */
  candidates: string[];
  endOfCandidates: boolean;
}

export function splitLines(sdp: string): string[] {
  return sdp.split(/\r?\n/).filter((line) => line !== '');
}

export function joinLines(lines: readonly string[]): string {
  return `${lines.join('\r\n')}\r\n`;
}

function firstValue(lines: readonly string[], prefix: string): string | null {
  const line = lines.find((candidate) => candidate.startsWith(prefix));
  return line === undefined ? null : line.slice(prefix.length).trim();
}

/** The first user fragment and password of a description or fragment; null when one of them is missing. */
export function iceCredentials(sdp: string): IceCredentials | null {
  const lines = splitLines(sdp);
  const ufrag = firstValue(lines, 'a=ice-ufrag:');
  const pwd = firstValue(lines, 'a=ice-pwd:');
  return ufrag === null || pwd === null ? null : { ufrag, pwd };
}

/**
 * The fragment for a PATCH. Everything is bundled, so every candidate belongs to the first media section of the offer;
 * its kind and mid are repeated because RFC 8840 §9 wants a pseudo m-line with a mid around candidates.
 */
export function buildFragment(offer: string, fragment: IceFragment): string {
  const lines = splitLines(offer);
  const media = firstValue(lines, 'm=')?.split(' ')[0] ?? 'audio';
  const mid = firstValue(lines, 'a=mid:') ?? '0';
  const group = firstValue(lines, 'a=group:BUNDLE');
  return joinLines([
    ...(group === null ? [] : [`a=group:BUNDLE ${group}`]),
    'a=ice-options:trickle',
    `a=ice-ufrag:${fragment.ufrag}`,
    `a=ice-pwd:${fragment.pwd}`,
    `m=${media} 9 UDP/TLS/RTP/SAVPF 0`,
    `a=mid:${mid}`,
    ...fragment.candidates.map((candidate) => `a=${candidate.replace(/^a=/, '')}`),
    ...(fragment.endOfCandidates ? ['a=end-of-candidates'] : []),
  ]);
}

/** Reads the server's answer to an ICE restart; null when it holds no credentials. */
export function parseFragment(text: string): IceFragment | null {
  const credentials = iceCredentials(text);
  if (credentials === null) return null;
  const lines = splitLines(text);
  return {
    ...credentials,
    candidates: lines.filter((line) => line.startsWith('a=candidate:')).map((line) => line.slice(2)),
    endOfCandidates: lines.includes('a=end-of-candidates'),
  };
}

/**
 * The answer after an ICE restart: the old one with new credentials and candidates, nothing else touched (RFC 9725
 * §4.3.3). Candidates go to the first live section; rejected sections (port 0 without bundle-only) stay as they are.
 */
export function withIceRestart(answer: string, fragment: IceFragment): string {
  const iceLine = /^a=(ice-ufrag:|ice-pwd:|candidate:|end-of-candidates)/;
  // In a session that the server offered, the description before is an offer: browsers answer `active`, so it is passive.
  const lines = splitLines(answer).map((line) => (line === 'a=setup:actpass' ? 'a=setup:passive' : line));
  const sections = splitSections(lines.filter((line) => !iceLine.test(line)));
  const out = [...(sections[0] ?? [])];
  let tagged = false;
  for (const section of sections.slice(1)) {
    out.push(...section);
    if (/^m=\S+ 0 /.test(section[0] ?? '') && !section.includes('a=bundle-only')) continue;
    out.push(`a=ice-ufrag:${fragment.ufrag}`, `a=ice-pwd:${fragment.pwd}`);
    if (tagged) continue;
    tagged = true;
    out.push(...fragment.candidates.map((candidate) => `a=${candidate}`));
    if (fragment.endOfCandidates) out.push('a=end-of-candidates');
  }
  return joinLines(out);
}

/** Session part first, then one entry per m-line. */
export function splitSections(lines: readonly string[]): string[][] {
  const sections: string[][] = [[]];
  for (const line of lines) {
    if (line.startsWith('m=')) sections.push([]);
    sections.at(-1)?.push(line);
  }
  return sections;
}

/**
 * Opus parameters for a description, keeping values that are there. Browsers decode Opus to one channel unless their own
 * description says `stereo=1`, and send one unless the other side's says so (RFC 7587 §7).
 */
export function withOpusParameters(sdp: string, parameters: Readonly<Record<string, string>>): string {
  return withFormatParameters(sdp, /^opus\/48000/i, parameters);
}

/**
 * Lets Chromium begin near the bitrate that it is going to reach. Its estimate starts at 300 kb/s, for which the encoder
 * shrinks the picture, and it takes some ten seconds until the picture has grown back. Other browsers ignore it.
 */
export function withVideoStartBitrate(answer: string, bitrateBps: number): string {
  const kilobits = Math.round(bitrateBps / 1000);
  return withFormatParameters(answer, /^(VP8|VP9|AV1|H264|H265)\/90000/i, {
    'x-google-start-bitrate': String(kilobits),
  });
}

/** Adds parameters to every format whose `rtpmap` encoding matches. */
function withFormatParameters(sdp: string, encoding: RegExp, parameters: Readonly<Record<string, string>>): string {
  const lines = splitLines(sdp);
  const types = new Set(
    lines.flatMap((line) => {
      const match = /^a=rtpmap:(\d+) (.*)$/.exec(line);
      return match?.[1] !== undefined && encoding.test(match[2] ?? '') ? [match[1]] : [];
    }),
  );
  const formatted = new Set(lines.flatMap((line) => /^a=fmtp:(\d+) /.exec(line)?.[1] ?? []));
  const out: string[] = [];
  for (const line of lines) {
    const fmtp = /^a=fmtp:(\d+) (.*)$/.exec(line);
    if (fmtp?.[1] !== undefined && types.has(fmtp[1])) {
      out.push(`a=fmtp:${fmtp[1]} ${mergeParameters(fmtp[2] ?? '', parameters)}`);
      continue;
    }
    out.push(line);
    const map = /^a=rtpmap:(\d+) /.exec(line);
    if (map?.[1] !== undefined && types.has(map[1]) && !formatted.has(map[1])) {
      out.push(`a=fmtp:${map[1]} ${mergeParameters('', parameters)}`);
    }
  }
  return joinLines(out);
}

function mergeParameters(existing: string, added: Readonly<Record<string, string>>): string {
  const parts = existing
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const names = new Set(parts.map((part) => part.split('=')[0]?.trim().toLowerCase()));
  const extra = Object.entries(added)
    .filter(([name]) => !names.has(name))
    .map(([name, value]) => `${name}=${value}`);
  return [...parts, ...extra].join(';');
}
