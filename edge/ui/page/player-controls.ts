/** Buttons, keys and the pointer over the picture. */
import { find, setText } from './dom.ts';

/** The controls fade after this time without a movement while the picture runs. */
const IDLE_MS = 2_500;

interface ControlActions {
  /** Returns whether the measurements are shown now. */
  toggleStats(): boolean;
}

/** Safari on iPhone: only the video itself can fill the screen. */
interface AppleVideo extends HTMLVideoElement {
  webkitEnterFullscreen?(): void;
}

export class PlayerControls {
  readonly #video: AppleVideo;
  readonly #actions: ControlActions;
  readonly #stage = find('stage', HTMLElement);
  readonly #unmute = find('unmute', HTMLButtonElement);
  readonly #play = find('play', HTMLButtonElement);
  readonly #mute = find('mute', HTMLButtonElement);
  readonly #volume = find('volume', HTMLInputElement);
  readonly #stats = find('stats-toggle', HTMLButtonElement);
  readonly #pip = find('pip', HTMLButtonElement);
  readonly #fullscreen = find('fullscreen', HTMLButtonElement);
  #idleTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(video: HTMLVideoElement, actions: ControlActions) {
    this.#video = video;
    this.#actions = actions;
    this.#pip.hidden = document.pictureInPictureEnabled !== true;
    this.#unmute.addEventListener('click', () => this.#setMuted(false));
    this.#mute.addEventListener('click', () => this.#setMuted(!video.muted));
    this.#play.addEventListener('click', () => this.#togglePlay());
    this.#stats.addEventListener('click', () => this.#toggleStats());
    this.#pip.addEventListener('click', () => void this.#togglePictureInPicture());
    this.#fullscreen.addEventListener('click', () => void this.#toggleFullscreen());
    this.#volume.addEventListener('input', () => {
      video.volume = Number(this.#volume.value);
      this.#setMuted(video.volume === 0);
    });
    for (const name of ['play', 'pause', 'volumechange']) video.addEventListener(name, () => this.update());
    video.addEventListener('dblclick', () => void this.#toggleFullscreen());
    document.addEventListener('fullscreenchange', () => this.update());
    document.addEventListener('keydown', (event) => this.#onKey(event));
    for (const name of ['pointermove', 'pointerdown', 'keydown', 'focusin']) {
      document.addEventListener(name, () => this.#wake());
    }
    this.update();
    this.#wake();
  }

  /** Brings labels and visibility in line with the video element. */
  update(): void {
    const video = this.#video;
    const silent = video.muted || video.volume === 0;
    label(this.#mute, silent ? 'Unmute' : 'Mute', 'm', silent ? 'muted' : 'sound');
    label(this.#play, video.paused ? 'Play' : 'Pause', 'space', video.paused ? 'play' : 'pause');
    const full = document.fullscreenElement !== null;
    label(this.#fullscreen, full ? 'Leave full screen' : 'Full screen', 'f', full ? 'shrink' : 'expand');
    this.#unmute.hidden = !video.muted;
    this.#volume.value = String(video.muted ? 0 : video.volume);
  }

  #setMuted(muted: boolean): void {
    this.#video.muted = muted;
    if (!muted && this.#video.volume === 0) this.#video.volume = 1;
    // The click that brings the sound may also be the one that allows playing at all.
    if (!muted && this.#video.srcObject !== null) this.#video.play().catch(() => undefined);
    this.update();
  }

  #togglePlay(): void {
    if (this.#video.paused) this.#video.play().catch(() => undefined);
    else this.#video.pause();
  }

  #toggleStats(): void {
    this.#stats.setAttribute('aria-pressed', String(this.#actions.toggleStats()));
  }

  async #togglePictureInPicture(): Promise<void> {
    const leaving = document.pictureInPictureElement !== null;
    await (leaving ? document.exitPictureInPicture() : this.#video.requestPictureInPicture()).catch(() => undefined);
  }

  async #toggleFullscreen(): Promise<void> {
    if (document.fullscreenElement !== null) await document.exitFullscreen().catch(() => undefined);
    else if (document.fullscreenEnabled) await this.#stage.requestFullscreen().catch(() => undefined);
    else this.#video.webkitEnterFullscreen?.();
  }

  #onKey(event: KeyboardEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target?.closest('input:not([type="range"]), textarea, select') !== null && target !== null) return;
    // Space on a focused button is that button's.
    if (event.key === ' ' && target?.closest('button, a') !== null && target !== null) return;
    const action = {
      m: () => this.#setMuted(!this.#video.muted),
      f: () => void this.#toggleFullscreen(),
      s: () => this.#toggleStats(),
      ' ': () => this.#togglePlay(),
    }[event.key.toLowerCase()];
    if (action === undefined || event.repeat) return;
    event.preventDefault();
    action();
  }

  #wake(): void {
    delete this.#stage.dataset.idle;
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => {
      this.#stage.dataset.idle = 'true';
    }, IDLE_MS);
  }
}

function label(button: HTMLButtonElement, text: string, key: string, icon: string): void {
  button.title = `${text} (${key})`;
  const name = button.querySelector('.label');
  if (name !== null) setText(name, text);
  button.querySelector('use')?.setAttribute('href', `/web/icons.svg#${icon}`);
}
