/** The line that tells how it goes, where somebody watches. */

const CLEAR_LINE = '\r\x1b[2K';

export interface Progress {
  show(line: string): void;
  /** Leaves nothing of it. */
  clear(): void;
}

/** On standard error, when that is a terminal. */
export function openProgress(): Progress {
  const { stderr } = process;
  if (!stderr.isTTY) return { show: () => {}, clear: () => {} };
  return {
    // A terminal without a size tells 0 columns.
    show: (line) => void stderr.write(`${CLEAR_LINE}${stderr.columns > 0 ? line.slice(0, stderr.columns - 1) : line}`),
    clear: () => void stderr.write(CLEAR_LINE),
  };
}
