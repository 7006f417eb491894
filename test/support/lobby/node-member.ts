/** A member of a stream lobby on a node under test: libwebrtc, with what the edge would ask of the node. */
import { onTestFinished } from 'vitest';
import { type LobbyId, mintSessionId, type SessionId } from '../../../shared/ids.ts';
import type { Lineage, NodeResult, TrackReport } from '../../../shared/protocol/control.ts';
import { answerFrame, decodeFrame, encodeFrame, muteFrame, type OfferFrame } from '../../../shared/signal-frames.ts';
import { readTrackInfo } from '../../../shared/track-info.ts';
import type { NodeUnderTest } from '../node-under-test.ts';
import { until } from '../until.ts';
import { type WrtcChannel, type WrtcConnection, wrtc } from '../wrtc.ts';
import { withVideoCodec } from '../wrtc-peer.ts';
import { memberMedia } from './member-media.ts';
import { sectionsOf, tracksOf, withInfo } from './sections.ts';

export const LOBBY = 'stream:s1/5f0c7d1e-6f55-4b07-9a0e-0d8e2b6a1c11' as LobbyId;
const DEADLINE_MS = 30_000;

export class NodeMember {
  readonly session: SessionId = mintSessionId();
  readonly listener: SessionId = mintSessionId();
  readonly ingress: WrtcConnection = new wrtc.RTCPeerConnection();
  readonly egress: WrtcConnection = new wrtc.RTCPeerConnection();
  readonly channel: WrtcChannel = this.ingress.createDataChannel('whip');
  readonly mutes: { mid: string; mute: boolean }[] = [];
  readonly numbers: number[] = [];
  /** How often it was asked to come back elsewhere. */
  moves = 0;
  /** As the node reports them. */
  tracks: readonly TrackReport[] = [];
  /** The newest description that was applied. */
  sdp = '';
  readonly generation: number;
  lineage: Lineage;
  readonly #node: NodeUnderTest;
  #order: Promise<void> = Promise.resolve();

  constructor(node: NodeUnderTest, generation: number) {
    this.#node = node;
    this.generation = generation;
    this.lineage = { session: this.session, generation };
    this.channel.binaryType = 'arraybuffer';
    this.channel.onmessage = ({ data }) => this.#read(data);
    onTestFinished(() => {
      this.ingress.close();
      this.egress.close();
    });
  }

  /**
   * @param purpose as in an `i=` line: 1 guest, 2 main
   * @param first the first session of this member, when this one is to take the place of another
   */
  async enter(label: string, purpose = 1, more: { first?: NodeMember; revision?: number } = {}): Promise<void> {
    const { first, revision = 1 } = more;
    this.lineage = first?.lineage ?? this.lineage;
    const media = memberMedia('both');
    onTestFinished(() => media.stop());
    const together = new wrtc.MediaStream();
    for (const track of media.tracks)
      this.ingress.addTransceiver(track, { direction: 'sendonly', streams: [together] });
    const { sdp } = await this.ingress.createOffer();
    await this.ingress.setLocalDescription({ type: 'offer', sdp: withVideoCodec(sdp, 'VP8') });
    await gathered(this.ingress);
    const { answer, tracks } = (await this.#node.node.request({
      method: 'join',
      lobby: LOBBY,
      revision,
      session: this.session,
      generation: this.generation,
      fixed: false,
      lineage: this.lineage,
      offer: withInfo(this.ingress.localDescription?.sdp ?? '', `${purpose} 2 ${label}`),
    })) as NodeResult<'join'>;
    this.tracks = tracks;
    await this.ingress.setRemoteDescription({ type: 'answer', sdp: answer });
  }

  async listen(): Promise<void> {
    const { session: member, listener: session } = this;
    const request = { method: 'listen', lobby: LOBBY, member, session, offer: null } as const;
    const { sdp } = (await this.#node.node.request(request)) as NodeResult<'listen'>;
    await this.#apply(sdp);
    await gathered(this.egress);
    const answer = this.egress.localDescription?.sdp ?? '';
    await this.#node.node.request({ method: 'answer', session, answer });
  }

  get labels(): string[] {
    return tracksOf(this.sdp)
      .map(({ kind, info }) => `${kind} ${readTrackInfo(info).label}`)
      .toSorted();
  }

  async hears(...labels: string[]): Promise<void> {
    const wanted = labels.flatMap((label) => [`audio ${label}`, `video ${label}`]).toSorted();
    await until(
      () => this.labels.join() === wanted.join(),
      () => `${wanted}, but ${this.labels}`,
      DEADLINE_MS,
    );
  }

  /** Resolves when each of its tracks brought more. */
  async plays(): Promise<void> {
    const before = await this.#received();
    await this.#poll(async () => {
      const now = await this.#received();
      return tracksOf(this.sdp).every(({ mid }) => (now.get(mid) ?? 0) > (before.get(mid) ?? 0) + 3);
    });
  }

  /** Resolves with the longest time between two things that came of any one track, in ms, until `done` settles. */
  async longestGapMs(done: Promise<unknown>): Promise<number> {
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    done.then(over, over);
    const last = new Map<string, { amount: number; atMs: number }>();
    let longestMs = 0;
    while (!isOver) {
      const received = await this.#received();
      const nowMs = performance.now();
      for (const [mid, amount] of received) {
        const before = last.get(mid);
        if (before?.amount === amount) longestMs = Math.max(longestMs, nowMs - before.atMs);
        else last.set(mid, { amount, atMs: nowMs });
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await done;
    return longestMs;
  }

  async #received(): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (const stat of (await this.egress.getStats()).values()) {
      if (stat.type !== 'inbound-rtp') continue;
      found.set(String(stat.mid), Number(stat.kind === 'video' ? stat.framesDecoded : stat.packetsReceived));
    }
    return found;
  }

  async #poll(done: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + DEADLINE_MS;
    while (!(await done())) {
      if (performance.now() > endMs) throw new Error(`some of ${this.labels} bring nothing`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  mute(kind: string, muted: boolean): void {
    const mid =
      sectionsOf(this.ingress.localDescription?.sdp ?? '').find((section) => section.kind === kind)?.mid ?? '';
    this.channel.send(Buffer.from(encodeFrame(muteFrame(mid, muted))));
  }

  #read(data: string | ArrayBuffer): void {
    // Text is not what the seed's clients take.
    const frame = typeof data === 'string' ? null : decodeFrame(new Uint8Array(data));
    if (frame?.type === 4) this.moves += 1;
    if (frame?.type === 3) this.mutes.push(frame.data);
    if (frame?.type === 1) this.#order = this.#order.then(() => this.#answer(frame));
  }

  async #answer(offer: OfferFrame): Promise<void> {
    this.numbers.push(offer.data.number);
    await this.#apply(offer.data.sdp.sdp);
    const answer = this.egress.localDescription?.sdp ?? '';
    this.channel.send(Buffer.from(encodeFrame(answerFrame(offer, answer))));
  }

  async #apply(sdp: string): Promise<void> {
    await this.egress.setRemoteDescription({ type: 'offer', sdp });
    await this.egress.setLocalDescription(await this.egress.createAnswer());
    this.sdp = sdp;
  }
}

async function gathered(connection: WrtcConnection): Promise<void> {
  await until(() => connection.iceGatheringState === 'complete', 'gathering', DEADLINE_MS);
}
