/** A page that plays one thing: waits for it, comes back to it, and says what it is doing. */
import { ClientError } from '../clients/errors.ts';
import { WhepClient } from '../clients/whep-client.ts';
import { expose, find, setPageState, setText } from './dom.ts';
import { PlayerControls } from './player-controls.ts';
import { PlayerStats } from './player-stats.ts';
import { QualityMenu } from './quality-menu.ts';

/** What a page plays. */
export interface Programme {
  /** As people call it. */
  name: string;
  kind: 'room' | 'stream';
  /** WHEP endpoint. */
  url: string;
  readToken(): string;
  rememberToken(token: string): void;
  /** Where whoever waits for it can begin it. */
  source: { href: string; text: string };
}

type PageState = 'connecting' | 'waiting' | 'playing' | 'reconnecting' | 'error';

/** The server's word for a room that has as many viewers as it may. */
const FULL = 'subscriber_limit';

const CHIPS: Readonly<Record<PageState, string>> = {
  playing: 'Live',
  connecting: 'Connecting',
  waiting: 'Waiting',
  reconnecting: 'Reconnecting',
  error: 'Stopped',
};

export class PlayerPage {
  readonly #programme: Programme;
  readonly #video = find('video', HTMLVideoElement);
  readonly #title = find('status', HTMLElement);
  readonly #hint = find('hint', HTMLElement);
  readonly #chip = find('chip', HTMLElement);
  readonly #tokenForm = find('token-form', HTMLFormElement);
  readonly #tokenInput = find('token', HTMLInputElement);
  readonly #retryButton = find('retry', HTMLButtonElement);
  readonly #stats = new PlayerStats(this.#video);
  readonly #controls = new PlayerControls(this.#video, { toggleStats: () => this.#stats.toggle() });
  readonly #quality = new QualityMenu(this.#video);
  #client: WhepClient;
  /** The stream in the video element has shown a frame (or sounded, when it has no picture). */
  #shown = false;
  #lastError: ClientError | null = null;

  constructor(programme: Programme) {
    this.#programme = programme;
    this.#client = this.#createClient();
  }

  start(): void {
    const { name, source, readToken, rememberToken } = this.#programme;
    document.title = `${name} · Vestibule`;
    setText(find('room-name', HTMLElement), name);
    const link = find('publish-link', HTMLAnchorElement);
    link.href = source.href;
    setText(link, source.text);
    this.#tokenInput.value = readToken();
    this.#exposeState();
    const onFrame = () => this.#onFrame();
    this.#video.addEventListener('playing', onFrame);
    this.#video.addEventListener('resize', onFrame);
    this.#tokenForm.addEventListener('submit', (event) => {
      event.preventDefault();
      rememberToken(this.#tokenInput.value.trim());
      this.#restart();
    });
    this.#retryButton.addEventListener('click', () => this.#restart());
    // A page restored from the back/forward cache has ended its session when it left.
    addEventListener('pageshow', (event) => {
      if (event.persisted) this.#restart();
    });
    this.#stats.follow(() => this.#client.connection);
    this.#render();
    if (globalThis.RTCPeerConnection === undefined) this.#refuseBrowser();
    else this.#client.start();
  }

  #createClient(): WhepClient {
    const { url, readToken } = this.#programme;
    const next = new WhepClient({ url, token: readToken() });
    this.#quality.follow(next);
    next.addEventListener('stream', ({ detail }) => {
      if (this.#client === next) this.#adopt(detail.stream);
    });
    next.addEventListener('error', ({ detail }) => {
      if (this.#client !== next) return;
      this.#lastError = detail.error;
      this.#render();
    });
    next.addEventListener('state', ({ detail }) => {
      if (this.#client !== next) return;
      // Nothing to come back to: drop the last picture. A publisher that may return keeps it under the veil.
      if (detail.state === 'waiting' && next.connection === null) this.#show(null);
      if (detail.state === 'live') this.#lastError = null;
      this.#render();
    });
    return next;
  }

  /** The last picture stays until the new stream has something to show. */
  #adopt(stream: MediaStream): void {
    // After a move the new one flows already.
    if (this.#video.srcObject === null || stream.getTracks().some((track) => !track.muted)) {
      this.#show(stream);
      return;
    }
    for (const track of stream.getTracks()) {
      track.addEventListener('unmute', () => {
        if (this.#client.stream === stream && this.#video.srcObject !== stream) this.#show(stream);
      });
    }
  }

  #show(stream: MediaStream | null): void {
    this.#shown = false;
    this.#video.srcObject = stream;
    // Refused only while the page is in the background or when sound is not allowed yet; the controls show both.
    if (stream !== null) this.#video.play().catch(() => undefined);
    this.#controls.update();
    this.#render();
  }

  #onFrame(): void {
    if (this.#video.srcObject !== this.#client.stream) return;
    this.#shown = true;
    document.documentElement.dataset.audioOnly = String(this.#video.videoWidth === 0);
    this.#render();
  }

  #pageState(): PageState {
    switch (this.#client.state) {
      case 'live':
        return this.#shown ? 'playing' : 'connecting';
      case 'waiting':
      case 'reconnecting':
        return this.#client.state;
      case 'failed':
        return 'error';
      default:
        return 'connecting';
    }
  }

  #render(): void {
    const state = this.#pageState();
    const refused = state === 'error' && this.#asksForToken();
    setPageState(state);
    const [headline, explanation] = this.#describe(state);
    setText(this.#title, headline);
    setText(this.#hint, explanation);
    setText(this.#chip, CHIPS[state]);
    document.documentElement.dataset.picture = String(this.#shown);
    this.#tokenForm.hidden = !refused;
    this.#retryButton.hidden = state !== 'error' || refused;
  }

  #describe(state: PageState): [string, string] {
    const { name, kind } = this.#programme;
    switch (state) {
      case 'playing':
        return [`Playing ${name}`, ''];
      case 'connecting':
        return [`Connecting to ${name}`, this.#lastError?.message ?? ''];
      case 'waiting':
        if (this.#client.connection !== null)
          return ['The publisher is away', 'It goes on by itself when the signal is back.'];
        return kind === 'room'
          ? ['Waiting for the publisher', 'It starts by itself as soon as somebody is live here.']
          : ['Nothing to see yet', 'It starts by itself as soon as somebody in the lobby is marked as main.'];
      case 'reconnecting':
        return ['Reconnecting', this.#lastError?.message ?? 'The connection was lost and is being repaired.'];
      case 'error':
        return this.#describeError();
    }
  }

  /** Another token may open what this one did not; it makes no place in a room that is full. */
  #asksForToken(): boolean {
    const error = this.#lastError;
    return error?.status === 401 || (error?.status === 403 && error.code !== FULL);
  }

  #describeError(): [string, string] {
    const { kind, readToken } = this.#programme;
    const error = this.#lastError;
    switch (error?.status) {
      case 401:
        return readToken() === ''
          ? [`This ${kind} needs a token`, 'Enter the token you were given.']
          : [`This token does not open the ${kind}`, 'Enter it once more, or ask for another one.'];
      case 403:
        return error.code === FULL
          ? [`This ${kind} is full`, 'Try again when somebody has left.']
          : ['No access', `${error.message}. Enter another token.`];
      default:
        return [`Cannot play this ${kind}`, error?.message ?? ''];
    }
  }

  #restart(): void {
    const old = this.#client;
    this.#lastError = null;
    this.#client = this.#createClient();
    void old.stop();
    this.#show(null);
    this.#client.start();
  }

  #refuseBrowser(): void {
    this.#lastError = new ClientError('This browser has no WebRTC.', { code: 'unsupported' });
    setPageState('error');
    const [headline, explanation] = this.#describeError();
    setText(this.#title, headline);
    setText(this.#hint, explanation);
  }

  #exposeState(): void {
    const client = () => this.#client;
    const stats = () => this.#stats.summary;
    expose({
      get client() {
        return client();
      },
      get stats() {
        return stats();
      },
    });
  }
}
