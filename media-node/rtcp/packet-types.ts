/** Numbers of the RTCP wire format that reading and writing share. */

/** RTCP packet types (RFC 3550 §12.1, RFC 4585 §6.1). */
export const SENDER_REPORT = 200;
export const RECEIVER_REPORT = 201;
export const SOURCE_DESCRIPTION = 202;
export const GOODBYE = 203;
export const APPLICATION_DEFINED = 204;
export const TRANSPORT_FEEDBACK = 205;
export const PAYLOAD_FEEDBACK = 206;

/** FMT values of transport layer feedback. */
export const FMT_NACK = 1;
export const FMT_TRANSPORT_CC = 15;

/** FMT values of payload-specific feedback; FIR is RFC 5104 §4.3.1. */
export const FMT_PLI = 1;
export const FMT_FIR = 4;
export const FMT_APPLICATION = 15;

/** ASCII `REMB`, the unique identifier of draft-alvestrand-rmcat-remb-03 §2.2. */
export const REMB_IDENTIFIER = 0x52454d42;
export const REMB_MANTISSA_BITS = 18;

/** SSRC and name at the start of an application-defined packet (RFC 3550 §6.7). */
export const APPLICATION_FIXED_BYTES = 8;

export const HEADER_BYTES = 4;
export const SSRC_BYTES = 4;
export const REPORT_BLOCK_BYTES = 24;
/** NTP, RTP timestamp, packet and octet counts: what a sender report has after its SSRC. */
export const SENDER_INFO_BYTES = 20;
/** Sender SSRC and media SSRC at the start of each feedback packet (RFC 4585 §6.1). */
export const FEEDBACK_SSRCS_BYTES = 8;
export const NACK_PAIR_BYTES = 4;
export const FIR_ENTRY_BYTES = 8;
/** Packets that the bit mask of a NACK names besides its PID (RFC 4585 §6.2.1). */
export const NACK_MASK_BITS = 16;
/** Largest value of the five-bit count in the common header. */
export const MAX_COUNT = 31;

/** One reception report block (RFC 3550 §6.4.1), mutable so that it can be reused. */
export interface ReportBlock {
  /** The stream that is reported on. */
  ssrc: number;
  /** 0 to 255/256, in steps of 1/256. */
  fractionLost: number;
  /** Packets, signed: duplicates make it negative. */
  cumulativeLost: number;
  /** Extended: cycles in the upper 16 bits. */
  highestSequence: number;
  /** RTP clock units. */
  jitter: number;
  /** Middle 32 bits of the NTP time of the last sender report; 0: none yet. */
  lastSr: number;
  /** 1/65536 s; 0: no sender report yet. */
  delaySinceLastSr: number;
}

/** A block with all fields zero, for callers that keep one to fill. */
export function emptyReportBlock(ssrc = 0): ReportBlock {
  return {
    ssrc,
    fractionLost: 0,
    cumulativeLost: 0,
    highestSequence: 0,
    jitter: 0,
    lastSr: 0,
    delaySinceLastSr: 0,
  };
}
