/** What a benchmark is, and how its result is printed. */
import { cpus, release, totalmem, type } from 'node:os';

export interface Table {
  title: string;
  headers: readonly string[];
  rows: readonly (readonly string[])[];
  /** What has to be known to read the numbers. */
  notes: readonly string[];
}

export interface Bench {
  name: string;
  run(progress: (message: string) => void): Promise<Table>;
}

/** Each measurement is repeated this often, and its median told. */
export const RUNS = 5;

const GIB = 2 ** 30;

export function machineLine(): string {
  const processors = cpus();
  const model = processors[0]?.model.trim() ?? 'unknown processor';
  const memory = `${(totalmem() / GIB).toFixed(1)} GiB`;
  return `${model}, ${processors.length} cores, ${memory}, ${type()} ${release()}, Node ${process.version}`;
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
