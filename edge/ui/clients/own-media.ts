/** What a member sends into a lobby: streams with their `i=` lines, and which of the tracks are muted. */
import type { TrackInfo } from '../../../shared/protocol/control.ts';
import { ClientError } from './errors.ts';
import { labelOf, withTrackInfo } from './member-tracks.ts';
import { muteFrame } from './signal-frames.ts';
import { pickCodecs } from './whip-client.ts';

export interface LocalStream {
  /** One audio and one video track at most. */
  stream: MediaStream;
  /** `main` goes on air. White space in labels becomes `_`. Default: a guest called Guest. */
  info?: { purpose: TrackInfo['purpose']; label: string };
  /** Video codecs to offer, best first. Default: the browser's list. */
  codecPreferences?: string[];
  /** Ceiling for the video, in bits per second. */
  maxBitrateBps?: number;
}

interface OwnTrack {
  track: MediaStreamTrack;
  source: LocalStream;
}

export class OwnMedia {
  readonly streams: readonly LocalStream[];
  readonly #tracks: readonly OwnTrack[];
  readonly #muted = new Set<MediaStreamTrack>();
  /** What the server knows of each track's mute, by the session that it was told on. */
  readonly #announced = new WeakMap<RTCPeerConnection, boolean[]>();

  /** Throws `ClientError` `too_many_tracks`. Tracks that are not enabled are muted from the beginning. */
  constructor(streams: readonly LocalStream[]) {
    this.streams = streams;
    this.#tracks = streams.flatMap((source) => source.stream.getTracks().map((track) => ({ track, source })));
    for (const { stream } of streams) {
      if (stream.getAudioTracks().length > 1 || stream.getVideoTracks().length > 1) {
        throw new ClientError('A stream may hold one audio and one video track', { code: 'too_many_tracks' });
      }
    }
    for (const { track } of this.#tracks) if (!track.enabled) this.#muted.add(track);
  }

  isMuted(track: MediaStreamTrack): boolean {
    return this.#muted.has(track);
  }

  prepare(connection: RTCPeerConnection): void {
    for (const { track, source } of this.#tracks) {
      const encoding = source.maxBitrateBps === undefined ? {} : { maxBitrate: source.maxBitrateBps };
      const transceiver = connection.addTransceiver(track, {
        direction: 'sendonly',
        streams: [source.stream],
        ...(track.kind === 'video' ? { sendEncodings: [encoding] } : {}),
      });
      if (track.kind === 'video' && source.codecPreferences !== undefined) {
        transceiver.setCodecPreferences(pickCodecs(source.codecPreferences));
      }
    }
  }

  /** The offer of a connection, with what we say of each track. */
  annotate(offer: string, connection: RTCPeerConnection): string {
    const muted = this.#tracks.map(({ track }) => this.isMuted(track));
    this.#announced.set(connection, muted);
    const infos = this.#tracks.map(({ track, source: { info } }) => ({
      purpose: info?.purpose ?? 'guest',
      muted: this.isMuted(track),
      label: labelOf(info?.label ?? ''),
    }));
    return withTrackInfo(offer, infos);
  }

  /**
   * Mutes or unmutes here: a muted track sends silence or black. `which`: a kind, a track, or the mid of a section of
   * `connection`. Returns the tracks that it fits.
   */
  setMuted(
    which: 'audio' | 'video' | MediaStreamTrack | string,
    muted: boolean,
    connection: RTCPeerConnection | null,
  ): MediaStreamTrack[] {
    const mids = connection?.getTransceivers().map(({ mid }) => mid) ?? [];
    const fitting = this.#tracks
      .filter(({ track }, at) => track === which || track.kind === which || mids[at] === which)
      .map(({ track }) => track);
    for (const track of fitting) {
      track.enabled = !muted;
      if (muted) this.#muted.add(track);
      else this.#muted.delete(track);
    }
    return fitting;
  }

  /** The frames that tell the server what has changed since it was told last. */
  muteFrames(connection: RTCPeerConnection): Uint8Array<ArrayBuffer>[] {
    const transceivers = connection.getTransceivers();
    const announced = this.#announced.get(connection) ?? [];
    return this.#tracks.flatMap(({ track }, at) => {
      const muted = this.isMuted(track);
      const mid = transceivers[at]?.mid;
      if (mid === undefined || mid === null || announced[at] === muted) return [];
      announced[at] = muted;
      return [muteFrame(mid, muted)];
    });
  }
}
