/** The text format of Prometheus, version 0.0.4. */
import type { NodeStatus } from './node-status.ts';

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const PREFIX = 'vestibule_node_';

interface Metric {
  name: string;
  type: 'gauge' | 'counter';
  help: string;
  value(status: NodeStatus): number;
}

const METRICS: readonly Metric[] = [
  { name: 'linked', type: 'gauge', help: '1 while the link to the edge stands', value: (s) => Number(s.linked) },
  { name: 'uptime_seconds', type: 'gauge', help: 'Time since the start', value: (s) => s.uptimeSeconds },
  { name: 'sessions', type: 'gauge', help: 'Publishers and viewers', value: (s) => s.sessions },
  { name: 'capacity_sessions', type: 'gauge', help: 'Publishers and viewers that it takes', value: (s) => s.capacity },
  { name: 'resident_bytes', type: 'gauge', help: 'Resident memory', value: (s) => s.residentBytes },
  { name: 'cpu_seconds_total', type: 'counter', help: 'CPU time, user and system', value: (s) => s.cpuSeconds },
];

const TOTALS_HELP: Readonly<Record<string, string>> = {
  packetsIn: 'Valid packets received from publishers and viewers, RTCP included',
  packetsOut: 'Packets sent, RTCP included',
  bytesIn: 'Bytes of the packets received',
  bytesOut: 'Bytes of the packets sent',
  dropped: 'Packets received and thrown away: broken, forged or repeated',
  droppedOut: 'Packets that were not sent: they had waited too long, or there was no room to wait in',
  tooLateOut: 'Of the packets that were not sent, those that had waited for a second',
  noRoomOut: 'Of the packets that were not sent, those for which a full socket left no room',
  delayedOut: 'Packets that left more than 10 ms after they came',
  messagesOut: 'Messages to the kernel, of a packet or of several that it cuts',
  segmentedOut: 'Packets in messages that the kernel cut',
  sendCalls: 'System calls that sent',
  sendWaits: 'Times that the buffer of a socket was full',
  failedSends: 'Packets that the kernel refused to send',
  datagrams: 'Datagrams received of any kind',
  unknownDatagrams: 'Datagrams of no known kind, or from an address that proved nothing',
};

/** All nodes of a process group in one text. */
export function metricsText(statuses: readonly NodeStatus[]): string {
  const lines: string[] = [];
  const declare = (name: string, type: string, help: string): void => {
    lines.push(`# HELP ${PREFIX}${name} ${help}.`, `# TYPE ${PREFIX}${name} ${type}`);
  };
  declare('info', 'gauge', 'What runs here');
  for (const { node, version, region, engine } of statuses) {
    lines.push(`${PREFIX}info${labels({ node, version, region, engine })} 1`);
  }
  for (const { name, type, help, value } of METRICS) {
    declare(name, type, help);
    for (const status of statuses) lines.push(`${PREFIX}${name}${labels({ node: status.node })} ${value(status)}`);
  }
  for (const total of new Set(statuses.flatMap(({ totals }) => Object.keys(totals)))) {
    const name = `${snakeCase(total)}_total`;
    declare(name, 'counter', TOTALS_HELP[total] ?? `Count of ${snakeCase(total).replaceAll('_', ' ')}`);
    for (const { node, totals } of statuses) {
      const value = totals[total];
      if (value !== undefined) lines.push(`${PREFIX}${name}${labels({ node })} ${value}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function labels(pairs: Readonly<Record<string, string>>): string {
  return `{${Object.entries(pairs)
    .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
    .join(',')}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
