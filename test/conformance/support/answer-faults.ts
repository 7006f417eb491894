/**
 * What is wrong with an answer to an offer, by requirement number; nothing: an empty list. Written from protocol.md alone
 * (#29, #30, #62, #97–#119), not from the code under test.
 */
import {
  bundle,
  type Description,
  direction,
  inherited,
  isOffered,
  readSdp,
  type Section,
  value,
  values,
} from './sdp.ts';

/** FFmpeg's buffer. */
const MAX_ANSWER_BYTES = 8192;

export function answerFaults(offerText: string, answerText: string, purpose: 'publish' | 'play'): string[] {
  const offer = readSdp(offerText);
  const answer = readSdp(answerText);
  const faults = [...grammarFaults(answerText), ...sessionFaults(offer, answer)];
  if (answer.sections.length !== offer.sections.length) return [...faults, '#104 other number of m-lines'];
  for (const [index, section] of answer.sections.entries()) {
    const offered = offer.sections[index];
    if (offered === undefined) continue;
    const where = `m-line ${index}`;
    faults.push(...sectionFaults(offer, answer, offered, section, purpose).map((fault) => `${where}: ${fault}`));
  }
  if (purpose === 'play') faults.push(...senderFaults(answer));
  return faults;
}

/** RFC 8866 §5: one letter, `=`, text; CRLF everywhere; the order of the first lines. */
export function grammarFaults(text: string): string[] {
  const faults: string[] = [];
  if (!text.startsWith('v=0\r\no=')) faults.push('#30 does not begin with v=0 CRLF o=');
  if (!text.endsWith('\r\n')) faults.push('#30 does not end with CRLF');
  if (Buffer.byteLength(text) >= MAX_ANSWER_BYTES) faults.push('#30 is 8192 bytes or longer');
  const lines = text.split('\r\n').slice(0, -1);
  for (const line of lines) {
    if (!/^[a-z]=[^\r\n\0]+$/.test(line)) faults.push(`#30 not a line of SDP: ${JSON.stringify(line)}`);
    if (/\s$/.test(line)) faults.push(`#30 blank at the end: ${JSON.stringify(line)}`);
  }
  if (!/^o=\S+ \d{1,19} \d+ IN IP[46] \S+$/.test(lines[1] ?? '')) faults.push(`malformed o= line: ${lines[1]}`);
  const head = lines.slice(
    0,
    Math.max(
      0,
      lines.findIndex((line) => line.startsWith('m=')),
    ),
  );
  if (!/^v(o)(s)(i?)(c?)(b*)(t)+(a*)$/.test(head.map((line) => line[0]).join(''))) faults.push('lines out of order');
  return faults;
}

function sessionFaults(offer: Description, answer: Description): string[] {
  const faults: string[] = [];
  const accepted = answer.sections.filter((section) => section.port !== 0);
  if (accepted.length === 0) faults.push('#97 nothing is accepted');
  const group = bundle(answer);
  const offeredGroup = bundle(offer);
  if (offeredGroup === null && group !== null) faults.push('#98 a group that was not offered');
  if (offeredGroup !== null) {
    const mids = accepted.map((section) => value(section.attributes, 'mid'));
    if (JSON.stringify([...(group ?? [])].sort()) !== JSON.stringify([...mids].sort())) {
      faults.push(`#98 group ${group} is not the accepted mids ${mids}`);
    }
  }
  if (values(answer.session, 'group').length > 1) faults.push('#98 more than one group');
  if (!answer.session.includes('ice-lite')) faults.push('#103 no session-level ice-lite');
  return faults;
}

function sectionFaults(
  offer: Description,
  answer: Description,
  offered: Section,
  section: Section,
  purpose: 'publish' | 'play',
): string[] {
  const faults: string[] = [];
  if (section.kind !== offered.kind) faults.push('#104 other kind');
  if (section.protocol !== offered.protocol) faults.push('#104 other protocol');
  if (value(section.attributes, 'mid') !== value(offered.attributes, 'mid')) faults.push('#104 other mid');
  if (section.formats.some((format) => !offered.formats.includes(format)))
    faults.push('#104 a PT that was not offered');
  if (section.port === 0) {
    const mayReject = offered.kind === 'application' || purpose === 'play';
    if (isOffered(offered) && !mayReject) faults.push('#16 rejected on its own');
    if (bundle(answer)?.includes(value(section.attributes, 'mid') ?? '')) faults.push('#98 rejected, yet in the group');
    return faults;
  }
  if (!isOffered(offered)) faults.push('#99 accepts a rejected m-line');
  // Data channels: no direction, no formats, no RTCP.
  if (offered.kind === 'application') return [...faults, ...transportFaults(offer, answer, offered, section)];
  const ours = purpose === 'publish' ? 'recvonly' : 'sendonly';
  if (direction(answer, section) !== ours) faults.push(`#97/#114 not ${ours}`);
  return [
    ...faults,
    ...formatFaults(offered, section),
    ...transportFaults(offer, answer, offered, section),
    ...simulcastFaults(offered, section, purpose),
  ];
}

function formatFaults(offered: Section, section: Section): string[] {
  const faults: string[] = [];
  const offeredMaps = new Map(values(offered.attributes, 'rtpmap').map((text) => text.split(' ') as [string, string]));
  const answeredMaps = new Map(values(section.attributes, 'rtpmap').map((text) => text.split(' ') as [string, string]));
  for (const format of section.formats) {
    const name = answeredMaps.get(format);
    if (name === undefined) faults.push(`PT ${format} without rtpmap`);
    const before = offeredMaps.get(format);
    if (before !== undefined && name?.toLowerCase() !== before.toLowerCase()) faults.push(`#104 PT ${format} renamed`);
  }
  const feedback = values(offered.attributes, 'rtcp-fb').map((text) => text.replace(/\s+/g, ' '));
  for (const line of values(section.attributes, 'rtcp-fb')) {
    const [format, ...rest] = line.split(' ');
    if (!section.formats.includes(format ?? '')) faults.push(`rtcp-fb of an absent PT: ${line}`);
    if (!feedback.includes(line) && !feedback.includes(`* ${rest.join(' ')}`))
      faults.push(`rtcp-fb not offered: ${line}`);
  }
  // A first codec that was offered PLI or NACK keeps them: without there is no repair.
  const first = section.formats[0];
  for (const wanted of [`${first} nack`, `${first} nack pli`, `${first} ccm fir`]) {
    if (
      section.kind === 'video' &&
      feedback.includes(wanted) &&
      !values(section.attributes, 'rtcp-fb').includes(wanted)
    ) {
      faults.push(`rtcp-fb dropped: ${wanted}`);
    }
  }
  for (const line of values(section.attributes, 'fmtp')) {
    const [format, parameters] = line.split(' ', 2);
    if (!section.formats.includes(format ?? '')) faults.push(`fmtp of an absent PT: ${line}`);
    const apt = /^apt=(\d+)$/.exec(parameters ?? '')?.[1];
    if (apt !== undefined && !section.formats.includes(apt)) faults.push(`RTX of an absent PT: ${line}`);
  }
  const extensions = values(offered.attributes, 'extmap').map((text) => text.split(' '));
  const seen = new Set<string>();
  for (const text of values(section.attributes, 'extmap')) {
    const [head = '', uri] = text.split(' ');
    const [id = ''] = head.split('/');
    if (!extensions.some(([theirs, theirUri]) => theirs?.split('/')[0] === id && theirUri === uri)) {
      faults.push(`#104 extmap not offered: ${text}`);
    }
    if (seen.has(id)) faults.push(`#104 extmap id twice: ${text}`);
    seen.add(id);
  }
  return faults;
}

function transportFaults(offer: Description, answer: Description, offered: Section, section: Section): string[] {
  const faults: string[] = [];
  const { attributes } = section;
  const rtcp = section.kind === 'application' ? [] : ['rtcp-mux', 'rtcp-mux-only'];
  for (const flag of [...rtcp, 'end-of-candidates']) {
    if (attributes.filter((line) => line === flag).length !== 1) faults.push(`#100/#107 ${flag} not exactly once`);
  }
  if (!/^[A-Za-z0-9+/]{4,256}$/.test(inherited(answer, section, 'ice-ufrag') ?? '')) faults.push('#105 no ice-ufrag');
  if (!/^[A-Za-z0-9+/]{22,256}$/.test(inherited(answer, section, 'ice-pwd') ?? '')) faults.push('#105 no ice-pwd');
  const first = answer.sections.find((other) => other.port !== 0);
  if (first !== undefined && inherited(answer, section, 'ice-ufrag') !== inherited(answer, first, 'ice-ufrag')) {
    faults.push('#98 other credentials in one bundle');
  }
  if (!/^sha-256 [0-9A-F]{2}(:[0-9A-F]{2}){31}$/.test(inherited(answer, section, 'fingerprint') ?? '')) {
    faults.push('#105 no fingerprint');
  }
  const theirs = inherited(offer, offered, 'setup') ?? 'actpass';
  const ours = inherited(answer, section, 'setup');
  if (ours !== (theirs === 'passive' ? 'active' : 'passive')) faults.push(`#102 ${ours} answers ${theirs}`);
  const candidates = values(attributes, 'candidate');
  if (candidates.length === 0) faults.push('#62/#105 no candidate');
  const pattern = /^\S{1,32} 1 udp \d{1,10} (\S+) (\d{1,5}) typ host$/;
  for (const candidate of candidates) {
    const found = pattern.exec(candidate);
    if (found === null) faults.push(`#106 not a UDP host candidate: ${candidate}`);
    if (Number(found?.[2] ?? 0) < 1) faults.push(`#106 no port: ${candidate}`);
  }
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(pattern.exec(candidates[0] ?? '')?.[1] ?? ''))
    faults.push('#106 first one not IPv4');
  const priorities = candidates.map((candidate) => Number(candidate.split(' ')[3]));
  if (priorities.some((priority, at) => at > 0 && priority >= (priorities[at - 1] ?? 0)))
    faults.push('#106 priorities');
  const lastCandidate = attributes.findLastIndex((line) => line.startsWith('candidate:'));
  if (attributes.indexOf('end-of-candidates') < lastCandidate) faults.push('#107 candidates after their end');
  return faults;
}

function simulcastFaults(offered: Section, section: Section, purpose: 'publish' | 'play'): string[] {
  const offeredRids = values(offered.attributes, 'rid').flatMap((text) =>
    / send/.test(text) ? text.split(' ')[0] : [],
  );
  const rids = values(section.attributes, 'rid');
  const simulcast = value(section.attributes, 'simulcast');
  if (purpose === 'play') return rids.length > 0 || simulcast !== null ? ['rids in an answer to a viewer'] : [];
  const faults: string[] = [];
  if (JSON.stringify(rids) !== JSON.stringify(offeredRids.map((rid) => `${rid} recv`))) {
    faults.push(`#108 rids ${rids} do not answer ${offeredRids}`);
  }
  const offeredSimulcast = value(offered.attributes, 'simulcast')?.replace(/^send /, '') ?? null;
  if (offeredSimulcast !== null && simulcast !== `recv ${offeredSimulcast}`) faults.push(`#108 simulcast ${simulcast}`);
  if (offeredSimulcast === null && simulcast !== null) faults.push('#108 simulcast was not offered');
  for (const name of ['sdes:mid', 'sdes:rtp-stream-id', 'sdes:repaired-rtp-stream-id']) {
    const uri = `urn:ietf:params:rtp-hdrext:${name}`;
    const had = (one: Section): boolean => values(one.attributes, 'extmap').some((text) => text.split(' ')[1] === uri);
    if (offeredRids.length > 0 && had(offered) && !had(section)) faults.push(`#108 ${name} is missing`);
  }
  return faults;
}

/** #101, #115, #119: one MediaStream, declared SSRCs, at most one track of a kind. */
function senderFaults(answer: Description): string[] {
  const faults: string[] = [];
  const streams = new Set<string>();
  const ssrcs = new Set<string>();
  const accepted = answer.sections.filter((section) => section.port !== 0 && section.kind !== 'application');
  for (const { kind, attributes, formats } of accepted) {
    if (accepted.filter((other) => other.kind === kind).length > 1) faults.push(`#115 two ${kind} tracks`);
    const msids = values(attributes, 'msid');
    if (msids.length !== 1 || !/^\S+ \S+$/.test(msids[0] ?? '')) faults.push(`#119 msid ${msids}`);
    streams.add(msids[0]?.split(' ')[0] ?? '');
    const declared = new Set(values(attributes, 'ssrc').map((text) => text.split(' ')[0] ?? ''));
    if (declared.size === 0) faults.push('#119 no a=ssrc');
    for (const ssrc of declared) {
      if (ssrcs.has(ssrc)) faults.push(`#119 SSRC ${ssrc} in two sections`);
      ssrcs.add(ssrc);
      const lines = values(attributes, 'ssrc').filter((text) => text.startsWith(`${ssrc} `));
      if (!lines.some((text) => / cname:\S+$/.test(text))) faults.push(`#119 SSRC ${ssrc} without cname`);
    }
    const groups = values(attributes, 'ssrc-group');
    for (const member of groups.flatMap((text) => text.split(' ').slice(1))) {
      if (!declared.has(member)) faults.push(`#119 undeclared group member ${member}`);
    }
    const rtx = values(attributes, 'rtpmap').some((text) => /^\d+ rtx\//i.test(text));
    if (rtx !== groups.some((text) => text.startsWith('FID '))) faults.push('#119 FID and RTX disagree');
    if (formats.length > 2 || (formats.length === 2 && !rtx)) faults.push('more than what is sent');
  }
  if (streams.size > 1) faults.push('#115 more than one stream');
  return faults;
}
