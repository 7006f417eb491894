/** What the kernel could not keep for this process: a machine that is busy with other things loses datagrams so. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const TABLES = ['/proc/net/udp', '/proc/net/udp6'];
/** Fields of a line of them. */
const INODE = 9;
const DROPS = 12;

/** Datagrams that came to the UDP sockets that this process has open, and found no room; 0 where no kernel tells. */
export function droppedDatagrams(): number {
  if (process.platform !== 'linux') return 0;
  const own = new Set(readdirSync('/proc/self/fd').map(targetOf));
  return TABLES.flatMap((table) => readFileSync(table, 'utf8').split('\n'))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => own.has(`socket:[${fields[INODE]}]`))
    .reduce((sum, fields) => sum + Number(fields[DROPS]), 0);
}

function targetOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return ''; // closed by now: the directory's own, for one
  }
}
