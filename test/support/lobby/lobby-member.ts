/** A member of a stream lobby on libwebrtc, written from the contract: WHIP, WHEP with the server's offer, signal channel. */
import { type Reply, type Sent, send } from '../../conformance/support/wire.ts';
import type { UdpProxy } from '../udp-proxy.ts';
import { until } from '../until.ts';
import { type WrtcChannel, type WrtcConnection, wrtc } from '../wrtc.ts';
import { withVideoCodec } from '../wrtc-peer.ts';
import { GuardedSession } from './guarded-session.ts';
import type { LobbyServer, StreamPath } from './lobby-server.ts';
import { type MemberMedia, memberMedia, type Sends } from './member-media.ts';
import { type Pictures, watchPictures } from './pictures.ts';
import { type Section, sectionsOf, tracksOf, withInfo } from './sections.ts';

const CONNECT_DEADLINE_MS = 30_000;
const CHANGE_DEADLINE_MS = 20_000;
const OFFER = 1;
const ANSWER = 2;
const MUTE = 3;
const SDP = { 'Content-Type': 'application/sdp' };

export interface MemberOptions {
  sends?: Sends;
  /** The `i=` line of its tracks; none when not given. */
  info?: string;
  /** All of its packets go through it. */
  proxy?: UdpProxy;
}

/** Where somebody enters, and as whom. */
export interface Entry {
  /** Of the system. */
  url: string;
  /** `P`. */
  path: string;
  bearer: string;
  /** Sent along with what it asks, as whoever stands before the edge would add it. */
  headers?: Readonly<Record<string, string>>;
  /** For messages of the tests. */
  user: string;
}

export interface Offer {
  id: number;
  number: number;
  sdp: string;
  /** When it came: monotonic ms. */
  atMs: number;
}

/** What is received of one track: sums of the connection's statistics. */
export interface Received {
  packets: number;
  framesDecoded: number;
}

export class LobbyMember implements AsyncDisposable {
  readonly entry: Entry;
  readonly session: GuardedSession;
  /** The 201 of its WHIP POST. */
  readonly created: Reply;
  readonly ingress: WrtcConnection;
  readonly channel: WrtcChannel;
  /** Our own description, with `i=` lines. */
  readonly sent: string;
  egress: WrtcConnection | null = null;
  /** The 201 of the WHEP POST. */
  listening: Reply | null = null;
  readonly offers: Offer[] = [];
  readonly mutes: { mid: string; mute: boolean }[] = [];
  /** Frames that came as text, or that are none of ours. */
  readonly odd: unknown[] = [];
  /** False: offers are kept and not answered. */
  answering = true;
  readonly #options: MemberOptions;
  readonly #media: MemberMedia;
  #order: Promise<void> = Promise.resolve();
  /** The description that was applied last. */
  #applied: { number: number; sdp: string; answer: string } | null = null;
  #failure: unknown = null;

  private constructor(
    entered: Pick<LobbyMember, 'entry' | 'created' | 'ingress' | 'channel' | 'sent'>,
    media: MemberMedia,
    options: MemberOptions,
  ) {
    this.#options = options;
    this.#media = media;
    this.entry = entered.entry;
    this.created = entered.created;
    this.ingress = entered.ingress;
    this.channel = entered.channel;
    this.sent = entered.sent;
    this.session = new GuardedSession(this.entry.url, this.created);
    this.channel.binaryType = 'arraybuffer';
    this.channel.onmessage = ({ data }) => this.#read(data);
  }

  /** POSTs its offer; rejects with status and body when it is refused. Resolves when the signal channel is open. */
  static async enterAs(entry: Entry, options: MemberOptions = {}): Promise<LobbyMember> {
    const ingress = new wrtc.RTCPeerConnection();
    const media = memberMedia(options.sends ?? 'both');
    try {
      const channel = ingress.createDataChannel('whip');
      const together = new wrtc.MediaStream();
      for (const track of media.tracks) ingress.addTransceiver(track, { direction: 'sendonly', streams: [together] });
      const { sdp } = await ingress.createOffer();
      const hasVideo = media.tracks.some(({ kind }) => kind === 'video');
      await ingress.setLocalDescription({ type: 'offer', sdp: hasVideo ? withVideoCodec(sdp, 'VP8') : sdp });
      await gathered(ingress);
      const local = ingress.localDescription?.sdp ?? '';
      const sent = options.info === undefined ? local : withInfo(local, options.info);
      const created = await postOffer(entry, sent);
      if (created.status !== 201) throw new Error(`POST whip by ${entry.user}: ${created.status} ${created.body}`);
      const answer = options.proxy?.rewrite(created.body) ?? created.body;
      await ingress.setRemoteDescription({ type: 'answer', sdp: answer });
      const member = new LobbyMember({ entry, created, ingress, channel, sent }, media, options);
      await until(
        () => channel.readyState === 'open',
        () => `the signal channel of ${entry.user}: ${channel.readyState}, ${ingress.connectionState}`,
        CONNECT_DEADLINE_MS,
      );
      return member;
    } catch (error) {
      media.stop();
      ingress.close();
      throw error;
    }
  }

  static async enter(
    server: LobbyServer,
    stream: StreamPath,
    user: string,
    options: MemberOptions = {},
  ): Promise<LobbyMember> {
    return LobbyMember.enterAs(await server.entry(stream, user), options);
  }

  /** Enters and receives. */
  static async join(
    server: LobbyServer,
    stream: StreamPath,
    user: string,
    options: MemberOptions = {},
  ): Promise<LobbyMember> {
    const member = await LobbyMember.enter(server, stream, user, options);
    try {
      await member.listen();
      return member;
    } catch (error) {
      member.vanish();
      throw error;
    }
  }

  get user(): string {
    return this.entry.user;
  }

  /** Takes the server's offer over HTTP and answers it; resolves when the connection is up. */
  async listen(): Promise<void> {
    const offer = await this.ask('/whep', { method: 'POST', headers: SDP });
    if (offer.status !== 201) throw new Error(`POST whep by ${this.user}: ${offer.status} ${offer.body}`);
    const answer = await this.takeFirstOffer(offer);
    const patched = await this.ask('/whep', { method: 'PATCH', headers: SDP, body: answer });
    if (patched.status !== 201) throw new Error(`PATCH whep by ${this.user}: ${patched.status} ${patched.body}`);
    await this.listenerConnected();
  }

  /** The answer to offer number 0. */
  async takeFirstOffer(offer: Reply): Promise<string> {
    this.listening = offer;
    this.#applied = null;
    this.offers.length = 0;
    this.egress = new wrtc.RTCPeerConnection();
    const answer = await this.#apply({ id: 0, number: 0, sdp: offer.body, atMs: performance.now() });
    await gathered(this.egress);
    return this.egress.localDescription?.sdp ?? answer;
  }

  async listenerConnected(): Promise<void> {
    await until(
      () => this.egress?.connectionState === 'connected',
      () => `the listener of ${this.user}: ${this.egress?.connectionState}`,
      CONNECT_DEADLINE_MS,
    );
  }

  /** A guarded request to `P{path}`. */
  ask(path: string, sent: Sent = {}): Promise<Reply> {
    return this.session.call(`${this.entry.path}${path}`, sent);
  }

  /** In the order in which they were offered, as the newest applied offer has them. */
  get tracks(): Section[] {
    if (this.#failure !== null) throw this.#failure;
    return this.#applied === null ? [] : tracksOf(this.#applied.sdp);
  }

  /** All sections of the newest applied offer. */
  get sections(): Section[] {
    return this.#applied === null ? [] : sectionsOf(this.#applied.sdp);
  }

  /** Number of the newest applied offer. */
  get number(): number {
    return this.#applied?.number ?? -1;
  }

  /** Resolves when the tracks are those with these `i=` lines, in whatever order. */
  async hears(infos: readonly string[], deadlineMs = CHANGE_DEADLINE_MS): Promise<void> {
    const wanted = infos.toSorted().join('\n');
    const seen = (): string =>
      this.tracks
        .map(({ info }) => info ?? '')
        .toSorted()
        .join('\n');
    await until(
      () => seen() === wanted,
      () => `${this.user} hears\n${infos.join(', ')}\nbut\n${seen().replaceAll('\n', ', ')}`,
      deadlineMs,
    );
  }

  /** By mid of the listener. */
  async received(): Promise<Map<string, Received>> {
    const found = new Map<string, Received>();
    for (const stat of (await this.egress?.getStats())?.values() ?? []) {
      if (stat.type !== 'inbound-rtp' || typeof stat.mid !== 'string') continue;
      const packets = Number(stat.packetsReceived ?? 0);
      found.set(stat.mid, { packets, framesDecoded: Number(stat.framesDecoded ?? 0) });
    }
    return found;
  }

  /** Resolves when every track that is there has brought that much more: packets of sound, decoded frames of pictures. */
  async plays(amount = 5, deadlineMs = CHANGE_DEADLINE_MS): Promise<void> {
    const before = await this.received();
    const endMs = performance.now() + deadlineMs;
    for (;;) {
      const now = await this.received();
      const missing = this.tracks.filter(({ mid, kind }) => {
        const what = kind === 'video' ? 'framesDecoded' : 'packets';
        return (now.get(mid)?.[what] ?? 0) < (before.get(mid)?.[what] ?? 0) + amount;
      });
      if (missing.length === 0) return;
      if (performance.now() > endMs) {
        throw new Error(`${this.user} does not get ${JSON.stringify(missing)}: ${JSON.stringify([...now])}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Frames of its own picture that left for the server. */
  async framesSent(): Promise<number> {
    const stats = [...(await this.ingress.getStats()).values()];
    return stats.reduce(
      (sum, { type, framesSent }) => sum + (type === 'outbound-rtp' ? Number(framesSent ?? 0) : 0),
      0,
    );
  }

  /** Counts the frames of the first picture that it receives. */
  watch(): Pictures {
    const mid = this.tracks.find(({ kind }) => kind === 'video')?.mid;
    const transceiver = this.egress?.getTransceivers().find((candidate) => candidate.mid === mid);
    if (mid === undefined || transceiver === undefined) throw new Error(`${this.user} receives no picture`);
    return watchPictures(transceiver.receiver.track);
  }

  /** Mid of its own track. */
  midOf(kind: 'audio' | 'video'): string {
    return sectionsOf(this.sent).find((section) => section.kind === kind)?.mid ?? '';
  }

  /** One frame on the signal channel, binary as the contract has it. */
  say(frame: unknown): void {
    this.channel.send(Buffer.from(JSON.stringify(frame)));
  }

  mute(kind: 'audio' | 'video', mute: boolean): void {
    this.say({ id: 0, type: MUTE, data: { mid: this.midOf(kind), mute } });
  }

  /** Both connections have had the server's goodbye. */
  get dismissed(): boolean {
    const ends = [this.ingress, this.egress].map((connection) => connection?.sctp?.transport?.state ?? 'closed');
    return ends.every((state) => state === 'closed');
  }

  /** The answer's frame to an offer, which is applied first. */
  async answerTo(offer: Offer): Promise<{ id: number; type: number; data: { number: number; sdp: object } }> {
    const sdp = await this.#apply(offer);
    return { id: offer.id, type: ANSWER, data: { number: offer.number, sdp: { type: 'answer', sdp } } };
  }

  /** Resolves with the offer of that number once it has come. */
  async offer(number: number, deadlineMs = CHANGE_DEADLINE_MS): Promise<Offer> {
    const find = (): Offer | undefined => this.offers.find((offer) => offer.number === number);
    await until(
      () => find() !== undefined,
      () => `offer ${number} to ${this.user}; it has ${this.offers.map((offer) => offer.number)}`,
      deadlineMs,
    );
    const found = find();
    if (found === undefined) throw new Error('unreachable');
    return found;
  }

  /** Leaves as a member should. */
  async leave(): Promise<Reply> {
    const reply = await this.ask('/whip', { method: 'DELETE', headers: SDP });
    this.vanish();
    return reply;
  }

  /** Closes what it has without a word over HTTP (libwebrtc says goodbye in DTLS). Idempotent. */
  vanish(): void {
    this.#media.stop();
    this.channel.onmessage = null;
    this.ingress.close();
    this.egress?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.vanish();
  }

  #read(data: string | ArrayBuffer): void {
    const frame = parse(data);
    if (typeof data === 'string' || frame === null) this.odd.push(data);
    else if (frame.type === OFFER) this.#receiveOffer(frame);
    else if (frame.type === MUTE) this.mutes.push(frame.data as { mid: string; mute: boolean });
    else this.odd.push(frame);
  }

  #receiveOffer({ id, data }: { id: number; data: Record<string, unknown> }): void {
    const { number, sdp } = data as { number: number; sdp: { type: string; sdp: string } };
    const offer: Offer = { id, number, sdp: sdp.sdp, atMs: performance.now() };
    this.offers.push(offer);
    if (!this.answering) return;
    this.#order = this.#order.then(async () => {
      try {
        this.say(await this.answerTo(offer));
      } catch (error) {
        this.#failure ??= error;
      }
    });
  }

  async #apply(offer: Offer): Promise<string> {
    if (this.#applied?.number === offer.number && offer.number > 0) return this.#applied.answer;
    const egress = this.egress;
    if (egress === null) throw new Error(`an offer to ${this.user}, who has no listener`);
    const sdp = this.#options.proxy?.rewrite(offer.sdp) ?? offer.sdp;
    await egress.setRemoteDescription({ type: 'offer', sdp });
    const answer = await egress.createAnswer();
    await egress.setLocalDescription(answer);
    this.#applied = { number: offer.number, sdp: offer.sdp, answer: answer.sdp };
    return answer.sdp;
  }
}

/** A WHIP POST to the lobby, whatever comes of it. */
export function postOffer({ url, path, bearer, headers = {} }: Entry, offer: string): Promise<Reply> {
  return send(url, `${path}/whip`, {
    method: 'POST',
    headers: { ...SDP, ...headers, Authorization: `Bearer ${bearer}` },
    body: offer,
  });
}

/** An offer with a data channel and nothing else, from a connection that is closed again. */
export async function bareOffer(): Promise<string> {
  const connection = new wrtc.RTCPeerConnection();
  connection.createDataChannel('whip');
  await connection.setLocalDescription(await connection.createOffer());
  await gathered(connection);
  const sdp = connection.localDescription?.sdp ?? '';
  connection.close();
  return sdp;
}

async function gathered(connection: WrtcConnection): Promise<void> {
  await until(() => connection.iceGatheringState === 'complete', 'gathering', CONNECT_DEADLINE_MS);
}

function parse(data: string | ArrayBuffer): { id: number; type: number; data: Record<string, unknown> } | null {
  try {
    return JSON.parse(typeof data === 'string' ? data : Buffer.from(data).toString('utf8'));
  } catch {
    return null;
  }
}
