/** A member as the node sees it, without media: offers, answers and frames. */
import { type LobbyId, mintSessionId, type SessionId } from '../../../shared/ids.ts';
import type { IngressReport, NodeResult } from '../../../shared/protocol/control.ts';
import { parseSdp } from '../../../shared/sdp/parse.ts';
import { answerFrame, decodeFrame, encodeFrame, muteFrame, type OfferFrame } from '../../../shared/signal-frames.ts';
import { readTrackInfo } from '../../../shared/track-info.ts';
import type { MediaNode } from '../media-node.ts';
import type { FakeChannel, FakeEndpoint, FakeTransport } from './fake-endpoint.ts';

const TRANSPORT = [
  'a=ice-ufrag:abcd',
  'a=ice-pwd:abcdefghijklmnopqrstuv',
  `a=fingerprint:sha-256 ${Array(32).fill('CD').join(':')}`,
];

export interface FakeTrack {
  kind: 'audio' | 'video';
  /** The value of the `i=` line. */
  info?: string;
}

/** The offer of a member with these tracks (mids 0, 1, …) and a data channel at the end. */
export function joinOffer(tracks: readonly FakeTrack[], options: { channel?: boolean } = {}): string {
  const sections = tracks.map(({ kind, info }, mid) => {
    const codec = kind === 'audio' ? 'opus/48000/2' : 'VP8/90000';
    const payloadType = kind === 'audio' ? 111 : 96;
    return [
      `m=${kind} 9 UDP/TLS/RTP/SAVPF ${payloadType}`,
      ...(info === undefined ? [] : [`i=${info}`]),
      'c=IN IP4 0.0.0.0',
      ...TRANSPORT,
      'a=setup:actpass',
      `a=mid:${mid}`,
      'a=sendonly',
      `a=msid:stream track-${mid}`,
      'a=rtcp-mux',
      `a=rtpmap:${payloadType} ${codec}`,
    ];
  });
  if (options.channel !== false) {
    sections.push([
      'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
      'c=IN IP4 0.0.0.0',
      ...TRANSPORT,
      'a=setup:actpass',
      `a=mid:${tracks.length}`,
      'a=sctp-port:5000',
      'a=max-message-size:262144',
    ]);
  }
  const mids = sections.map((_, mid) => mid).join(' ');
  const head = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', `a=group:BUNDLE ${mids}`];
  return [...head, ...sections.flat(), ''].join('\r\n');
}

/** An answer that takes everything of `offer`. */
export function answerTo(offer: string): string {
  const dropped =
    /^(i=|a=(msid|ssrc|ssrc-group|candidate|end-of-candidates|ice-lite|ice-ufrag|ice-pwd|fingerprint|setup))/;
  return offer
    .split('\r\n')
    .filter((line) => !dropped.test(line))
    .map((line) => (line === 'a=sendonly' ? 'a=recvonly' : line))
    .flatMap((line) => (line.startsWith('a=mid:') ? [...TRANSPORT, 'a=setup:active', line] : [line]))
    .join('\r\n');
}

/** What a listener holds: one line per m-section that is sent on. */
export interface HeldTrack {
  mid: string;
  kind: string;
  label: string;
  muted: boolean;
  msid: string;
}

export class FakeMember {
  readonly session: SessionId = mintSessionId();
  readonly lobby: LobbyId;
  readonly generation: number;
  listener: SessionId | null = null;
  /** Numbers of the offers that came on the channel. */
  readonly numbers: number[] = [];
  readonly mutes: { mid: string; mute: boolean }[] = [];
  /** By mid, from the offers that were answered. */
  held: HeldTrack[] = [];
  /** Mids of all m-sections of the newest offer. */
  mids: string[] = [];
  pending: OfferFrame | null = null;
  channel: FakeChannel | null = null;
  readonly #node: MediaNode;
  readonly #endpoint: FakeEndpoint;
  #ingress: FakeTransport | null = null;
  #egress: FakeTransport | null = null;
  #read = 0;

  constructor(node: MediaNode, endpoint: FakeEndpoint, lobby: LobbyId, generation: number) {
    this.#node = node;
    this.#endpoint = endpoint;
    this.lobby = lobby;
    this.generation = generation;
  }

  get ingress(): FakeTransport {
    if (this.#ingress === null) throw new Error('it has not joined');
    return this.#ingress;
  }

  get egress(): FakeTransport {
    if (this.#egress === null) throw new Error('it does not listen');
    return this.#egress;
  }

  /** POSTs the offer; `connect` follows. */
  join(
    tracks: readonly FakeTrack[],
    options: { fixed?: boolean; channel?: boolean; revision?: number; replaces?: FakeMember } = {},
  ): string {
    const { fixed = false, revision = 1, replaces } = options;
    const first = replaces && { session: replaces.session, generation: replaces.generation };
    const more = first === undefined ? {} : { lineage: first };
    const { lobby, session, generation } = this;
    const offer = joinOffer(tracks, options);
    const result = this.#node.request({ method: 'join', lobby, revision, session, generation, fixed, offer, ...more });
    const { answer } = result as NodeResult<'join'>;
    this.#ingress = this.#endpoint.transportOf(answer);
    return answer;
  }

  connect(): void {
    this.ingress.connect();
  }

  openChannel(): FakeChannel {
    this.channel = this.ingress.openChannel();
    this.#read = 0;
    return this.channel;
  }

  /** WHEP with an empty body; the answer follows. Resolves with our offer. */
  async listen(offer: string | null = null): Promise<string> {
    this.listener = mintSessionId();
    const { lobby, session: member, listener: session } = this;
    const result = await this.#node.request({ method: 'listen', lobby, member, session, offer });
    const { sdp } = result as NodeResult<'listen'>;
    this.#egress = this.#endpoint.transportOf(sdp);
    return sdp;
  }

  answer(offer: string): void {
    if (this.listener === null) throw new Error('it does not listen');
    this.#node.request({ method: 'answer', session: this.listener, answer: answerTo(offer) });
    this.egress.connect();
  }

  /** Reads what came on the channel; offers stay pending until `answerPending`. */
  read(): void {
    for (const data of this.channel?.sent.slice(this.#read) ?? []) {
      const frame = decodeFrame(data);
      if (frame?.type === 3) {
        this.mutes.push(frame.data);
        for (const track of this.held) if (track.mid === frame.data.mid) track.muted = frame.data.mute;
      } else if (frame?.type === 1) {
        this.numbers.push(frame.data.number);
        this.pending = frame;
      }
    }
    this.#read = this.channel?.sent.length ?? 0;
  }

  /** False when there is nothing to answer. */
  answerPending(): boolean {
    this.read();
    const offer = this.pending;
    if (offer === null) return false;
    this.pending = null;
    const { media } = parseSdp(offer.data.sdp.sdp);
    this.mids = media.map(({ mid }) => mid ?? '');
    this.held = media
      .filter(({ direction, kind }) => direction === 'sendonly' && kind !== 'application')
      .map(({ mid, kind, information, msids: [msid] }) => {
        const { label, muted } = readTrackInfo(information);
        return { mid: mid ?? '', kind, label, muted, msid: `${msid?.stream} ${msid?.track}` };
      });
    this.say(encodeFrame(answerFrame(offer, answerTo(offer.data.sdp.sdp))));
    return true;
  }

  mute(mid: string, muted: boolean): void {
    this.say(encodeFrame(muteFrame(mid, muted)));
  }

  /** One message on the channel. */
  say(text: string, isBinary = true): void {
    this.channel?.onMessage?.(Buffer.from(text), isBinary);
  }

  report(reports: readonly IngressReport[]): IngressReport | undefined {
    return reports.findLast(({ session }) => session === this.session);
  }
}
