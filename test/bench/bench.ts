/** What a benchmark is, and how its result is printed. */
import { cpus, loadavg, release, totalmem, type } from 'node:os';

export interface Table {
  title: string;
  headers: readonly string[];
  rows: readonly (readonly string[])[];
  /** What has to be known to read the numbers. */
  notes: readonly string[];
}

export const ENGINES = ['portable', 'native'] as const;
export type EngineName = (typeof ENGINES)[number];

/** How viewers ask to be protected, and its full name. */
export const PROTECTIONS = { gcm: 'AEAD_AES_128_GCM', cm: 'AES_CM_128_HMAC_SHA1_80' } as const;
export type Protection = keyof typeof PROTECTIONS;

/** What the command line may change; each bench takes what means something to it. */
export interface BenchOptions {
  engines: readonly EngineName[];
  /** Null: the bench's own. */
  viewers: readonly number[] | null;
  /** Length of a window, or of a soak; null: the bench's own. */
  windowS: number | null;
  /** Each measurement is repeated this often, and its median told. */
  runs: number;
  srtp: Protection;
}

export interface Bench {
  name: string;
  /** For how long, about, with its own settings. */
  about: string;
  /** Null: cannot be measured here; why was told by `progress`. */
  run(progress: (message: string) => void, options: BenchOptions): Promise<Table | null>;
}

/** How often, when nothing else is asked. */
export const RUNS = 5;

const GIB = 2 ** 30;

export function machineLine(): string {
  const processors = cpus();
  const model = processors[0]?.model.trim() ?? 'unknown processor';
  const memory = `${(totalmem() / GIB).toFixed(1)} GiB`;
  const load = loadavg()[0]?.toFixed(2) ?? '?';
  return `${model}, ${processors.length} cores, ${memory}, ${type()} ${release()}, Node ${process.version}, load before ${load}`;
}

export function printTable({ title, headers, rows, notes }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    `### ${title}`,
    '',
    line(headers),
    line(headers.map(() => '---')),
    ...rows.map(line),
    '',
    ...notes.map((note) => `- ${note}`),
    '',
  ].join('\n');
}
