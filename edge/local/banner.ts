/** What `npm start` and `npm run edge` print when they are up: everything that is needed to publish and to watch. */
import type { NetworkInterfaceInfo } from 'node:os';
import { type Demo, entryLink } from './demo.ts';
import type { MediaNodeReady } from './media-node-process.ts';
import type { Settings } from './settings.ts';

const EXAMPLE_ROOM = 'live';
const RECORDING_HINT = '  (RECORD_ENABLED=1 records every room)';
const WILDCARD_HOSTS = ['0.0.0.0', '::', '*'];
const LABEL_WIDTH = 9;
const MOST_LAN_ADDRESSES = 4;

type Row = (label: string, text: string) => string;
type Paint = (style: 'bold' | 'dim' | 'link', text: string) => string;

export interface BannerInput {
  version: string;
  settings: Settings;
  /** Where the edge listens. */
  url: URL;
  /** Null: the edge runs alone. */
  node: MediaNodeReady | null;
  /** Null: there is none. */
  demo: Demo | null;
  /** Path of the file with the generated node token; null when it was set. */
  secretsFile: string | null;
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>;
  color: boolean;
}

export function banner(input: BannerInput): string {
  const { settings, node } = input;
  const closed = authWays(settings.edge).length > 0;
  const paint = painter(input.color);
  const base = publicBase(input);
  const row: Row = (label, text) => `  ${paint('dim', label.padEnd(LABEL_WIDTH))} ${text}`;
  const lines = [
    '',
    `  ${paint('bold', 'Vestibule')} ${input.version}`,
    '',
    row('Rooms', paint('link', `${base}/`)),
    row('Publish', paint('link', `${base}/web/publisher.html?room=${EXAMPLE_ROOM}`)),
    row('Watch', paint('link', `${base}/web/player.html?room=${EXAMPLE_ROOM}`)),
    row('Records', paint('link', `${base}/web/records.html`) + (settings.edge.recordEnabled ? '' : RECORDING_HINT)),
    ...lanRows(input, row),
    '',
    row('OBS', 'Settings > Stream > Service: WHIP'),
    row('', `Server        ${base}/api/whip/publish/${EXAMPLE_ROOM}`),
    row('', `Bearer Token  ${closed ? tokenHint(settings.edge) : '(leave it empty)'}`),
    row('ffmpeg', ffmpegCommand(base, closed)),
    '',
    row('Auth', authMode(settings.edge)),
    row('Media', node === null ? 'none here' : mediaLine(node)),
  ];
  if (node === null) lines.push(...nodeHints(input, base, row));
  // Last: its links are long.
  lines.push(...demoRows(input, base, row, paint));
  return `${lines.join('\n')}\n\n  ${paint('dim', 'Ctrl-C stops everything.')}\n`;
}

/** Everybody has a link of their own. The session's cookie is one for all tabs, so they need browsers of their own, too. */
function demoRows({ demo }: BannerInput, base: string, row: Row, paint: Paint): string[] {
  if (demo === null) return [];
  return [
    '',
    row('Lobby', 'A demo for three. Each link is one person: open them in different browsers, or in private windows.'),
    ...demo.members.flatMap(({ user, isOwner, token }) => [
      row('', isOwner ? `${user}, who owns it and may go live` : `${user}, a guest`),
      row('', paint('link', entryLink(base, demo, token))),
    ]),
  ];
}

/** Who may publish and watch, in words. */
export function authMode(edge: Settings['edge']): string {
  const ways = authWays(edge);
  if (ways.length === 0) return 'open: whoever reaches this address may publish and watch (AUTH_TOKEN closes it)';
  const othersOpen = edge.authToken === null && edge.jwtSecret === null;
  return `${ways.join(', ')}${othersOpen ? '; other rooms are open' : ''}`;
}

function authWays(edge: Settings['edge']): string[] {
  return [
    ...(edge.roomTokens.size === 0 ? [] : ['room tokens']),
    ...(edge.authToken === null ? [] : ['one token for all rooms']),
    ...(edge.jwtSecret === null ? [] : ['JWT']),
  ];
}

/** Addresses of this machine that others on its networks can use; IPv4, because they are the ones people type. */
export function lanAddresses(interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>): string[] {
  return Object.values(interfaces)
    .flatMap((infos) => infos ?? [])
    .filter((info) => !info.internal && info.family === 'IPv4')
    .map((info) => info.address)
    .slice(0, MOST_LAN_ADDRESSES);
}

function publicBase({ settings, url }: BannerInput): string {
  return (settings.edge.publicUrl ?? url.href).replace(/\/+$/, '');
}

function lanRows({ settings, url, interfaces }: BannerInput, row: Row): string[] {
  const onLan = WILDCARD_HOSTS.includes(settings.launcher.HOST)
    ? lanAddresses(interfaces).map((address) => `http://${address}:${url.port}/`)
    : [];
  return [
    ...onLan.map((address, index) => row(index === 0 ? 'Network' : '', address)),
    ...(onLan.length > 0
      ? [row('', 'Browsers open cameras on https:// or localhost only; watching works everywhere.')]
      : []),
  ];
}

function tokenHint(edge: Settings['edge']): string {
  if (edge.authToken !== null) return '(the value of AUTH_TOKEN)';
  return edge.roomTokens.size > 0 ? "(the room's token in ROOM_TOKENS)" : '(a JWT signed with JWT_SECRET)';
}

function ffmpegCommand(base: string, closed: boolean): string {
  const encode =
    '-c:v libx264 -preset veryfast -tune zerolatency -bf 0 -g 60 -pix_fmt yuv420p -c:a libopus -ar 48000 -ac 2';
  const token = closed ? ' -authorization TOKEN' : '';
  return `ffmpeg -re -i in.mp4 ${encode} -f whip${token} ${base}/api/whip/publish/${EXAMPLE_ROOM}`;
}

function mediaLine(node: MediaNodeReady): string {
  const { workers } = node;
  if (workers === undefined) return `UDP ${node.addresses.join(', ')} (node ${node.node}, ${node.engine} fan-out)`;
  const names = workers.length === 1 ? workers[0]?.node : `${workers[0]?.node} to ${workers.at(-1)?.node}`;
  return `UDP ${workers.map(({ addresses }) => addresses[0]).join(', ')} (nodes ${names}, ${node.engine} fan-out)`;
}

function nodeHints({ secretsFile }: BannerInput, base: string, row: Row): string[] {
  return [
    row('', `Start one:  EDGE_URL=${base} NODE_TOKEN=... npm run node`),
    ...(secretsFile === null ? [] : [row('', `NODE_TOKEN was generated: it is in ${secretsFile}`)]),
  ];
}

function painter(color: boolean): Paint {
  const codes = { bold: '1', dim: '2', link: '36' } as const;
  return (style, text) => (color && text.trim() !== '' ? `\x1b[${codes[style]}m${text}\x1b[0m` : text);
}
