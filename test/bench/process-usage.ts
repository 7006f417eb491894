/** CPU time, memory and descriptors of another process, as the kernel counts them. */
import { readdirSync, readFileSync } from 'node:fs';

/** `sysconf(_SC_CLK_TCK)`: 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
const KIB = 1024;
const NS_PER_S = 1e9;
/** Fields of /proc/PID/stat behind the command's closing bracket, which is the second field (proc_pid_stat(5)). */
const UTIME = 14 - 3;
const STIME = 15 - 3;

export interface CpuTime {
  /** Seconds. */
  user: number;
  system: number;
}

/** Of all threads so far; the kernel counts in steps of 10 ms. */
export function cpuTime(pid: number): CpuTime {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { user: Number(fields[UTIME]) / TICKS_PER_SECOND, system: Number(fields[STIME]) / TICKS_PER_SECOND };
}

/** User and system, seconds. */
export function cpuSeconds(pid: number): number {
  const { user, system } = cpuTime(pid);
  return user + system;
}

/** Seconds that its main thread wanted to run so far and had no core. NaN where the kernel does not count it. */
export function waitedSeconds(pid: number): number {
  try {
    const [, waitedNs] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ').map(Number);
    return (waitedNs ?? Number.NaN) / NS_PER_S;
  } catch {
    return Number.NaN;
  }
}

/** Resident set, bytes. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN) * KIB;
}

export function descriptorCount(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
