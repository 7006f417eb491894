/** Names this short are too easily near each other (`PORT`, `POST`). */
const SHORTEST_NAME = 6;
const MOST_EDITS = 2;

/** The known name that `name` most likely is a misspelling of; null when none is near enough. */
export function closestName(name: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = MOST_EDITS + 1;
  for (const candidate of known) {
    if (candidate.length < SHORTEST_NAME || Math.abs(candidate.length - name.length) > MOST_EDITS) continue;
    const distance = editDistance(name.toUpperCase(), candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance, one row at a time. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let line = 1; line <= from.length; line += 1) {
    const next = [line];
    for (let column = 1; column <= to.length; column += 1) {
      const replaced = (row[column - 1] ?? 0) + (from[line - 1] === to[column - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
