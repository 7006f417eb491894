/**
 * What a node says of itself, cut to what can be true. Frames have been parsed, so numbers are numbers; but a broken or
 * lying node must not draw all viewers to itself, blow up the lists of others, or fill logs and records.
 */
import type { Hello, LobbyLoad, NodeCapacity, NodeLoad, Report } from '../../shared/protocol/control.ts';

/** More than any machine of today does in one process, by far. */
const MAX_SESSIONS = 100_000;
/** Of one node, in all lobbies and both directions: a tree has at most 16 below one node. */
const MAX_RELAYS = 20_000;
const MAX_PACKETS_PER_SECOND = 100_000_000;
const MAX_BANDWIDTH_BPS = 1_000_000_000_000;
const MAX_CPU = 1_024;
const MAX_TEXT_CHARS = 64;
const MAX_ADDRESSES = 32;
const MAX_ADDRESS_CHARS = 128;

export interface Credible<T> {
  said: T;
  /** What was changed, in words for the log. */
  complaints: string[];
}

export function credibleHello(hello: Hello): Credible<Hello> {
  const complaints: string[] = [];
  const text = (name: string, value: string) => {
    // Control characters could forge lines of the log.
    const clean = value.replaceAll(/\p{Cc}/gu, '').slice(0, MAX_TEXT_CHARS);
    if (clean !== value) complaints.push(`${name} was cut`);
    return clean;
  };
  const addresses = hello.addresses.filter((address) => address.length <= MAX_ADDRESS_CHARS).slice(0, MAX_ADDRESSES);
  if (addresses.length !== hello.addresses.length) complaints.push('addresses were left out');
  const { lobbies, load } = credibleLoad(hello.load, hello.lobbies, complaints);
  const said: Hello = {
    ...hello,
    version: text('version', hello.version),
    region: text('region', hello.region),
    addresses,
    capacity: credibleCapacity(hello.capacity, complaints),
    lobbies,
    load,
  };
  return { said, complaints };
}

export function credibleReport(report: Report): Credible<Report> {
  const complaints: string[] = [];
  const said = { ...report, ...credibleLoad(report.load, report.lobbies, complaints) };
  return { said, complaints };
}

function credibleCapacity(capacity: NodeCapacity, complaints: string[]): NodeCapacity {
  const { packetsPerSecond, bandwidthBps } = capacity;
  const limited: NodeCapacity = { sessions: atMost(MAX_SESSIONS, capacity.sessions, 'capacity', complaints) };
  if (packetsPerSecond !== undefined) {
    limited.packetsPerSecond = atMost(MAX_PACKETS_PER_SECOND, packetsPerSecond, 'capacity in packets', complaints);
  }
  if (bandwidthBps !== undefined) {
    limited.bandwidthBps = atMost(MAX_BANDWIDTH_BPS, bandwidthBps, 'bandwidth', complaints);
  }
  return limited;
}

function credibleLoad(
  load: NodeLoad,
  said: readonly LobbyLoad[],
  complaints: string[],
): { load: NodeLoad; lobbies: LobbyLoad[] } {
  const lobbies: LobbyLoad[] = [];
  let viewers = 0;
  let relayCount = 0;
  for (const { lobby, subscribers, relays } of said) {
    const credible = Math.min(subscribers, MAX_SESSIONS - viewers);
    viewers += credible;
    relayCount += (relays?.from.length ?? 0) + (relays?.to.length ?? 0);
    const named = relays === undefined || relayCount > MAX_RELAYS ? {} : { relays };
    if (lobbies.length < MAX_SESSIONS) lobbies.push({ lobby, subscribers: credible, ...named });
    if (credible !== subscribers || lobbies.length > MAX_SESSIONS)
      complaints.push(`${subscribers} viewers in one lobby`);
  }
  if (relayCount > MAX_RELAYS) complaints.push(`${relayCount} relays`);
  const sessions = atMost(MAX_SESSIONS, load.sessions, 'sessions', complaints);
  // Who has viewers has at least as many sessions: an idle node with a full house would draw everybody.
  if (sessions < viewers) complaints.push(`${viewers} viewers in ${sessions} sessions`);
  const limited: NodeLoad = {
    sessions: Math.max(sessions, viewers),
    packetsPerSecond: atMost(MAX_PACKETS_PER_SECOND, load.packetsPerSecond, 'packets per second', complaints),
    cpu: atMost(MAX_CPU, load.cpu, 'processor load', complaints),
  };
  if (load.bytesOutPerSecond !== undefined) {
    limited.bytesOutPerSecond = atMost(MAX_BANDWIDTH_BPS / 8, load.bytesOutPerSecond, 'bytes per second', complaints);
  }
  return { load: limited, lobbies };
}

function atMost(limit: number, value: number, name: string, complaints: string[]): number {
  if (value <= limit) return value;
  complaints.push(`${name} of ${value}`);
  return limit;
}
