/**
 * Members that come, go, mute, lose their channel and answer late, wrongly, twice or not at all, in any order: in the end
 * each holds exactly the tracks of the others, with their present mute.
 */

import { expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { openSignal, RESEND_MS, type SignalEffect, type SignalEvent, step } from './signal-machine.ts';

const MEMBERS = 4;
const TRACKS_EACH = 2;

/** One m-section: its place is its mid; a removed track leaves it inactive for the next one. */
interface Section {
  track: string | null;
  muted: boolean;
}
type Frame =
  | { type: 'offer'; number: number; sections: Section[] }
  | { type: 'answer'; number: number; good: boolean }
  | { type: 'mute'; mid: number; muted: boolean };

class Lobby {
  nowMs = 0;
  readonly members = Array.from({ length: MEMBERS }, (_, index) => new Member(this, index));

  tracks(): { track: string; muted: boolean; owner: number }[] {
    return this.members.flatMap((member) => member.tracks.map((each) => ({ ...each, owner: member.index })));
  }

  /** What the node does on every change of tracks. */
  changed(): void {
    for (const member of this.members) if (member.joined) member.say({ type: 'tracks-changed' });
  }
}

class Member {
  readonly index: number;
  readonly #lobby: Lobby;
  joined = false;
  tracks: { track: string; muted: boolean }[] = [];
  #life = 0;
  #state = openSignal();
  // The node's side of the negotiation.
  sections: Section[] = [];
  #lastNumber = 0;
  // The client's side, and what is under way (reliable and in order, until the channel is lost).
  held: Section[] = [];
  clientNumber = 0;
  downstream: Frame[] = [];
  upstream: Frame[] = [];
  httpPending = false;
  channel = false;

  constructor(lobby: Lobby, index: number) {
    this.#lobby = lobby;
    this.index = index;
  }

  join(): void {
    if (this.joined) return;
    this.joined = true;
    this.#life += 1;
    this.#state = openSignal();
    this.tracks = Array.from({ length: TRACKS_EACH }, (_, i) => ({
      track: `${this.index}.${this.#life}/${i}`,
      muted: false,
    }));
    this.#lobby.changed();
  }

  leave(): void {
    if (!this.joined) return;
    this.unlisten();
    this.lose();
    this.joined = false;
    this.tracks = [];
    this.#lobby.changed();
  }

  reconnect(): void {
    if (!this.joined || this.channel) return;
    this.channel = true;
    this.say({ type: 'channel-opened' });
  }

  lose(): void {
    if (!this.channel) return;
    this.channel = false;
    this.downstream = [];
    this.upstream = [];
    this.say({ type: 'channel-closed' });
  }

  get listening(): boolean {
    return this.#state.listener !== null;
  }

  listen(): void {
    if (!this.joined || !this.channel || this.listening) return;
    this.sections = [];
    this.held = [];
    this.#lastNumber = 0;
    this.clientNumber = 0;
    this.httpPending = true;
    this.say({ type: 'listener-offered' });
  }

  unlisten(): void {
    if (!this.listening) return;
    this.httpPending = false;
    // A client that closes its listener forgets what came for it.
    this.downstream = [];
    this.upstream = [];
    this.say({ type: 'listener-closed' });
  }

  httpAnswer(): void {
    if (!this.httpPending) return;
    this.httpPending = false;
    this.say({ type: 'listener-settled' });
  }

  mute(muted: boolean): void {
    if (this.channel) this.upstream.push({ type: 'mute', mid: 0, muted });
  }

  /** The client reads its next frame and answers as told. */
  read(answering: 'well' | 'badly' | 'twice' | 'never' | 'with-another-number'): void {
    const frame = this.downstream.shift();
    if (frame?.type === 'mute') {
      const section = this.held[frame.mid];
      if (section !== undefined) section.muted = frame.muted;
    }
    if (frame?.type !== 'offer') return;
    // The next one, or the last one again.
    expect([this.clientNumber, this.clientNumber + 1]).toContain(frame.number);
    const { number } = frame;
    if (answering === 'never') return;
    if (answering === 'with-another-number') {
      for (const wrong of [number - 1, number + 5]) this.upstream.push({ type: 'answer', number: wrong, good: true });
      return;
    }
    const good = answering !== 'badly';
    this.upstream.push({ type: 'answer', number, good });
    if (answering === 'twice') this.upstream.push({ type: 'answer', number, good });
    if (!good) return;
    this.clientNumber = number;
    // m-sections are never taken away nor moved.
    expect(frame.sections.length).toBeGreaterThanOrEqual(this.held.length);
    this.held = frame.sections.map((section) => ({ ...section }));
  }

  /** The node reads the client's next frame. */
  write(): void {
    const frame = this.upstream.shift();
    if (frame?.type === 'answer') {
      this.say({ type: 'answer-received', number: frame.number, sdp: frame.good ? 'good' : 'bad' });
    } else if (frame?.type === 'mute') this.say({ type: 'mute-received', mid: String(frame.mid), muted: frame.muted });
  }

  say(event: SignalEvent): void {
    const { state, effects } = step(this.#state, event, this.#lobby.nowMs);
    this.#state = state;
    for (const effect of effects) this.#run(effect);
  }

  #run(effect: SignalEffect): void {
    switch (effect.type) {
      case 'make-offer':
        this.say({ type: 'offer-made', sdp: this.#makeOffer() });
        return;
      case 'send-offer': {
        expect([this.#lastNumber, this.#lastNumber + 1]).toContain(effect.number);
        this.#lastNumber = effect.number;
        this.downstream.push({ type: 'offer', number: effect.number, sections: JSON.parse(effect.sdp) });
        return;
      }
      case 'apply-answer':
        this.say({ type: 'answer-applied', accepted: effect.sdp === 'good' });
        return;
      case 'send-mute':
        this.downstream.push({ type: 'mute', mid: Number(effect.mid), muted: effect.muted });
        return;
      case 'repeat-mutes':
        for (const { track } of this.sections) if (track !== null) this.tellMute(track);
        return;
      case 'mute': {
        const own = this.tracks[Number(effect.mid)];
        if (own === undefined) return;
        own.muted = effect.muted;
        for (const other of this.#lobby.members) if (other !== this) other.tellMute(own.track);
      }
    }
  }

  tellMute(track: string): void {
    const mid = this.sections.findIndex((section) => section.track === track);
    const present = this.#lobby.tracks().find((each) => each.track === track);
    if (mid >= 0 && present !== undefined) this.say({ type: 'track-muted', mid: String(mid), muted: present.muted });
  }

  #makeOffer(): string | null {
    const wanted = this.#lobby.tracks().filter(({ owner }) => owner !== this.index);
    const before = this.sections.map(({ track }) => track).join();
    for (const section of this.sections) {
      if (!wanted.some(({ track }) => track === section.track)) section.track = null;
    }
    for (const { track } of wanted) {
      if (this.sections.some((section) => section.track === track)) continue;
      const free = this.sections.find((section) => section.track === null);
      if (free === undefined) this.sections.push({ track, muted: false });
      else free.track = track;
    }
    if (this.sections.map(({ track }) => track).join() === before) return null;
    for (const section of this.sections) {
      section.muted = wanted.find(({ track }) => track === section.track)?.muted ?? false;
    }
    return JSON.stringify(this.sections);
  }
}

const member = fc.nat({ max: MEMBERS - 1 });
const answering = fc.constantFrom('well', 'well', 'badly', 'twice', 'never', 'with-another-number');
const happening = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom('join', 'reconnect', 'listen', 'httpAnswer', 'write'), member) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom('leave', 'lose', 'unlisten'), member) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('read'), member, answering) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('mute'), member, fc.boolean()) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('pass'), fc.nat({ max: 2 * RESEND_MS })) },
);

function happen(lobby: Lobby, [what, who, how]: readonly [string, number, (string | boolean)?]): void {
  if (what === 'pass') {
    lobby.nowMs += who;
    for (const each of lobby.members) each.say({ type: 'time-passed' });
    return;
  }
  const actor = lobby.members[who] as Member;
  if (what === 'read') actor.read(how as 'well');
  else if (what === 'mute') actor.mute(how === true);
  else actor[what as 'join' | 'leave' | 'lose' | 'reconnect' | 'listen' | 'unlisten' | 'httpAnswer' | 'write']();
}

/** Everybody behaves from now on, until nothing is under way any more. */
function calmDown(lobby: Lobby): void {
  for (const each of lobby.members) {
    each.reconnect();
    each.listen();
    each.httpAnswer();
  }
  for (let round = 0; round < 50; round++) {
    lobby.nowMs += RESEND_MS;
    for (const each of lobby.members) {
      each.say({ type: 'time-passed' });
      while (each.downstream.length > 0) each.read('well');
      while (each.upstream.length > 0) each.write();
    }
    if (lobby.members.every((each) => each.downstream.length === 0)) return;
  }
  throw new Error('it never calms down');
}

it('whatever happens in between, everybody ends with exactly the tracks of the others', () => {
  fc.assert(
    fc.property(fc.array(happening, { minLength: 10, maxLength: 120 }), (happenings) => {
      const lobby = new Lobby();
      for (const each of happenings) happen(lobby, each);
      calmDown(lobby);
      for (const listener of lobby.members.filter(({ joined }) => joined)) {
        const held = listener.held.filter(({ track }) => track !== null);
        const others = lobby.tracks().filter(({ owner }) => owner !== listener.index);
        const sorted = (list: readonly { track: string | null; muted: boolean }[]) =>
          list.map(({ track, muted }) => `${track} ${muted}`).toSorted();
        expect(sorted(held)).toEqual(sorted(others));
      }
    }),
    { numRuns: 5000 },
  );
});
