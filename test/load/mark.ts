/** A moment of a measurement: counters, and what the server had used by then. */
import { cpuTime } from '../bench/process-usage.ts';

const MS_PER_S = 1_000;
const US_PER_S = 1e6;

export interface Mark<Counts> {
  /** Of `performance.now()`. */
  atMs: number;
  counts: Counts;
  /** Null: nobody asked, or the process is gone. */
  serverCpuS: number | null;
}

export interface ServerCost {
  /** The process that carries the media, or several of them. */
  pids: number[];
  cores: number;
  /** Of CPU, everything that the process did included. */
  usPerPacket: number;
}

/** @param pids none: nobody's CPU time is noted */
export function mark<Counts>(counts: Counts, pids: readonly number[] = []): Mark<Counts> {
  const used = pids.map(cpuSeconds);
  const serverCpuS =
    used.length === 0 ? null : used.reduce((sum, own) => (own === null || sum === null ? null : sum + own), 0);
  return { atMs: performance.now(), counts, serverCpuS };
}

/** User and system; null when there is no such process. */
export function cpuSeconds(pid: number): number | null {
  try {
    const { user, system } = cpuTime(pid);
    return user + system;
  } catch {
    return null;
  }
}

export function serverCost(
  pids: readonly number[],
  from: Mark<unknown>,
  to: Mark<unknown>,
  packets: number,
): ServerCost | null {
  if (pids.length === 0 || from.serverCpuS === null || to.serverCpuS === null) return null;
  const cpuS = to.serverCpuS - from.serverCpuS;
  return {
    pids: [...pids],
    cores: (cpuS * MS_PER_S) / (to.atMs - from.atMs),
    usPerPacket: (cpuS * US_PER_S) / packets,
  };
}
