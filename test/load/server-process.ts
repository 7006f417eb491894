/** Which process of this machine a server's UDP port belongs to. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Fields of a line in /proc/net/udp. */
const LOCAL_ADDRESS = 1;
const REMOTE_ADDRESS = 2;
const INODE = 9;
const UNCONNECTED_PORT = ':0000';

/** Null: it is on another machine, of another user, or nowhere. */
export function processOfUdpPort(port: number): number | null {
  try {
    const ending = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    const inodes = ['/proc/net/udp', '/proc/net/udp6'].flatMap((file) =>
      readFileSync(file, 'utf8')
        .split('\n')
        .map((line) => line.trim().split(/\s+/))
        .filter(
          (fields) => fields[LOCAL_ADDRESS]?.endsWith(ending) && fields[REMOTE_ADDRESS]?.endsWith(UNCONNECTED_PORT),
        )
        .map((fields) => `socket:[${fields[INODE]}]`),
    );
    if (inodes.length === 0) return null;
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    const owner = pids.find((pid) => descriptorsOf(pid).some((target) => inodes.includes(target)));
    return owner === undefined ? null : Number(owner);
  } catch {
    return null;
  }
}

function descriptorsOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        return '';
      }
    });
  } catch {
    return [];
  }
}

/** `asked`, or else the processes of these ports. */
export function serverProcesses(asked: number | undefined, ports: readonly number[]): number[] {
  if (asked !== undefined) return [asked];
  const found = ports.map(processOfUdpPort).filter((pid) => pid !== null && pid !== process.pid);
  return [...new Set(found.filter((pid) => pid !== null))];
}
