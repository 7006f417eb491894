/**
 * Finds the track and layer that an SSRC belongs to: announced in the offer, or by the mid and rid header extensions
 * (RFC 8843 §9.2, RFC 8852), or by a payload type that only one track has.
 */
import type { ExtensionIds } from '../negotiate/plan.ts';
import type { IngressStream } from './ingress-stream.ts';
import { findExtension, type RtpHeader } from './rtp-header.ts';
import type { PublishedTrack } from './source-track.ts';

/** SSRCs beyond those that the offer names. A publisher that needs more is broken or hostile. */
const MAX_LEARNED = 64;
/** SDP mids and rids that we accept are far shorter; longer ones are not looked at. */
const MAX_ID_BYTES = 32;

export interface Route {
  readonly track: PublishedTrack;
  /** Packets are retransmissions of another stream (RFC 4588). */
  readonly rtx: boolean;
  /** Of the layer, when it has one. */
  readonly rid: string | null;
  /** Of RTX: the SSRC whose packets are repeated, when the offer named it. */
  readonly primarySsrc: number | null;
  /** Announced in the offer. */
  readonly announced: boolean;
  stream: IngressStream | null;
}

export class IngressDemux {
  readonly #tracks: readonly PublishedTrack[];
  readonly #routes = new Map<number, Route>();
  #learned = 0;

  constructor(tracks: readonly PublishedTrack[]) {
    this.#tracks = tracks;
    for (const track of tracks) {
      for (const { primary, rtx, rid = null } of track.plan.ssrcs) {
        const route = { track, rid, announced: true, stream: null };
        this.#routes.set(primary, { ...route, rtx: false, primarySsrc: null });
        if (rtx !== null) this.#routes.set(rtx, { ...route, rtx: true, primarySsrc: primary });
      }
    }
  }

  /** The route of a packet; null when it belongs to no track. Looks at header extensions only when the SSRC is new. */
  resolve(packet: Buffer, header: RtpHeader): Route | null {
    const known = this.#routes.get(header.ssrc);
    if (known !== undefined && !this.#lacksRid(known)) return known;
    const route = this.#learn(packet, header, known);
    if (route !== null && route !== known) {
      if (known === undefined) {
        if (this.#learned >= MAX_LEARNED) return null;
        this.#learned++;
      }
      this.#routes.set(header.ssrc, route);
    }
    return route;
  }

  /** Announced without a rid on a track that has rids: the extension says more. */
  #lacksRid(route: Route): boolean {
    return route.rid === null && route.track.plan.rids.length > 0;
  }

  /** Forgets learned SSRCs of a stream that is over. */
  forget(stream: IngressStream): void {
    for (const [ssrc, route] of this.#routes) {
      if (route.stream !== stream) continue;
      route.stream = null;
      if (!route.announced && this.#routes.delete(ssrc)) this.#learned--;
    }
  }

  #learn(packet: Buffer, header: RtpHeader, known: Route | undefined): Route | null {
    const track = known?.track ?? this.#trackByMid(packet, header) ?? this.#trackByPayloadType(header.payloadType);
    if (track === null) return null;
    const { plan } = track;
    const rtx = plan.rtxPayloadType !== null && header.payloadType === plan.rtxPayloadType;
    if (!rtx && header.payloadType !== plan.payloadType) return null;
    let rid: string | null = null;
    if (plan.rids.length > 0) {
      rid = this.#text(packet, header, rtx ? 'repairedRid' : 'rid', track) ?? null;
      // Without a rid there is no telling which layer it is: wait for a packet that has one.
      if (rid === null || !plan.rids.includes(rid)) return known ?? null;
    }
    const primarySsrc = known?.primarySsrc ?? null;
    return { track, rtx, rid, primarySsrc, announced: known?.announced ?? false, stream: known?.stream ?? null };
  }

  #trackByMid(packet: Buffer, header: RtpHeader): PublishedTrack | null {
    for (const track of this.#tracks) {
      const mid = this.#text(packet, header, 'mid', track);
      if (mid === undefined) continue;
      return this.#tracks.find((candidate) => candidate.mid === mid) ?? null;
    }
    return null;
  }

  /** The only track with this payload type. */
  #trackByPayloadType(payloadType: number): PublishedTrack | null {
    let found: PublishedTrack | null = null;
    for (const track of this.#tracks) {
      if (track.plan.payloadType !== payloadType && track.plan.rtxPayloadType !== payloadType) continue;
      if (found !== null) return null;
      found = track;
    }
    return found;
  }

  #text(packet: Buffer, header: RtpHeader, name: keyof ExtensionIds, track: PublishedTrack): string | undefined {
    const id = track.plan.extensions[name];
    if (id === undefined) return undefined;
    const offset = findExtension(packet, header, id);
    if (offset < 0 || header.foundLength === 0 || header.foundLength > MAX_ID_BYTES) return undefined;
    return packet.toString('latin1', offset, offset + header.foundLength);
  }
}
