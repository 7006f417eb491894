/** A button with two positions, each with its words and its icon. */
import { find, setText } from './dom.ts';

type Face = readonly [label: string, icon: string];

export class ToggleButton {
  readonly #button: HTMLButtonElement;
  readonly #faces: readonly [Face, Face];

  /** `changed` is called when a person presses the button. */
  constructor(testId: string, released: Face, pressed: Face, changed: (pressed: boolean) => void) {
    this.#button = find(testId, HTMLButtonElement);
    this.#faces = [released, pressed];
    this.#button.addEventListener('click', () => {
      this.set(!this.pressed);
      changed(this.pressed);
    });
  }

  get pressed(): boolean {
    return this.#button.getAttribute('aria-pressed') === 'true';
  }

  set(pressed: boolean): void {
    const [label, icon] = this.#faces[pressed ? 1 : 0];
    this.#button.setAttribute('aria-pressed', String(pressed));
    const text = this.#button.querySelector('.label');
    if (text !== null) setText(text, label);
    this.#button.querySelector('use')?.setAttribute('href', `/web/icons.svg#${icon}`);
  }

  show(visible: boolean): void {
    this.#button.hidden = !visible;
  }
}
