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
  pid: number;
  cores: number;
  /** Of CPU, everything that the process did included. */
  usPerPacket: number;
}

export function mark<Counts>(counts: Counts, pid: number | undefined): Mark<Counts> {
  return { atMs: performance.now(), counts, serverCpuS: pid === undefined ? null : cpuSeconds(pid) };
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
  pid: number | undefined,
  from: Mark<unknown>,
  to: Mark<unknown>,
  packets: number,
): ServerCost | null {
  if (pid === undefined || from.serverCpuS === null || to.serverCpuS === null) return null;
  const cpuS = to.serverCpuS - from.serverCpuS;
  return { pid, cores: (cpuS * MS_PER_S) / (to.atMs - from.atMs), usPerPacket: (cpuS * US_PER_S) / packets };
}
