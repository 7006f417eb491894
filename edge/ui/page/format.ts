/** Measurements as people read them. Unknown is a dash everywhere. */

const UNKNOWN = '–';

export function formatBitrate(bps: number | null): string {
  if (bps === null) return UNKNOWN;
  if (bps >= 1_000_000) return `${(bps / 1_000_000).toFixed(2)} Mb/s`;
  return `${Math.round(bps / 1_000)} kb/s`;
}

export function formatMs(ms: number | null): string {
  if (ms === null) return UNKNOWN;
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

export function formatShare(ratio: number | null): string {
  if (ratio === null) return UNKNOWN;
  const percent = ratio * 100;
  return percent === 0 || percent >= 10 ? `${Math.round(percent)} %` : `${percent.toFixed(1)} %`;
}

export function formatSize(width: number | null, height: number | null): string {
  return width === null || height === null ? UNKNOWN : `${width} × ${height}`;
}

export function formatCount(value: number | null): string {
  return value === null ? UNKNOWN : String(Math.round(value));
}

export function formatCodecs(video: string | null, audio: string | null): string {
  const names = [video, audio].filter((name) => name !== null).map(formatCodec);
  return names.length === 0 ? UNKNOWN : names.join(' · ');
}

/** As its makers write it; SDP has `opus`. */
export function formatCodec(name: string): string {
  return name === 'opus' ? 'Opus' : name;
}

export function formatAudience(subscribers: number): string {
  return subscribers === 0 ? 'nobody watching' : `${subscribers} watching`;
}

export function formatBytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${Math.ceil(bytes / 1e3)} kB`;
}

/** `0:07`, `12:30`, `1:02:03` */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return `${hours === 0 ? minutes : `${hours}:${two(minutes)}`}:${two(seconds % 60)}`;
}

/** A moment of ISO 8601 in the reader's own time and words. */
export function formatWhen(iso: string): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return UNKNOWN;
  return date.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}
