/** Ogg pages (RFC 3533) of one Opus stream (RFC 7845). */
import { randomInt } from 'node:crypto';

const MAX_SEGMENTS = 255;
const FIRST_PAGE = 2;
const LAST_PAGE = 4;
const CRC_POLYNOMIAL = 0x04c11db7;
const PAGE_HEADER_BYTES = 27;
/** A second of 20 ms packets. */
const PACKETS_PER_PAGE = 50;

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x80000000) === 0 ? crc << 1 : (crc << 1) ^ CRC_POLYNOMIAL;
  return crc >>> 0;
});

/** The checksum of RFC 3533 §6. */
export function oggCrc(data: Buffer): number {
  let crc = 0;
  for (const byte of data) crc = ((crc << 8) ^ (crcTable[((crc >>> 24) ^ byte) & 0xff] as number)) >>> 0;
  return crc;
}

export class OggPages {
  /** Samples (48 kHz) up to the end of the newest packet. */
  granule = 0;
  readonly #serial = randomInt(2 ** 32);
  #sequence = 0;
  #packets: Buffer[] = [];
  #segments = 0;
  #full: Buffer[] = [];

  /** @param head the stream's identification header */
  constructor(head: Buffer) {
    const vendor = Buffer.from('vestibule');
    const tags = Buffer.alloc(8 + 4 + vendor.length + 4);
    tags.write('OpusTags', 0, 'latin1');
    tags.writeUInt32LE(vendor.length, 8);
    vendor.copy(tags, 12);
    this.#full.push(this.#page([head], FIRST_PAGE, 0), this.#page([tags], 0, 0));
  }

  add(packet: Buffer, samples: number): void {
    const segments = Math.floor(packet.length / 255) + 1;
    if (this.#segments + segments > MAX_SEGMENTS || this.#packets.length >= PACKETS_PER_PAGE) this.#end(0);
    this.#packets.push(packet);
    this.#segments += segments;
    this.granule += samples;
  }

  /** Pages that are complete. */
  takeFull(): Buffer[] {
    return this.#full.splice(0);
  }

  /** Those, and what is left. */
  takeAll(last: boolean): Buffer[] {
    if (this.#packets.length > 0 || last) this.#end(last ? LAST_PAGE : 0);
    return this.takeFull();
  }

  #end(type: number): void {
    this.#full.push(this.#page(this.#packets, type, this.granule));
    this.#packets = [];
    this.#segments = 0;
  }

  #page(packets: readonly Buffer[], type: number, granule: number): Buffer {
    const lacing: number[] = [];
    for (const { length } of packets) {
      for (let left = length; ; left -= 255) {
        lacing.push(Math.min(left, 255));
        if (left < 255) break;
      }
    }
    const header = Buffer.alloc(PAGE_HEADER_BYTES);
    header.write('OggS', 0, 'latin1');
    header[5] = type;
    header.writeBigUInt64LE(BigInt(granule), 6);
    header.writeUInt32LE(this.#serial, 14);
    header.writeUInt32LE(this.#sequence++, 18);
    header[26] = lacing.length;
    const page = Buffer.concat([header, Buffer.from(lacing), ...packets]);
    page.writeUInt32LE(oggCrc(page), 22);
    return page;
  }
}
