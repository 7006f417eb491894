/** The settings that a media node reads, in words: for `--help` at both ends, and so that neither takes one for a misspelling. */

export interface SettingHelp {
  readonly name: string;
  /** What it is when it is not set; empty: nothing. */
  readonly fallback: string;
  readonly help: string;
}

export const NODE_SETTINGS: readonly SettingHelp[] = [
  { name: 'EDGE_URL', fallback: '', help: 'the edge to dial, such as https://vestibule.example.workers.dev' },
  { name: 'NODE_TOKEN', fallback: '', help: 'the secret that the edge knows nodes by' },
  { name: 'NODE_ID', fallback: 'the host name', help: 'its name in the fleet; keep it over restarts' },
  {
    name: 'NODE_REGION',
    fallback: 'local',
    help: "where it is: a cloud's region such as eu-west-3, a country, or your own words",
  },
  { name: 'NODE_COORDINATES', fallback: 'by its region', help: 'degrees north and east, such as 48.86,2.35' },
  { name: 'NODE_CAPACITY', fallback: '5000', help: 'how many sessions (publishers and viewers) it takes; each worker' },
  { name: 'NODE_PACKETS_PER_SECOND', fallback: 'not said', help: 'what the machine can send; each worker' },
  { name: 'NODE_BANDWIDTH_BPS', fallback: 'not said', help: 'bits per second that the machine can send; each worker' },
  { name: 'DRAIN_TIMEOUT_MS', fallback: '30000', help: 'how long clients have to move when the node is told to end' },
  { name: 'NODE_WORKERS', fallback: 'none', help: 'processes side by side, a number or auto; the same as --workers' },
  { name: 'NODE_STATUS_PORT', fallback: 'none', help: 'TCP port of /healthz, /readyz and /metrics' },
  { name: 'NODE_STATUS_HOST', fallback: '127.0.0.1', help: 'address that this port listens on' },
  { name: 'MEDIA_PORT', fallback: '8840', help: 'UDP port for all media; workers take it and the ones after it' },
  {
    name: 'MEDIA_ADDRESSES',
    fallback: 'all of the machine',
    help: 'addresses to bind and announce, by commas; private/public behind a 1:1 NAT',
  },
  { name: 'KEYFRAME_CACHE', fallback: 'true', help: 'new viewers start from the packets since the last keyframe' },
  { name: 'KEYFRAME_CACHE_BYTES', fallback: '8388608', help: 'how large that cache may grow for one video' },
  { name: 'FANOUT_ENGINE', fallback: 'auto', help: 'what sends to viewers: portable, native or auto' },
  { name: 'LIVE_ALLOWED_HOSTS', fallback: 'every public host', help: 'servers that lobbies may be pushed to' },
  {
    name: 'FFMPEG_PATH',
    fallback: 'ffmpeg on PATH',
    help: 'the ffmpeg that puts lobbies on the air and makes snapshots',
  },
  { name: 'RECORD_DIR', fallback: '.vestibule/recordings', help: 'where recordings lie until they are uploaded' },
  {
    name: 'DELETE_RECORDING_AFTER_UPLOAD',
    fallback: 'false',
    help: 'delete the local file when the store has confirmed that it has it',
  },
  { name: 'RECORD_MAX_BYTES', fallback: '150 GiB', help: 'a recording that grows beyond this goes on in another file' },
];

/** That of the longest name. */
const NAME_WIDTH = 29;

/** One line for each setting. */
export function describeSettings(settings: readonly SettingHelp[]): string {
  return settings
    .map(({ name, fallback, help }) => `  ${name.padEnd(NAME_WIDTH)} ${help}${fallback === '' ? '' : ` (${fallback})`}`)
    .join('\n');
}
