/** `Range` of one byte range (RFC 9110 §14.1.2), as players send it to seek. */

export type ByteRange =
  | { kind: 'whole' }
  /** Both ends are included. */
  | { kind: 'part'; first: number; last: number }
  | { kind: 'unsatisfiable' };

const RANGE = /^bytes=(\d{0,15})-(\d{0,15})$/i;

/** What of `size` bytes the field asks for. Several ranges, another unit and nonsense are answered with the whole. */
export function readByteRange(field: string | null, size: number): ByteRange {
  const match = RANGE.exec(field?.replaceAll(' ', '') ?? '');
  const [, from = '', to = ''] = match ?? [];
  if (match === null || (from === '' && to === '')) return { kind: 'whole' };
  if (from === '') {
    const length = Math.min(Number(to), size);
    return length === 0 ? { kind: 'unsatisfiable' } : { kind: 'part', first: size - length, last: size - 1 };
  }
  const first = Number(from);
  if (to !== '' && Number(to) < first) return { kind: 'whole' };
  if (first >= size) return { kind: 'unsatisfiable' };
  return { kind: 'part', first, last: to === '' ? size - 1 : Math.min(Number(to), size - 1) };
}
