/** A tile for everybody in the lobby: picture, name, what is muted, who is main. */
import type { TrackInfo } from '../../../shared/protocol/control.ts';
import type { MemberTrack } from '../clients/member-listener.ts';
import { create, setText } from './dom.ts';
import { nameOfLabel } from './stream-preferences.ts';

const MANY = 10;
const SVG = 'http://www.w3.org/2000/svg';

/** What a tile shows of one track. */
interface TileTrack {
  kind: string;
  info: TrackInfo;
}

class Tile {
  readonly element: HTMLLIElement;
  readonly #video = create('video', { autoplay: true, playsInline: true });
  readonly #initial = create('span');
  readonly #who = create('span', { className: 'who' });
  readonly #badge = create('span', { className: 'badge', textContent: 'Main', hidden: true });
  readonly #micOff = icon('mic-off');

  constructor(own: boolean) {
    const caption = create('div', { className: 'caption' }, this.#who, this.#badge, this.#micOff);
    const initial = create('div', { className: 'initial' }, this.#initial);
    initial.setAttribute('aria-hidden', 'true');
    this.element = create('li', { className: 'tile' }, this.#video, initial, caption);
    this.element.dataset.testid = 'tile';
    this.element.dataset.own = String(own);
    // Nobody wants to hear themselves.
    this.#video.muted = own;
  }

  show(stream: MediaStream, tracks: readonly TileTrack[], suffix = ''): void {
    if (this.#video.srcObject !== stream) this.#video.srcObject = stream;
    // Refused while the page is hidden only: whoever is in the lobby has pressed a button to get there.
    this.#video.play().catch(() => undefined);
    const picture = tracks.some(({ kind, info }) => kind === 'video' && !info.muted);
    const sounds = tracks.filter(({ kind }) => kind === 'audio');
    const silent = sounds.length > 0 && sounds.every(({ info }) => info.muted);
    const name = nameOfLabel(tracks[0]?.info.label ?? '');
    const main = tracks.some(({ info }) => info.purpose === 'main');
    setText(this.#who, name + suffix);
    setText(this.#initial, [...name][0]?.toUpperCase() ?? '?');
    this.#badge.hidden = !main;
    this.#micOff.style.display = silent ? '' : 'none';
    const { dataset } = this.element;
    Object.assign(dataset, { label: name, picture: String(picture), silent: String(silent), main: String(main) });
    const remarks = [main ? 'main' : '', silent ? 'muted' : '', picture ? '' : 'no picture'].filter(Boolean);
    this.element.setAttribute('aria-label', [name + suffix, ...remarks].join(', '));
  }

  mirror(mirrored: boolean): void {
    this.element.dataset.mirror = String(mirrored);
  }

  release(): void {
    this.#video.srcObject = null;
    this.element.remove();
  }
}

export interface OwnTile {
  stream: MediaStream;
  info: { purpose: TrackInfo['purpose']; label: string };
  mirrored: boolean;
  /** Behind the name. */
  suffix: string;
}

export class LobbyTiles {
  readonly #list: HTMLUListElement;
  readonly #vacant: HTMLLIElement;
  readonly #own = new Map<MediaStream, Tile>();
  readonly #others = new Map<MediaStream, { tile: Tile; tracks: Map<string, MemberTrack> }>();

  /** `vacant`: stands for our own tile while there is nothing to show of us. */
  constructor(list: HTMLUListElement, vacant: HTMLLIElement) {
    this.#list = list;
    this.#vacant = vacant;
    this.setOwn([]);
  }

  /** People other than us; each may have several tiles, so it counts names once. */
  get names(): string[] {
    return [...this.#others.values()].map(({ tile }) => tile.element.dataset.label ?? '');
  }

  setOwn(tiles: readonly OwnTile[]): void {
    for (const [stream, tile] of this.#own) {
      if (tiles.some((wanted) => wanted.stream === stream)) continue;
      tile.release();
      this.#own.delete(stream);
    }
    for (const { stream, info, mirrored, suffix } of tiles) {
      const tile = this.#own.get(stream) ?? new Tile(true);
      this.#own.set(stream, tile);
      const tracks = stream.getTracks().map(({ kind, enabled }) => ({ kind, info: { ...info, muted: !enabled } }));
      tile.show(stream, tracks, suffix);
      tile.mirror(mirrored);
    }
    this.#list.prepend(...[...this.#own.values()].map(({ element }) => element));
    this.#vacant.remove();
    if (this.#own.size === 0) this.#list.prepend(this.#vacant);
    this.#count();
  }

  /** Returns the name when somebody new has come. */
  add(track: MemberTrack): string | null {
    const known = this.#others.get(track.stream);
    const entry = known ?? { tile: new Tile(false), tracks: new Map<string, MemberTrack>() };
    entry.tracks.set(track.id, track);
    this.#others.set(track.stream, entry);
    this.#show(track.stream);
    if (known !== undefined) return null;
    this.#list.append(entry.tile.element);
    this.#count();
    return nameOfLabel(track.info.label);
  }

  /** Returns the name when nothing is left of somebody. */
  remove(id: string): string | null {
    const found = this.#find(id);
    if (found === null) return null;
    const { stream, entry } = found;
    entry.tracks.delete(id);
    if (entry.tracks.size > 0) {
      this.#show(stream);
      return null;
    }
    this.#others.delete(stream);
    entry.tile.release();
    this.#count();
    return entry.tile.element.dataset.label ?? null;
  }

  setMuted(id: string): void {
    const found = this.#find(id);
    if (found !== null) this.#show(found.stream);
  }

  clearOthers(): void {
    for (const { tile } of this.#others.values()) tile.release();
    this.#others.clear();
    this.#count();
  }

  #find(id: string) {
    for (const [stream, entry] of this.#others) if (entry.tracks.has(id)) return { stream, entry };
    return null;
  }

  #show(stream: MediaStream): void {
    const entry = this.#others.get(stream);
    if (entry === undefined) return;
    const tracks = [...entry.tracks.values()].map(({ track, info }) => ({ kind: track.kind, info }));
    entry.tile.show(stream, tracks);
  }

  #count(): void {
    const count = this.#list.childElementCount;
    this.#list.dataset.count = count >= MANY ? 'many' : String(count);
  }
}

function icon(name: string): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'mark muted');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `/web/icons.svg#${name}`);
  svg.append(use);
  return svg;
}
