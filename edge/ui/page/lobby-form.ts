/** The settings of the lobby page: who, where, with what. */
import { ClientError } from '../clients/errors.ts';
import { fetchMemberToken, fetchStream, type StreamDetails } from './api.ts';
import type { CaptureChoice } from './capture.ts';
import { find } from './dom.ts';
import {
  audienceUrl,
  initialStream,
  isStream,
  rememberMemberToken,
  rememberName,
  rememberStream,
  type StreamChoice,
  storedMemberToken,
  storedName,
  subjectOf,
} from './stream-preferences.ts';

/** Enough for a tile and for going on air, little enough to send while receiving everybody else. */
const PICTURE = { width: 1280, height: 720, framesPerSecond: 30 };

export type LobbySource = 'camera' | 'pattern' | 'none';

export class LobbyForm {
  readonly element = find('settings', HTMLFormElement);
  readonly cameraSelect = find('camera-select', HTMLSelectElement);
  readonly microphoneSelect = find('mic-select', HTMLSelectElement);
  readonly #name = find('name', HTMLInputElement);
  readonly #space = find('space', HTMLInputElement);
  readonly #stream = find('stream', HTMLInputElement);
  readonly #token = find('token', HTMLInputElement);
  readonly #signIn = find('sign-in', HTMLDetailsElement);
  readonly #register = find('register', HTMLDetailsElement);
  readonly #user = find('register-user', HTMLInputElement);
  readonly #registerToken = find('register-token', HTMLInputElement);
  readonly #main = find('main', HTMLInputElement);
  readonly #audienceLink = find('audience-link', HTMLAnchorElement);
  /** What cannot change in the lobby. */
  readonly #fixed = find('fixed-settings', HTMLFieldSetElement);
  readonly #sources = [...document.querySelectorAll<HTMLInputElement>('input[name="source"]')];
  /** The switch was set by hand: being the owner does not move it any more. */
  #mainChosen = false;

  constructor() {
    const { space, stream } = initialStream();
    this.#space.value = space;
    this.#stream.value = stream;
    this.#token.value = storedMemberToken();
    this.#name.value = storedName();
    this.#signIn.open = !this.isComplete;
    this.#main.addEventListener('change', () => {
      this.#mainChosen = true;
    });
    // A required field that is folded away could not be pointed at.
    this.element.addEventListener('invalid', () => this.openSignIn(), { capture: true });
    this.element.addEventListener('input', () => {
      this.#showAudience();
      this.#showName();
    });
    for (const radio of this.#sources) radio.addEventListener('change', () => this.#showDevices());
    this.#showDevices();
    this.#showAudience();
    this.#showName();
  }

  /** Nothing is missing for entering. */
  get isComplete(): boolean {
    return isStream(this.choice) && this.token !== '';
  }

  get choice(): StreamChoice {
    return { space: this.#space.value.trim(), stream: this.#stream.value.trim() };
  }

  /** Token of the member; empty when none was entered. */
  get token(): string {
    return this.#token.value.trim();
  }

  get info(): { purpose: 'guest' | 'main'; label: string } {
    const label = this.#name.value.trim() || this.#user.value.trim() || subjectOf(this.token);
    return { purpose: this.#main.checked ? 'main' : 'guest', label };
  }

  get source(): LobbySource {
    const value = this.#sources.find((radio) => radio.checked)?.value;
    return value === 'pattern' || value === 'none' ? value : 'camera';
  }

  capture(source: CaptureChoice['source']): CaptureChoice {
    return {
      ...PICTURE,
      source,
      cameraId: this.cameraSelect.value,
      microphoneId: this.microphoneSelect.value,
    };
  }

  /** Gets a token for the user when the register token was entered. Throws `ClientError`. */
  async signIn(): Promise<void> {
    if (this.#register.open && this.#registerToken.value !== '') {
      this.#token.value = await fetchMemberToken(this.#user.value.trim(), this.#registerToken.value);
      this.#register.open = false;
    }
    if (this.token === '') throw new ClientError('Enter the token you were given', { status: 401, code: 'no_token' });
    rememberMemberToken(this.token);
    rememberName(this.#name.value.trim());
    rememberStream(this.choice);
  }

  /** What the server tells a member of the stream. The owner is main unless that was chosen otherwise. Throws `ClientError`. */
  async readStream(): Promise<StreamDetails> {
    const details = await fetchStream(this.choice, this.token);
    if (!this.#mainChosen) this.#main.checked = details.isOwner;
    return details;
  }

  openSignIn(): void {
    this.#signIn.open = true;
  }

  focusToken(): void {
    this.openSignIn();
    this.#token.focus();
  }

  lock(locked: boolean): void {
    this.#fixed.disabled = locked;
    if (locked) this.#signIn.open = false;
  }

  onSourceChange(changed: () => void): void {
    for (const control of [...this.#sources, this.cameraSelect, this.microphoneSelect]) {
      control.addEventListener('change', changed);
    }
  }

  #showDevices(): void {
    find('camera-field', HTMLElement).hidden = this.source !== 'camera';
    find('mic-field', HTMLElement).hidden = this.source !== 'camera';
  }

  /** Who gives no name is called as the token says. */
  #showName(): void {
    this.#name.placeholder = subjectOf(this.token) || 'What the others call you';
  }

  #showAudience(): void {
    const known = isStream(this.choice);
    if (known) this.#audienceLink.href = audienceUrl(this.choice);
    const line = this.#audienceLink.parentElement;
    if (line !== null) line.hidden = !known;
  }
}
