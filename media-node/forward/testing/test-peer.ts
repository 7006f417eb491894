/** The RTCP side of a test client: opens what the node sends and remembers it; protects what the client says. */
import { ntpMiddle32 } from '../../rtcp/ntp.ts';
import { parseRtcp, type RtcpVisitor } from '../../rtcp/parse.ts';
import { RtcpWriter } from '../../rtcp/write.ts';
import type { SrtpKeys } from '../../transport/types.ts';
import { isRtcp } from '../rtcp-mux.ts';
import { findExtension, paddingLength, parseRtpHeader, RtpHeader } from '../rtp-header.ts';
import { deriveSessionKeys } from '../srtp/session-keys.ts';
import { SrtpReceiver } from '../srtp/srtp-receiver.ts';
import { SRTP_OVERHEAD, SrtpSender } from '../srtp/srtp-sender.ts';

export interface ReceivedRtp {
  ssrc: number;
  payloadType: number;
  /** Extended. */
  sequence: number;
  timestamp: number;
  marker: boolean;
  padding: number;
  payload: Buffer;
  plaintext: Buffer;
}

export interface ReceivedReport {
  ssrc: number;
  ntpMs: number;
  ntpMiddle32: number;
  rtpTimestamp: number;
  packets: number;
  bytes: number;
}

export class TestPeer implements RtcpVisitor {
  readonly rtp: ReceivedRtp[] = [];
  readonly reports: ReceivedReport[] = [];
  readonly blocks: { ssrc: number; fractionLost: number; lost: number; highest: number }[] = [];
  readonly nacks: { mediaSsrc: number; sequence: number }[] = [];
  readonly plis: number[] = [];
  readonly firs: { ssrc: number; number: number }[] = [];
  readonly rembs: number[] = [];
  /** Payload types of each compound packet. */
  readonly compounds: number[][] = [];
  refused = 0;
  readonly #receiver: SrtpReceiver;
  readonly #sender: SrtpSender;
  readonly #out = Buffer.alloc(4096);

  constructor(keys: SrtpKeys) {
    this.#receiver = new SrtpReceiver(deriveSessionKeys(keys.profile, keys.remoteKey, keys.remoteSalt));
    this.#sender = new SrtpSender(deriveSessionKeys(keys.profile, keys.localKey, keys.localSalt));
  }

  /** The SRTP context of what this client sends, for an `RtpSource`. */
  get sender(): SrtpSender {
    return this.#sender;
  }

  receive(datagram: Buffer): void {
    if (isRtcp(datagram)) {
      const length = this.#receiver.unprotectRtcp(datagram, this.#out);
      if (length < 0 || !parseRtcp(this.#out, length, this)) {
        this.refused++;
        return;
      }
      const types: number[] = [];
      for (let at = 0; at < length; at += 4 + this.#out.readUInt16BE(at + 2) * 4)
        types.push(this.#out[at + 1] as number);
      this.compounds.push(types);
      return;
    }
    const header = new RtpHeader();
    const isRtp = parseRtpHeader(datagram, datagram.length, header);
    const length = isRtp ? this.#receiver.unprotectRtp(datagram, header, this.#out) : -1;
    if (length < 0) {
      this.refused++;
      return;
    }
    const plaintext = Buffer.from(this.#out.subarray(0, length));
    const padding = paddingLength(plaintext, length, header);
    this.rtp.push({
      ssrc: header.ssrc,
      payloadType: header.payloadType,
      sequence: this.#receiver.index,
      timestamp: header.timestamp,
      marker: header.marker,
      padding,
      payload: plaintext.subarray(header.length, length - padding),
      plaintext,
    });
  }

  /** Content of a header extension of a received packet, or null. */
  extension(packet: ReceivedRtp, id: number): Buffer | null {
    const header = new RtpHeader();
    parseRtpHeader(packet.plaintext, packet.plaintext.length, header);
    const offset = findExtension(packet.plaintext, header, id);
    return offset < 0 ? null : packet.plaintext.subarray(offset, offset + header.foundLength);
  }

  /** A protected RTCP datagram with what `write` appends. */
  rtcp(write: (writer: RtcpWriter) => void): Buffer {
    const writer = new RtcpWriter(1200, SRTP_OVERHEAD);
    write(writer);
    const length = this.#sender.protectRtcp(writer.buffer, writer.length);
    return Buffer.from(writer.buffer.subarray(0, length));
  }

  senderReport(ssrc: number, high: number, low: number, rtpTimestamp: number, packets: number, bytes: number): void {
    const ntpMs = high * 1000 + (low * 1000) / 2 ** 32;
    this.reports.push({ ssrc, ntpMs, ntpMiddle32: ntpMiddle32(high, low), rtpTimestamp, packets, bytes });
  }

  reportBlock(_reporter: number, ssrc: number, fractionLost: number, lost: number, highest: number): void {
    this.blocks.push({ ssrc, fractionLost, lost, highest });
  }

  nack(_sender: number, mediaSsrc: number, sequence: number): void {
    this.nacks.push({ mediaSsrc, sequence });
  }

  pli(_sender: number, mediaSsrc: number): void {
    this.plis.push(mediaSsrc);
  }

  fir(_sender: number, ssrc: number, number: number): void {
    this.firs.push({ ssrc, number });
  }

  remb(_sender: number, bitrateBps: number): void {
    this.rembs.push(bitrateBps);
  }

  bye(): void {}
}
