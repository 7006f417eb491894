/**
 * The receiving half of a member: the WHEP session, in which the server offers, and the tracks of the others in it. Offers
 * number 1 and up come over the signal channel of the WHIP session.
 */
import type { TrackInfo } from '../../../shared/protocol/control.ts';
import { type AnswerEffect, type AnswerEvent, INITIAL_ANSWERS, step } from './answer-machine.ts';
import { ClientError } from './errors.ts';
import type { GuardedRequests } from './guarded-requests.ts';
import { compareTracks, type OfferedTrack, offeredTracks } from './member-tracks.ts';
import { PeerSession, type PeerSessionOptions } from './peer-session.ts';
import { SessionRunner } from './session-runner.ts';
import type { SessionStatus } from './session-state.ts';
import { hasShown, isSameTrack } from './shown-tracks.ts';
import { answerFrame, type MuteFrame, type OfferFrame } from './signal-frames.ts';

/** A track of another member. */
export interface MemberTrack {
  /** Unique among the tracks that are there. */
  id: string;
  track: MediaStreamTrack;
  /** The tracks that this member sends together, e.g. camera and microphone; the same object for all of them. */
  stream: MediaStream;
  info: TrackInfo;
  /** The same for all who receive this track, however often they or its member come back by other sessions; or null. */
  name: string | null;
}

export interface ListenerOptions {
  /** `P/whep`. */
  url: string;
  token: string;
  iceServers: RTCIceServer[];
  guard: GuardedRequests;
  /** Sends a frame on the signal channel. */
  send(frame: Uint8Array<ArrayBuffer>): void;
  onTrack(track: MemberTrack): void;
  onTrackEnded(id: string): void;
  onMute(id: string, muted: boolean): void;
  onStatus(status: SessionStatus): void;
  onError(error: ClientError, fatal: boolean): void;
}

export class MemberListener {
  readonly #options: ListenerOptions;
  readonly #runner: SessionRunner;
  #answers = INITIAL_ANSWERS;
  #offered: OfferedTrack[] = [];
  readonly #tracks = new Map<string, MemberTrack>();
  readonly #streams = new Map<string, MediaStream>();
  /** Frames take effect in their order: a mute after the offer that brings its track. */
  #order: Promise<void> = Promise.resolve();

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#runner = new SessionRunner({
      role: 'play',
      createPeer: ({ onState }) => this.#createPeer(onState),
      onStatus: options.onStatus,
      onError: options.onError,
    });
  }

  get status(): SessionStatus {
    return this.#runner.status;
  }

  get connection(): RTCPeerConnection | null {
    return this.#runner.peer?.connection ?? null;
  }

  get tracks(): MemberTrack[] {
    return [...this.#tracks.values()];
  }

  start(): void {
    this.#runner.dispatch({ kind: 'start' });
  }

  /** Ends the session; all its tracks end with it. */
  async stop(): Promise<void> {
    this.#runner.dispatch({ kind: 'stop' });
    this.#show([]);
    await this.#runner.settled();
  }

  /** All of these tracks, which another listener has, are here, too; `flowing`: and bring something if they do there. */
  has(others: readonly MemberTrack[], flowing: boolean): boolean {
    return this.status === 'live' && hasShown(this.tracks, others, flowing);
  }

  /** Puts its tracks into the streams of another listener, where they are the same: whoever shows these goes on. */
  useStreamsOf(others: readonly MemberTrack[]): void {
    for (const [streamId, stream] of [...this.#streams]) {
      const own = this.tracks.filter((track) => track.stream === stream);
      const shown = others.find((other) => own.some((track) => isSameTrack(track, other)))?.stream;
      if (shown === undefined) continue;
      this.#streams.set(streamId, shown);
      for (const track of own) {
        shown.addTrack(track.track);
        track.stream = shown;
      }
    }
  }

  /** A frame of the signal channel. */
  receive(frame: OfferFrame | MuteFrame): void {
    const { peer } = this.#runner;
    if (peer === null) return;
    if (frame.kind === 'offer') this.#step(peer, frame);
    else this.#then(peer, async () => this.#mute(frame));
  }

  #createPeer(onState: PeerSessionOptions['onState']): PeerSession {
    const { url, token, iceServers, guard } = this.#options;
    this.#answers = INITIAL_ANSWERS;
    this.#order = Promise.resolve();
    this.#show([]);
    const peer = new PeerSession({
      url,
      token,
      iceServers,
      credentials: 'include',
      send: guard.send,
      trickle: true,
      prepare: () => undefined,
      mungeOffer: (sdp) => sdp,
      mungeAnswer: (sdp) => sdp,
      sendAnswer: async (answer) => {
        this.#show(offeredTracks(peer.resource?.description ?? ''), peer);
        const headers = {
          'Content-Type': 'application/sdp',
          ...(token === '' ? {} : { Authorization: `Bearer ${token}` }),
        };
        const response = await guard.send(url, { method: 'PATCH', headers, body: answer });
        if (!response.ok) throw await ClientError.fromResponse(response);
      },
      onState,
    });
    return peer;
  }

  #step(peer: PeerSession, event: AnswerEvent): void {
    const { state, effects } = step(this.#answers, event);
    this.#answers = state;
    for (const effect of effects) this.#run(peer, effect);
  }

  #run(peer: PeerSession, effect: AnswerEffect): void {
    if (effect.kind === 'send') {
      this.#options.send(answerFrame(effect));
      return;
    }
    this.#then(peer, async () => {
      try {
        const answer = await peer.answer(effect.sdp);
        if (this.#runner.peer !== peer) return;
        this.#show(offeredTracks(effect.sdp), peer);
        this.#step(peer, { kind: 'applied', answer });
      } catch (thrown) {
        if (this.#runner.peer !== peer) return;
        this.#step(peer, { kind: 'refused' });
        this.#options.onError(ClientError.fromUnknown(thrown), false);
        // The two ends do not agree any more on what was negotiated: begin anew.
        this.#runner.dispatch({ kind: 'peer', state: 'ended' });
      }
    });
  }

  #then(peer: PeerSession, action: () => Promise<void>): void {
    this.#order = this.#order.then(() => (this.#runner.peer === peer ? action() : undefined));
  }

  #mute({ mid, muted }: MuteFrame): void {
    const offered = this.#offered.find((candidate) => candidate.mid === mid);
    if (offered !== undefined) this.#setMuted(offered, muted);
  }

  #setMuted({ trackId }: OfferedTrack, muted: boolean): void {
    const track = this.#tracks.get(trackId);
    if (track === undefined || track.info.muted === muted) return;
    track.info = { ...track.info, muted };
    this.#options.onMute(trackId, muted);
  }

  /** Brings the tracks in line with an offer that was applied. */
  #show(offered: OfferedTrack[], peer: PeerSession | null = null): void {
    const { gone, added, kept } = compareTracks(this.#offered, offered);
    this.#offered = offered;
    for (const track of gone) this.#remove(track);
    for (const track of kept) this.#setMuted(track, track.info.muted);
    for (const track of added) this.#add(track, peer);
  }

  #add({ mid, streamId, trackId, name, info }: OfferedTrack, peer: PeerSession | null): void {
    const transceiver = peer?.connection.getTransceivers().find((candidate) => candidate.mid === mid);
    if (transceiver === undefined) return;
    const { receiver } = transceiver;
    // People talk to each other here: no buffer beyond what the network asks for.
    if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0;
    const stream = this.#streams.get(streamId) ?? new MediaStream();
    this.#streams.set(streamId, stream);
    stream.addTrack(receiver.track);
    const track = { id: trackId, track: receiver.track, stream, info, name };
    this.#tracks.set(trackId, track);
    this.#options.onTrack(track);
  }

  #remove({ streamId, trackId }: OfferedTrack): void {
    const track = this.#tracks.get(trackId);
    if (track === undefined) return;
    this.#tracks.delete(trackId);
    track.stream.removeTrack(track.track);
    if (track.stream.getTracks().length === 0) this.#streams.delete(streamId);
    this.#options.onTrackEnded(trackId);
  }
}
