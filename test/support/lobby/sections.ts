/** The m-sections of a description, as a member needs them. */

export interface Section {
  kind: string;
  mid: string;
  /** `sendonly`, `recvonly`, `sendrecv` or `inactive`. */
  direction: string;
  /** The m-line's port is 0. */
  rejected: boolean;
  /** The `i=` line. */
  info: string | null;
  /** Stream and track of `a=msid`. */
  msid: string | null;
}

export function sectionsOf(sdp: string): Section[] {
  return sdp
    .split(/^(?=m=)/m)
    .slice(1)
    .map((text) => {
      const find = (pattern: RegExp): string | null => pattern.exec(text)?.[1]?.trim() ?? null;
      return {
        kind: find(/^m=(\S+)/) ?? '',
        mid: find(/^a=mid:(.*)$/m) ?? '',
        direction: find(/^a=(sendonly|recvonly|sendrecv|inactive)\s*$/m) ?? 'sendrecv',
        rejected: find(/^m=\S+ (\d+)/) === '0',
        info: find(/^i=(.*)$/m),
        msid: find(/^a=msid:(.*)$/m),
      };
    });
}

/** The sections in which something is sent to us. */
export function tracksOf(sdp: string): Section[] {
  return sectionsOf(sdp).filter(
    ({ kind, direction, rejected }) => kind !== 'application' && !rejected && /^send/.test(direction),
  );
}

/** Puts an `i=` line into each audio and video section. */
export function withInfo(sdp: string, info: string): string {
  return sdp.replace(/^m=(audio|video) .*$/gm, (line) => `${line.trimEnd()}\r\ni=${info}`).replace(/\r\r/g, '\r');
}
