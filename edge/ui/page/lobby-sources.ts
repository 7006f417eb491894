/** What the lobby page sends: a camera (or test pattern) and, beside it, a screen. */
import type { LocalStream } from '../clients/own-media.ts';
import { type CaptureChoice, NO_MICROPHONE } from './capture.ts';
import type { OwnTile } from './lobby-tiles.ts';
import { acquireSource, type Source } from './source.ts';

/** H.264 first: what goes on air need not be encoded again then. */
const CODECS = ['H264', 'VP8', 'VP9', 'AV1'];
const MAX_BITRATE_BPS = 1_800_000;
const MAX_SCREEN_BITRATE_BPS = 2_500_000;
const SCREEN_SIZE = { width: 1920, height: 1080 };

type Info = NonNullable<LocalStream['info']>;

export class LobbySources {
  #camera: Source | null = null;
  #mirrored = false;
  #screen: Source | null = null;
  /** Captures run one after another; only the last one asked for is kept. */
  #acquisition = 0;

  get hasCamera(): boolean {
    return this.#camera !== null;
  }

  get isSharing(): boolean {
    return this.#screen !== null;
  }

  /** Tracks of the camera, without the screen. */
  tracks(kind: string): MediaStreamTrack[] {
    return this.#camera?.stream.getTracks().filter((track) => track.kind === kind) ?? [];
  }

  /**
   * Opens what was chosen in place of what is there; null: nothing. Returns what is not needed any more and is to be
   * stopped when the new one has taken its place; null when another choice has overtaken this one. Throws what the
   * browser throws.
   */
  async open(choice: CaptureChoice | null, isEnabled: (kind: string) => boolean): Promise<{ stop(): void } | null> {
    const turn = ++this.#acquisition;
    const next = await this.#acquire(choice, turn);
    if (turn !== this.#acquisition) {
      next?.stop();
      return null;
    }
    for (const track of next?.stream.getTracks() ?? []) track.enabled = isEnabled(track.kind);
    const old = this.#camera;
    this.#camera = next;
    this.#mirrored = choice?.source === 'camera';
    return { stop: () => old?.stop() };
  }

  /** Null also when it failed after another choice had overtaken it: nobody asks for it any more. */
  async #acquire(choice: CaptureChoice | null, turn: number): Promise<Source | null> {
    try {
      return choice === null ? null : await acquireSource(choice);
    } catch (thrown) {
      if (turn === this.#acquisition) throw thrown;
      return null;
    }
  }

  /** Throws what the browser throws. `ended`: the user has stopped sharing by the browser's own button. */
  async openScreen(choice: CaptureChoice, ended: () => void): Promise<void> {
    // Our voice is with the camera already.
    const opened = await acquireSource({ ...choice, ...SCREEN_SIZE, source: 'screen', microphoneId: NO_MICROPHONE });
    this.#screen = opened;
    opened.stream.getVideoTracks()[0]?.addEventListener('ended', () => {
      if (this.#screen === opened) ended();
    });
  }

  /** Takes the screen away; to be stopped when nothing sends it any more. */
  takeScreen(): Source | null {
    const old = this.#screen;
    this.#screen = null;
    return old;
  }

  /** Gives all devices back. */
  stop(): void {
    this.#acquisition++;
    this.#camera?.stop();
    this.#camera = null;
    this.takeScreen()?.stop();
  }

  streams(info: Info): LocalStream[] {
    const common = { info, codecPreferences: CODECS };
    const streams: LocalStream[] = [];
    if (this.#camera !== null) {
      streams.push({ ...common, stream: this.#camera.stream, maxBitrateBps: MAX_BITRATE_BPS });
    }
    if (this.#screen !== null) {
      streams.push({ ...common, stream: this.#screen.stream, maxBitrateBps: MAX_SCREEN_BITRATE_BPS });
    }
    return streams;
  }

  tiles(info: Info): OwnTile[] {
    const tiles: OwnTile[] = [];
    if (this.#camera !== null) {
      tiles.push({ stream: this.#camera.stream, info, mirrored: this.#mirrored, suffix: ' (you)' });
    }
    if (this.#screen !== null) {
      tiles.push({ stream: this.#screen.stream, info, mirrored: false, suffix: ' (your screen)' });
    }
    return tiles;
  }
}
