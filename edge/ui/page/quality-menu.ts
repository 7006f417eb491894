/** The choice of a layer: there when there is one. */

import type { VideoLayer } from '../clients/session-events.ts';
import type { LayerWish, WhepClient } from '../clients/whep-client.ts';
import { create, find } from './dom.ts';
import { layerNames } from './layer-names.ts';

const AUTOMATIC = '';

export class QualityMenu {
  readonly #select = find('quality', HTMLSelectElement);
  readonly #video: HTMLVideoElement;
  #client: WhepClient | null = null;
  #layers: readonly VideoLayer[] = [];
  /** Stays over reconnects, as the client's does: the element shows it whenever there is such a layer. */
  #chosen = AUTOMATIC;

  constructor(video: HTMLVideoElement) {
    this.#video = video;
    this.#select.addEventListener('change', () => void this.#choose());
    video.addEventListener('resize', () => this.#render());
  }

  /** Shows what this client has to choose from. A choice that was made goes on with it. */
  follow(client: WhepClient): void {
    this.#client = client;
    client.addEventListener('layers', ({ detail }) => {
      if (this.#client === client) this.#show(detail.layers);
    });
    this.#show(client.layers);
    if (this.#chosen !== AUTOMATIC) void client.setLayer({ rid: this.#chosen }).catch(() => undefined);
  }

  #show(layers: readonly VideoLayer[]): void {
    // A layer that stops for a moment keeps its place.
    this.#layers = layers.toSorted((a, b) => (b.height ?? 0) - (a.height ?? 0));
    this.#render();
  }

  #render(): void {
    const chosen = this.#chosen;
    const size = this.#video.videoHeight;
    const automatic = chosen === AUTOMATIC && size > 0 ? `Auto (${size}p)` : 'Auto';
    const names = layerNames(this.#layers);
    const options = this.#layers.map(({ rid, active }) =>
      create('option', { value: rid, textContent: names.get(rid) ?? rid, disabled: !active && rid !== chosen }),
    );
    this.#select.replaceChildren(create('option', { value: AUTOMATIC, textContent: automatic }), ...options);
    this.#select.value = this.#layers.some(({ rid }) => rid === chosen) ? chosen : AUTOMATIC;
    this.#select.hidden = this.#layers.length < 2;
  }

  async #choose(): Promise<void> {
    const before = this.#chosen;
    const rid = this.#select.value;
    this.#chosen = rid;
    const wish: LayerWish | null = rid === AUTOMATIC ? null : { rid };
    this.#render();
    await this.#client?.setLayer(wish).catch(() => {
      if (this.#chosen === rid) this.#chosen = before;
      this.#render();
    });
  }
}
