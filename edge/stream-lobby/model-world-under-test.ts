/** A lobby, three nodes, and all that can happen between them, in any order. */
import { expect } from 'vitest';
import { mintSessionId, type SessionId } from '../../shared/ids.ts';
import type { TrackReport } from '../../shared/protocol/control.ts';
import { relayOn } from '../relay/relay-tree.ts';
import type { Move } from './model-moves-under-test.ts';
import { ModelNode } from './model-node-under-test.ts';
import type { StreamPull, StreamStep } from './stream-events.ts';
import { placesWanting } from './stream-places.ts';
import {
  flows,
  isHeld,
  isMain,
  lineageOf,
  type Member,
  nextDeadline,
  type StreamState,
  streamRecordSchema,
} from './stream-state.ts';
import { GUEST_TRACK, LIVE_URL, LOBBY, LobbyUnderTest, MAIN_TRACK } from './stream-under-test.ts';

export class World {
  readonly room = new LobbyUnderTest();
  readonly nodes = [new ModelNode('a'), new ModelNode('b'), new ModelNode('c')] as const;
  /** Relays that are being opened. */
  #pulls: StreamPull[] = [];

  run(next: Move): void {
    const before = this.room.state;
    const stepped = this.#feed(next);
    if (stepped !== null) this.#obey(stepped);
    if (stepped?.refusal?.code === 'session_exists') expect(this.room.state).toBe(before);
    this.#check();
  }

  /** Every wish is newer than any before, or a node would take it for old news. */
  #obey(stepped: StreamStep): void {
    for (const effect of stepped.effects) {
      if (effect.type === 'pull') this.#pulls.push(effect);
      if (effect.type !== 'apply') continue;
      const node = this.nodes.find((one) => one.boot === effect.boot);
      if (node === undefined) continue;
      expect(effect.desired.revision).toBeGreaterThan(node.revision);
      node.obey(effect.desired);
    }
  }

  /** The requests of one relay, as far as they come; null: it is not wanted any more. */
  #open(pull: StreamPull, ends: string): void {
    this.#pulls = this.#pulls.filter((one) => one !== pull);
    const { lobby, source, hop, node, boot } = pull;
    const say = (news: Parameters<LobbyUnderTest['feed']>[0] & { type: 'relay' }): void => {
      this.#obey(this.room.feed(news));
    };
    const about = { node, boot, generation: hop.generation };
    const news = { type: 'relay', lobby, source: source.session } as const;
    const failed = (at: 'upstream' | 'downstream'): void => {
      say({ ...news, news: { type: 'failed', at, final: false, ...about } });
    };
    const above = this.nodes.find((one) => one.boot === hop.upstreamBoot);
    if (ends === 'above' || !above?.has(source.session)) {
      failed('upstream');
      return;
    }
    say({ ...news, news: { type: 'offered', ...about } });
    const member = this.room.member(source.session);
    if (member?.relays && relayOn(member.relays, { node, boot })?.hop.generation !== hop.generation) return;
    const below = this.nodes.find((one) => one.boot === boot);
    if (ends === 'below' || below === undefined) {
      failed('downstream');
      return;
    }
    const { session, generation, upstream } = hop;
    below.remotes.set(source.session, {
      session,
      generation,
      upstream,
      connected: false,
      tracks: member?.tracks ?? [],
    });
    // It did, and nobody knows.
    if (ends === 'late') {
      failed('downstream');
      return;
    }
    say({ ...news, news: { type: 'pulled', resumed: true, ...about } });
  }

  #feed(next: Move): StreamStep | null {
    const { room } = this;
    switch (next.do) {
      case 'join':
        return room.begin(next.user, mintSessionId(), next.fixed);
      case 'enter': {
        const session = mintSessionId();
        if (room.begin(next.user, session).refusal !== null) return null;
        this.#enter(session, this.#node(next.node), [next.main ? MAIN_TRACK : GUEST_TRACK], next.listens);
        return room.wait(0);
      }
      case 'replace': {
        const member = this.#pick(next.pick, (one) => one.phase !== 'opening');
        return member && room.begin(member.user, mintSessionId(), member.fixed, member.session);
      }
      case 'move': {
        const member = this.#pick(next.pick, (one) => one.phase !== 'opening');
        if (member === null) return null;
        const session = mintSessionId();
        const begun = room.begin(member.user, session, member.fixed, member.session);
        if (begun.refusal !== null) return begun;
        this.#obey(begun);
        this.#enter(session, this.#node(next.node), member.tracks, next.listens && !member.fixed);
        return next.leaves ? room.feed({ type: 'leave', session: member.session }) : room.wait(0);
      }
      case 'leave-whole': {
        const member = this.#pick(next.pick, (one) => one.phase !== 'opening');
        const left = member && room.feed({ type: 'leave', session: member.session, whole: true });
        const stays = room.state?.members.some(({ user, fixed }) => user === member?.user && fixed === member.fixed);
        if (member?.replaces === null) expect(stays ?? false, 'who leaves is not there any more').toBe(false);
        return left;
      }
      case 'target': {
        const member = this.#pick(next.pick, (one) => one.phase === 'opening');
        return member && room.feed({ type: 'targeted', session: member.session, ...this.#node(next.node).carrier });
      }
      case 'open': {
        // A node only answers what was sent to it, and only while it lives.
        const member = this.#pick(next.pick, (one) => one.phase === 'opening' && this.#nodeOf(one) !== null);
        const node = member && this.#nodeOf(member);
        if (!node) return null;
        node.members.set(member.session, null);
        const tracks = [next.main ? MAIN_TRACK : GUEST_TRACK];
        return room.feed({ type: 'opened', lobby: LOBBY, session: member.session, tracks, ...node.carrier });
      }
      case 'fail': {
        const member = this.#pick(next.pick, (one) => one.phase === 'opening');
        if (member === null) return null;
        const node = this.#nodeOf(member);
        // It did open it, and nobody knows.
        if (next.uncertain) node?.members.set(member.session, null);
        const uncertain = node?.members.has(member.session) === true;
        return room.feed({ type: 'open-failed', session: member.session, uncertain });
      }
      case 'recover':
        for (const member of room.state?.members ?? []) {
          if (member.phase === 'opening') this.#nodeOf(member)?.members.set(member.session, null);
        }
        return room.feed({ type: 'recovered' });
      case 'listen': {
        const member = this.#pick(next.pick, (one) => one.phase !== 'opening');
        return member && room.feed({ type: 'listen', member: member.session, listener: mintSessionId() });
      }
      case 'listening': {
        const member = this.#pick(next.pick, (one) => one.listener?.phase === 'opening');
        if (!member?.listener) return null;
        const listener = member.listener.session;
        if (!next.fails || next.uncertain) this.#nodeOf(member)?.members.set(member.session, listener);
        return next.fails
          ? room.feed({ type: 'listen-failed', listener, uncertain: next.uncertain })
          : room.feed({ type: 'listening', listener });
      }
      case 'leave': {
        const member = this.#pick(next.pick, (one) => one.phase !== 'opening');
        if (member === null) return null;
        const session = next.listener ? (member.listener?.session ?? member.session) : member.session;
        return room.feed({ type: 'leave', session });
      }
      case 'live': {
        const member = this.#pick(next.pick, (one) => one.phase !== 'opening');
        if (member === null) return null;
        return next.start
          ? room.feed({ type: 'start-live', session: member.session, live: mintSessionId(), url: LIVE_URL })
          : room.feed({ type: 'stop-live', live: null });
      }
      case 'say': {
        const member = this.#pick(next.pick, (one) => this.#nodeOf(one)?.members.has(one.session) === true);
        const node = member && this.#nodeOf(member);
        if (!node) return null;
        const state = next.said as 'connected' | 'silent' | 'closed';
        const listener = node.members.get(member.session) ?? null;
        if (state === 'closed') node.members.delete(member.session);
        const changes = listener === null ? {} : { listener: { session: listener, state: 'connected' as const } };
        const reason = next.goodbye ? ('peer-closed' as const) : ('silence' as const);
        const said = { ...changes, ...(state === 'closed' ? { reason } : {}) };
        return room.report(member.session, state, said, node.carrier);
      }
      case 'relink': {
        const node = this.#node(next.node);
        if (next.restarted) node.restart();
        return this.#greet(node);
      }
      case 'lose': {
        const node = this.#node(next.node);
        const { carrier } = node;
        node.restart();
        return room.feed({ type: 'node-lost', ...carrier });
      }
      case 'relay': {
        const pull = this.#pulls[next.pick % Math.max(1, this.#pulls.length)];
        if (pull !== undefined) this.#open(pull, next.ends);
        return null;
      }
      case 'relayed': {
        const all = this.nodes.flatMap((node) => [...node.remotes].map(([source, relay]) => ({ node, source, relay })));
        const one = all[next.pick % Math.max(1, all.length)];
        if (one === undefined) return null;
        const { node, source, relay } = one;
        relay.connected = next.said === 'connected';
        const [said] = node.relayReports(() => true).filter(({ session }) => session === relay.session);
        if (said === undefined) return null;
        const state = next.said as 'connected' | 'silent' | 'closed';
        if (state === 'closed') node.remotes.set(source, { ...relay, session: mintSessionId() });
        return room.feed({ type: 'reported', ingress: [], lives: [], relays: [{ ...said, state }], ...node.carrier });
      }
      case 'watch': {
        const node = this.#node(next.node);
        const stepped = room.feed({ type: 'watched', ...node.carrier });
        node.watched = stepped.refusal === null && next.stays;
        return stepped;
      }
      case 'mute': {
        const member = this.#pick(next.pick, (one) => this.#nodeOf(one)?.members.has(one.session) === true);
        if (member === null) return null;
        const tracks = member.tracks.map((track) => ({
          ...track,
          ...(track.info === undefined ? {} : { info: { ...track.info, muted: !track.info.muted } }),
        }));
        const listener = this.#nodeOf(member)?.members.get(member.session) ?? null;
        const changes = listener === null ? {} : { listener: { session: listener, state: 'connected' as const } };
        return room.report(member.session, 'connected', { tracks, ...changes }, this.#nodeOf(member)?.carrier);
      }
      case 'wait':
        return room.wait(next.ms);
    }
  }

  /** A session is answered, connects, and listens if it shall. */
  #enter(session: SessionId, node: ModelNode, tracks: TrackReport[], listens: boolean): void {
    const { room } = this;
    this.#obey(room.feed({ type: 'targeted', session, ...node.carrier }));
    node.members.set(session, null);
    this.#obey(room.feed({ type: 'opened', lobby: LOBBY, session, tracks, ...node.carrier }));
    this.#obey(room.report(session, 'connected', {}, node.carrier));
    if (!listens) return;
    const listener = mintSessionId();
    this.#obey(room.feed({ type: 'listen', member: session, listener }));
    node.members.set(session, listener);
    this.#obey(room.feed({ type: 'listening', listener }));
  }

  /** The node says all that it carries, and is told all that it shall carry. */
  #greet(node: ModelNode): StreamStep {
    const { room } = this;
    const ingress = [...node.members].map(([session, listener]) =>
      room.reportOf(session, 'connected', {
        ...(listener === null ? {} : { listener: { session: listener, state: 'connected' as const } }),
      }),
    );
    const relays = node.relayReports((source) => this.#serves(node, source));
    return room.feed({ type: 'reconcile', ingress, lives: [], relays, ...node.carrier });
  }

  #serves(node: ModelNode, source: SessionId): boolean {
    return this.nodes.some((other) => other.remotes.get(source)?.upstream === node.node);
  }

  /** Nothing goes wrong any more: all that is wanted is there in the end, and nothing else. */
  converge(): void {
    this.run({ do: 'recover' });
    for (const node of this.nodes) this.#obey(this.#greet(node));
    for (let turn = 0; turn < 60; turn += 1) {
      for (const pull of [...this.#pulls]) this.#open(pull, 'well');
      for (const node of this.nodes) {
        for (const relay of node.remotes.values()) relay.connected = true;
        const relays = node.relayReports((source) => this.#serves(node, source));
        this.#obey(this.room.feed({ type: 'reported', ingress: [], lives: [], relays, ...node.carrier }));
      }
      this.#obey(this.room.wait(1_000));
    }
    for (let pick = 0; pick < (this.room.state?.members.length ?? 0); pick += 1) this.run({ do: 'mute', pick });
    this.#check();
    this.#checkRelays();
    const moving = this.room.state?.members.filter(({ replaces }) => replaces !== null) ?? [];
    expect(moving, 'nobody has two sessions for long').toEqual([]);
    if (this.room.state !== null) expect(streamRecordSchema.parse(this.room.state)).toEqual(this.room.state);
  }

  #checkRelays(): void {
    const { state } = this.room;
    if (state === null) return;
    for (const source of state.members.filter(flows)) {
      const wanting = placesWanting(state, source);
      for (const node of this.nodes) {
        const isWanted = wanting.some(({ boot }) => boot === node.boot);
        const relay = node.remotes.get(source.session);
        if (isWanted) expect(relay?.connected, 'whoever wants the tracks has them').toBe(true);
        if (relay === undefined) continue;
        expect(node.members.has(source.session)).toBe(false);
        expect(isWanted || this.#serves(node, source.session), 'no relay without need').toBe(true);
        expect(this.#hops(node, source.session)).toBeLessThan(3);
        expect(relay.tracks).toEqual(source.tracks);
      }
    }
    // Whoever watches has all that is shown, whoever pushes it as well.
    for (const node of this.nodes) {
      if (!node.watched && node.live === null) continue;
      for (const source of state.members)
        if (flows(source) && isMain(source)) expect(node.has(source.session)).toBe(true);
    }
    expect(this.nodes.filter(({ live }) => live !== null)).toHaveLength(state.live?.node ? 1 : 0);
  }

  /** Relays of relays, up to the member's own node. */
  #hops(node: ModelNode, source: SessionId): number {
    let at: ModelNode | undefined = node;
    for (let hops = 0; hops < 4; hops += 1) {
      if (at?.members.has(source)) return hops;
      const upstream: string | undefined = at?.remotes.get(source)?.upstream;
      at = this.nodes.find((one) => one.node === upstream);
    }
    return Number.POSITIVE_INFINITY;
  }

  #check(): void {
    const { state, now } = this.room;
    if (state === null) {
      // Over is over: nobody is left, nothing is pushed.
      for (const node of this.nodes)
        expect([...node.members.keys(), ...node.remotes.keys(), node.live]).toEqual([null]);
      return;
    }
    expect(isHeld(state)).toBe(true);
    this.#checkPlaces(state);
    expect(nextDeadline(state) ?? now + 1).toBeGreaterThan(now);
    for (const { phase, deadline, target } of state.members) {
      expect(deadline === null).toBe(phase === 'live');
      if (phase !== 'opening') expect(target).not.toBeNull();
    }
    for (const node of this.nodes) {
      const here = state.members.filter(({ target }) => target?.boot === node.boot);
      const known = new Map(here.map(({ session, listener }) => [session, listener?.session ?? null]));
      for (const [session, listener] of node.members) {
        expect(known.has(session), 'no node carries what the lobby does not know').toBe(true);
        if (listener !== null) expect(known.get(session)).toBe(listener);
      }
      if (node.live !== null) expect(node.live).toBe(state.live?.live);
    }
  }

  /** One session for each user and kind, and one that is to take its place at most. */
  #checkPlaces({ members }: StreamState): void {
    for (const moving of [false, true]) {
      const own = members.filter(({ replaces }) => (replaces !== null) === moving);
      expect(new Set(own.map(({ user, fixed }) => `${user} ${fixed}`)).size).toBe(own.length);
    }
    for (const member of members) {
      if (member.replaces === null) continue;
      const replaced = this.room.member(member.replaces.session);
      expect(replaced, 'who replaces nobody has a place of its own').toBeDefined();
      expect([replaced?.user, replaced?.fixed, replaced?.replaces]).toEqual([member.user, member.fixed, null]);
      expect(replaced && lineageOf(replaced)).toEqual(lineageOf(member));
    }
  }

  #node(index: number): ModelNode {
    return this.nodes[index] ?? this.nodes[0];
  }

  #nodeOf(member: Member): ModelNode | null {
    return this.nodes.find((node) => node.boot === member.target?.boot) ?? null;
  }

  #pick(index: number, fits: (member: Member) => boolean): Member | null {
    const fitting = (this.room.state?.members ?? []).filter(fits);
    return fitting[index % Math.max(1, fitting.length)] ?? null;
  }
}
