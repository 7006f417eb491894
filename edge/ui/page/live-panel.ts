/** The owner's controls for going on air, and for everybody the sign that it happens. */
import { ClientError } from '../clients/errors.ts';
import type { LiveStatus } from '../clients/live-requests.ts';
import type { LobbyClient } from '../clients/lobby-client.ts';
import { find, setText } from './dom.ts';

/** What the owner has just done is to be seen soon; guests only need to know. */
const OWNER_REFRESH_MS = 2_000;
const GUEST_REFRESH_MS = 6_000;

export class LivePanel {
  readonly #panel = find('live-panel', HTMLElement);
  readonly #form = find('live-form', HTMLFormElement);
  readonly #url = find('rtmp-url', HTMLInputElement);
  readonly #key = find('stream-key', HTMLInputElement);
  readonly #goButton = find('go-live', HTMLButtonElement);
  readonly #stopButton = find('stop-live', HTMLButtonElement);
  readonly #statusText = find('live-status', HTMLElement);
  readonly #errorText = find('live-error', HTMLElement);
  readonly #onAir = find('on-air', HTMLElement);
  #lobby: LobbyClient | null = null;
  #isOwner = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What a button began is under way: what the server says meanwhile may be old. */
  #busy = false;

  constructor() {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      const target = { rtmpUrl: this.#url.value.trim(), streamKey: this.#key.value };
      void this.#act('Starting', (lobby) => lobby.startLive(target));
    });
    this.#stopButton.addEventListener('click', () => void this.#act('Stopping', (lobby) => lobby.stopLive()));
  }

  /** The lobby that we are in now; null: none. */
  follow(lobby: LobbyClient | null, isOwner: boolean): void {
    this.#lobby = lobby;
    this.#isOwner = isOwner;
    this.#panel.hidden = lobby === null || !isOwner;
    this.#onAir.hidden = true;
    this.#fail('');
    clearTimeout(this.#timer);
    if (lobby !== null) void this.#refresh();
  }

  async #act(progress: string, action: (lobby: LobbyClient) => Promise<unknown>): Promise<void> {
    const lobby = this.#lobby;
    if (lobby === null || this.#busy) return;
    this.#setBusy(true);
    this.#fail('');
    setText(this.#statusText, progress);
    try {
      await action(lobby);
    } catch (thrown) {
      this.#fail(describeLiveError(ClientError.fromUnknown(thrown)));
    }
    this.#setBusy(false);
    await this.#refresh();
  }

  async #refresh(): Promise<void> {
    clearTimeout(this.#timer);
    const lobby = this.#lobby;
    if (lobby === null) return;
    // While the connection is repaired there is nobody to ask; it goes on when it is back.
    const status = lobby.state === 'joined' ? await lobby.liveStatus().catch(() => null) : null;
    if (this.#lobby !== lobby) return;
    if (status !== null && !this.#busy) this.#show(status);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#refresh(), this.#isOwner ? OWNER_REFRESH_MS : GUEST_REFRESH_MS);
  }

  #show(status: LiveStatus): void {
    const { isLive, error } = status;
    const focused = document.activeElement === (isLive ? this.#goButton : this.#stopButton);
    this.#form.hidden = isLive;
    this.#stopButton.hidden = !isLive;
    if (focused) (isLive ? this.#stopButton : this.#goButton).focus();
    setText(this.#statusText, describeLiveStatus(status));
    this.#onAir.hidden = !isLive || status.status !== 'online' || status.state === 'starting';
    // What the last push ended with stays readable until the next attempt.
    if (error !== null) this.#fail(error);
    else if (isLive) this.#fail('');
  }

  #setBusy(busy: boolean): void {
    this.#busy = busy;
    this.#goButton.disabled = busy;
    this.#stopButton.disabled = busy;
  }

  #fail(message: string): void {
    setText(this.#errorText, message);
    this.#errorText.hidden = message === '';
  }
}

function describeLiveStatus({ status, state, isLive }: LiveStatus): string {
  if (!isLive) return 'Offline';
  switch (state) {
    case 'starting':
      return 'Starting';
    case 'retrying':
      return 'Trying again';
    default:
      return status === 'online' ? 'Online' : 'Offline';
  }
}

function describeLiveError(error: ClientError): string {
  switch (error.code) {
    case 'no_main_track':
      return 'Nobody in the lobby is marked as main. Turn “Main” on and send a picture or sound.';
    case 'already_live':
      return 'It is live already.';
    default:
      return error.status === 403 ? 'Only the owner of the stream may do this.' : error.message;
  }
}
