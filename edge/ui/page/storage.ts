/** What pages remember, for good (`local`) or as long as the tab lives (`session`). */

type Place = 'local' | 'session';

/** Even looking at storage throws where cookies are blocked; the pages work without. */
export function recall(place: Place, key: string): string | null {
  try {
    return storageOf(place).getItem(key);
  } catch {
    return null;
  }
}

export function remember(place: Place, key: string, value: string): void {
  try {
    storageOf(place).setItem(key, value);
  } catch {
    // Private mode or a full quota: the value lives on in the page.
  }
}

function storageOf(place: Place): Storage {
  return place === 'local' ? localStorage : sessionStorage;
}
