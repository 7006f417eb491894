/** What of a torn file is whole, found by another way than that of the repair. */

const BOX_HEADER_BYTES = 8;
const CLUSTER = Buffer.from('1f43b675', 'hex');

/**
 * Up to the end of the last whole segment; null when there is none. Of a WebM from the first cluster on, because what is
 * before it changes at the end, up to the start of the last one, which may be torn.
 */
export function wholePrefix(name: string, bytes: Buffer): Buffer | null {
  return name.endsWith('.webm') ? wholeClusters(bytes) : wholeFragments(bytes);
}

function wholeFragments(bytes: Buffer): Buffer | null {
  let end = 0;
  for (let at = 0; at + BOX_HEADER_BYTES <= bytes.length; ) {
    const next = at + bytes.readUInt32BE(at);
    if (next > bytes.length || next < at + BOX_HEADER_BYTES) break;
    if (bytes.toString('latin1', at + 4, at + BOX_HEADER_BYTES) === 'mdat') end = next;
    at = next;
  }
  return end === 0 ? null : bytes.subarray(0, end);
}

function wholeClusters(bytes: Buffer): Buffer | null {
  const [first, last] = [bytes.indexOf(CLUSTER), bytes.lastIndexOf(CLUSTER)];
  return first < 0 || last <= first ? null : bytes.subarray(first, last);
}
