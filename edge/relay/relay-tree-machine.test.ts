import { describe, expect, test } from 'vitest';
import { type BootId, mintBootId, mintSessionId, type NodeId } from '../../shared/ids.ts';
import type { RelayReport } from '../../shared/protocol/control.ts';
import { fc } from '../../shared/test-support/properties.ts';
import type { Carrier } from '../carrier.ts';
import {
  carryingNodes,
  childrenOf,
  depthOf,
  hangs,
  hasUpstream,
  IDLE_GRACE_MS,
  MAX_DEPTH,
  MAX_FAN_OUT,
  NO_TREE,
  nextTreeDeadline,
  type Relay,
  type RelayTree,
  relayOn,
  treeSchema,
} from './relay-tree.ts';
import type { TreeContext, TreeEffect, TreeEvent } from './relay-tree-events.ts';
import { CONNECT_DEADLINE_MS, stepTree } from './relay-tree-machine.ts';

const T0 = 1_700_000_000_000;
const LOBBY = 'room:r' as RelayReport['lobby'];

/** The tree, and nodes that do what they are told. */
class Fleet {
  tree: RelayTree = NO_TREE;
  now = T0;
  effects: TreeEffect[] = [];
  readonly draining = new Set<NodeId>();
  readonly tooOld = new Set<NodeId>();
  readonly expected = new Set<NodeId>();
  /** Where nodes are, on a line. */
  readonly places = new Map<NodeId, number>();
  readonly #boots = new Map<string, BootId>();
  readonly context: TreeContext = {
    distance: (a, b) => Math.abs((this.places.get(a) ?? 0) - (this.places.get(b) ?? 0)),
    canRelay: (node) => !this.tooOld.has(node),
    draining: (node) => this.draining.has(node),
    expected: ({ node }) => this.expected.has(node),
    mint: mintSessionId,
  };

  at(name: string): Carrier {
    const boot = this.#boots.get(name) ?? mintBootId();
    this.#boots.set(name, boot);
    return { node: name as NodeId, boot };
  }

  reboot(name: string): Carrier {
    this.#boots.delete(name);
    return this.at(name);
  }

  feed(event: TreeEvent): TreeEffect[] {
    const before = this.tree;
    const { tree, effects } = stepTree(before, event, this.now, this.context);
    this.tree = tree;
    this.effects.push(...effects);
    return effects;
  }

  origin(name: string | null, resumed = true): void {
    this.feed({ type: 'origin', origin: name === null ? null : this.at(name), resumed });
  }

  relay(name: string): Relay {
    const relay = relayOn(this.tree, this.at(name));
    if (relay === null) throw new Error(`no relay on ${name}`);
    return relay;
  }

  has(name: string): boolean {
    return relayOn(this.tree, this.at(name)) !== null;
  }

  /** All that is being opened succeeds, until nothing is being opened any more. */
  connectAll(): void {
    for (let round = 0; round < 200; round += 1) {
      const opening = this.tree.relays.find(({ phase }) => phase !== 'waiting' && phase !== 'connected');
      if (opening === undefined) return;
      this.connect(opening.node);
    }
    throw new Error('it does not come to rest');
  }

  connect(name: string): void {
    const at = this.at(name);
    const { generation } = this.relay(name).hop;
    this.feed({ type: 'offered', generation, ...at });
    this.feed({ type: 'pulled', generation, resumed: true, ...at });
    this.report(name, 'connected');
  }

  report(name: string, state: RelayReport['state'], changes: Partial<RelayReport> = {}): void {
    const { session, generation } = this.relay(name).hop;
    const report: RelayReport = { lobby: LOBBY, session, generation, state, idle: false, ...changes };
    this.feed({ type: 'reported', relays: [report], ...this.at(name) });
  }

  grow(...names: string[]): void {
    for (const name of names) {
      this.feed({ type: 'grow', ...this.at(name) });
      this.connectAll();
    }
  }

  upstream(name: string): string {
    return this.relay(name).hop.upstream;
  }

  pulls(): string[] {
    const found = this.effects
      .filter((effect) => effect.type === 'pull')
      .map(({ node, hop }) => `${hop.upstream}>${node}`);
    this.effects = [];
    return found;
  }
}

function grown(...names: string[]): Fleet {
  const fleet = new Fleet();
  fleet.origin('a');
  fleet.grow(...names);
  return fleet;
}

/** a → b → c, by a fan-out that is used up: a has as many as it may, and c is near b. */
function chain(): Fleet {
  const fleet = grown();
  fleet.places.set('b' as NodeId, 10_000);
  fleet.places.set('c' as NodeId, 11_000);
  fleet.places.set('d' as NodeId, 12_000);
  fleet.grow('b', 'c', 'd');
  return fleet;
}

describe('growing', () => {
  test('a relay is offered, pulled, connected; viewers may come when it is pulled', () => {
    const fleet = grown();
    fleet.feed({ type: 'grow', ...fleet.at('b') });
    expect(fleet.relay('b')).toMatchObject({ phase: 'offering', hop: { upstream: 'a' } });
    const { generation } = fleet.relay('b').hop;
    fleet.feed({ type: 'offered', generation, ...fleet.at('b') });
    expect(carryingNodes(fleet.tree).map(({ node }) => node)).toEqual(['a']);
    fleet.feed({ type: 'pulled', generation, resumed: false, ...fleet.at('b') });
    expect(carryingNodes(fleet.tree).map(({ node }) => node)).toEqual(['a', 'b']);
    fleet.report('b', 'connected');
    expect(fleet.relay('b')).toMatchObject({ phase: 'connected', deadline: null });
    expect(fleet.pulls()).toEqual(['a>b']);
  });

  test('asked twice, or for the publisher’s own node: one relay, none', () => {
    const fleet = grown('b', 'b', 'a');
    expect(fleet.pulls()).toEqual(['a>b']);
  });

  test('the nearest node that has the tracks serves', () => {
    const fleet = chain();
    expect(['b', 'c', 'd'].map((name) => fleet.upstream(name))).toEqual(['a', 'b', 'c']);
    expect(depthOf(fleet.tree, 'd' as NodeId)).toBe(MAX_DEPTH);
  });

  test('nothing hangs deeper than it may', () => {
    const fleet = chain();
    fleet.places.set('e' as NodeId, 12_001);
    fleet.grow('e');
    expect(fleet.upstream('e')).toBe('c');
  });

  test('a node with all its fan-out used serves nobody more', () => {
    const names = Array.from({ length: MAX_FAN_OUT + 2 }, (_, index) => `n${index}`);
    const fleet = grown(...names);
    expect(childrenOf(fleet.tree, 'a' as NodeId)).toHaveLength(MAX_FAN_OUT);
    expect(depthOf(fleet.tree, names.at(-1) as NodeId)).toBe(2);
  });

  test.each(['upstream', 'downstream'] as const)('one that nobody uses is given up after failures %s', (at) => {
    const fleet = grown();
    fleet.feed({ type: 'grow', ...fleet.at('b') });
    for (let time = 0; time < 5 && fleet.has('b'); time += 1) {
      const { generation } = fleet.relay('b').hop;
      fleet.feed({ type: 'failed', at, final: false, generation, ...fleet.at('b') });
      fleet.now += 10_000;
    }
    expect(fleet.has('b')).toBe(false);
  });

  test('words about a hop that was given up are dropped', () => {
    const fleet = grown('b');
    const old = fleet.relay('b').hop;
    fleet.report('b', 'closed');
    const before = fleet.tree;
    const { session, generation } = old;
    fleet.feed({ type: 'offered', generation, ...fleet.at('b') });
    fleet.feed({ type: 'failed', at: 'upstream', final: false, generation, ...fleet.at('b') });
    fleet.report('b', 'connected', { session, generation });
    expect(fleet.tree).toBe(before);
  });

  test('woken in the middle of it: what the upstream may have opened is closed, and it begins anew', () => {
    const fleet = grown();
    fleet.feed({ type: 'grow', ...fleet.at('b') });
    const { session } = fleet.relay('b').hop;
    expect(treeSchema.parse(JSON.parse(JSON.stringify(fleet.tree)))).toEqual(fleet.tree);
    const effects = fleet.feed({ type: 'recovered' });
    expect(effects).toMatchObject([
      { type: 'hang-up', node: 'a', session },
      { type: 'pull', node: 'b' },
    ]);
  });

  test('connecting for too long: another try, and the nodes may go on waiting for each other no longer', () => {
    const fleet = grown('b');
    fleet.feed({ type: 'grow', ...fleet.at('c') });
    const { generation } = fleet.relay('c').hop;
    fleet.feed({ type: 'pulled', generation, resumed: false, ...fleet.at('c') });
    const first = fleet.upstream('c');
    fleet.now = nextTreeDeadline(fleet.tree) ?? 0;
    expect(fleet.now).toBe(T0 + CONNECT_DEADLINE_MS);
    fleet.feed({ type: 'look' });
    expect(fleet.relay('c')).toMatchObject({ phase: 'offering', inUse: true });
    expect(fleet.upstream('c')).not.toBe(first);
  });
});

describe('healing', () => {
  test.each(['closed', 'silent'] as const)(
    '%s: another relay at once, from elsewhere when there is an elsewhere',
    (state) => {
      const fleet = chain();
      fleet.pulls();
      fleet.report('c', state);
      expect(fleet.pulls()).toEqual(['a>c']);
      expect(fleet.upstream('d'), 'who hangs below stays').toBe('c');
    },
  );

  test('an inner node is lost: its children hang elsewhere at once', () => {
    const fleet = chain();
    fleet.pulls();
    fleet.feed({ type: 'node-lost', ...fleet.at('b') });
    expect(fleet.has('b')).toBe(false);
    expect(fleet.pulls()).toEqual(['a>c']);
    fleet.connectAll();
    expect(depthOf(fleet.tree, 'd' as NodeId)).toBe(2);
  });

  test('a node that comes back with another boot id has lost its relay', () => {
    const fleet = chain();
    fleet.feed({ type: 'reconcile', relays: [], ...fleet.reboot('b') });
    expect(fleet.tree.relays.map(({ node }) => node)).toEqual(['c', 'd']);
    expect(fleet.upstream('c')).toBe('a');
  });

  test('a node that links again without its relay pulls anew; with it, nothing happens', () => {
    const fleet = grown('b');
    const { session, generation } = fleet.relay('b').hop;
    const there: RelayReport = { lobby: LOBBY, session, generation, state: 'connected', idle: false };
    expect(fleet.feed({ type: 'reconcile', relays: [there], ...fleet.at('b') })).toEqual([]);
    expect(fleet.feed({ type: 'reconcile', relays: [], ...fleet.at('b') })).toMatchObject([
      { type: 'pull', node: 'b' },
    ]);
  });

  test('a relay with viewers is tried again with growing pauses, and given up in the end', () => {
    const fleet = grown('b');
    fleet.report('b', 'closed');
    const pauses: number[] = [];
    while (fleet.has('b')) {
      const { generation } = fleet.relay('b').hop;
      fleet.feed({ type: 'failed', at: 'upstream', final: false, generation, ...fleet.at('b') });
      const deadline = nextTreeDeadline(fleet.tree);
      if (deadline === null) break;
      pauses.push(deadline - fleet.now);
      fleet.now = deadline;
      fleet.feed({ type: 'look' });
    }
    expect(pauses.slice(0, 4)).toEqual([500, 1000, 2000, 4000]);
    expect(fleet.effects.at(-1)).toMatchObject({ type: 'tell', node: 'b' });
  });
});

describe('a publisher that moves', () => {
  test('to a node outside of the tree: its former node becomes a relay of it, and the tree below stays', () => {
    const fleet = grown('b');
    fleet.pulls();
    fleet.origin('z');
    expect(fleet.effects).toMatchObject([
      { type: 'tell', node: 'a' },
      { type: 'pull', node: 'a' },
    ]);
    expect(fleet.relay('a')).toMatchObject({ inUse: true, hop: { upstream: 'z' } });
    expect(fleet.upstream('b')).toBe('a');
  });

  test('to a node that had a relay: the others hang on as they were', () => {
    const fleet = chain();
    fleet.origin('b');
    expect(fleet.has('b')).toBe(false);
    expect(fleet.upstream('c')).toBe('b');
    expect(fleet.upstream('a')).toBe('b');
  });

  test('its node dies: the relays wait, and pull from the next publisher', () => {
    const fleet = grown('b', 'c');
    fleet.feed({ type: 'node-lost', ...fleet.at('a') });
    expect(fleet.tree.origin).toBeNull();
    expect(fleet.tree.relays.map(({ phase }) => phase)).toEqual(['waiting', 'waiting']);
    expect(nextTreeDeadline(fleet.tree), 'nothing to do until then').toBeNull();
    fleet.pulls();
    fleet.origin('z');
    fleet.connectAll();
    expect(fleet.pulls().sort()).toEqual(['z>b', 'z>c']);
  });

  test('with other codecs on the same node: what hung on it is closed there and opened anew', () => {
    const fleet = grown('b');
    fleet.pulls();
    fleet.origin('a', false);
    expect(fleet.pulls()).toEqual(['a>b']);
  });

  test('to or from a node that is too old to relay: no relay is left behind', () => {
    const fleet = grown();
    fleet.tooOld.add('a' as NodeId);
    fleet.origin('z');
    expect(fleet.tree.relays).toEqual([]);
  });
});

describe('draining', () => {
  test('what hangs on a draining node is hung elsewhere, while the old one still serves', () => {
    const fleet = chain();
    fleet.draining.add('b' as NodeId);
    fleet.pulls();
    const { held } = fleet.relay('c');
    fleet.feed({ type: 'look' });
    expect(fleet.pulls()).toEqual(['a>c']);
    expect(fleet.relay('c').held).toEqual(held);
  });

  test('where there is nothing better, it stays', () => {
    const fleet = grown('b');
    fleet.draining.add('a' as NodeId);
    expect(fleet.feed({ type: 'look' })).toEqual([]);
  });
});

describe('shrinking', () => {
  test('idle for the grace: gone, and its node is told', () => {
    const fleet = grown('b');
    fleet.report('b', 'connected', { idle: true });
    fleet.now += IDLE_GRACE_MS;
    expect(fleet.feed({ type: 'look' })).toMatchObject([{ type: 'tell', node: 'b' }]);
    expect(fleet.tree.relays).toEqual([]);
  });

  test.each([
    ['somebody came', (fleet: Fleet) => fleet.report('b', 'connected', { idle: false })],
    ['somebody is on the way', (fleet: Fleet) => fleet.expected.add('b' as NodeId)],
    [
      'a relay hangs on it',
      (fleet: Fleet) => {
        fleet.places.set('b' as NodeId, 10_000);
        fleet.places.set('c' as NodeId, 10_000);
        fleet.grow('c');
      },
    ],
  ] as const)('not when %s', (_, happen) => {
    const fleet = grown('b');
    fleet.report('b', 'connected', { idle: true });
    happen(fleet);
    fleet.now += IDLE_GRACE_MS;
    fleet.feed({ type: 'look' });
    expect(fleet.has('b')).toBe(true);
  });
});

describe('any interleaving', () => {
  const NAMES = Array.from({ length: 9 }, (_, index) => `n${index}`);
  const name = fc.constantFrom(...NAMES);
  const move = fc.oneof(
    { weight: 4, arbitrary: fc.record({ type: fc.constant('grow' as const), name }) },
    { weight: 4, arbitrary: fc.record({ type: fc.constant('advance' as const), name }) },
    fc.record({ type: fc.constantFrom('fail-up', 'fail-down', 'silent', 'closed', 'idle', 'stale'), name }),
    fc.record({ type: fc.constantFrom('lost', 'reboot', 'relink', 'drain', 'undrain', 'far'), name }),
    fc.record({ type: fc.constantFrom('publish', 'publish-anew', 'unpublish', 'recovered', 'time'), name }),
  );

  test('no loops, no depth or fan-out beyond the bounds, everything comes to hang on what carries the tracks', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
        const fleet = new Fleet();
        fleet.origin('n0');
        for (const next of moves) {
          play(fleet, next.type, next.name);
          holds(fleet.tree);
        }
        converges(fleet);
      }),
      { numRuns: 400 },
    );
  });

  test('a publisher that moves again and again takes nobody too deep', () => {
    const fleet = new Fleet();
    fleet.origin('n0');
    for (const [type, at] of [
      ['grow', 'n3'],
      ['publish', 'n6'],
      ['publish', 'n7'],
      ['publish', 'n8'],
    ] as const) {
      play(fleet, type, at);
      holds(fleet.tree);
    }
    converges(fleet);
  });

  function play(fleet: Fleet, type: string, at: string): void {
    const relay = relayOn(fleet.tree, fleet.at(at));
    const generation = relay?.hop.generation ?? 0;
    const node = fleet.at(at);
    switch (type) {
      case 'grow':
        return void fleet.feed({ type: 'grow', ...node });
      case 'advance':
        if (relay?.phase === 'offering') fleet.feed({ type: 'offered', generation, ...node });
        else if (relay?.phase === 'pulling') fleet.feed({ type: 'pulled', generation, resumed: at < 'n5', ...node });
        else if (relay !== null) fleet.report(at, 'connected');
        return;
      case 'fail-up':
      case 'fail-down': {
        const where = type === 'fail-up' ? 'upstream' : 'downstream';
        return void fleet.feed({ type: 'failed', at: where, final: false, generation, ...node });
      }
      case 'silent':
      case 'closed':
        if (relay !== null) fleet.report(at, type);
        return;
      case 'idle':
        if (relay !== null) fleet.report(at, 'connected', { idle: true });
        return;
      case 'stale':
        if (relay !== null) fleet.report(at, 'closed', { generation: generation - 1 });
        return;
      case 'lost':
        fleet.feed({ type: 'node-lost', ...node });
        fleet.reboot(at);
        return;
      case 'reboot':
        return void fleet.feed({ type: 'reconcile', relays: [], ...fleet.reboot(at) });
      case 'relink':
        return void fleet.feed({ type: 'reconcile', relays: [], ...node });
      case 'drain':
        fleet.draining.add(node.node);
        return void fleet.feed({ type: 'look' });
      case 'undrain':
        fleet.draining.delete(node.node);
        return;
      case 'far':
        fleet.places.set(node.node, (fleet.places.get(node.node) ?? 0) + 3_000);
        return;
      case 'publish':
      case 'publish-anew':
        return void fleet.origin(at, type === 'publish');
      case 'unpublish':
        return void fleet.origin(null);
      case 'recovered':
        return void fleet.feed({ type: 'recovered' });
      default:
        fleet.now += 3_000;
        return void fleet.feed({ type: 'look' });
    }
  }

  function holds(tree: RelayTree): void {
    const nodes = tree.relays.map((relay) => relay.node);
    expect(new Set(nodes).size, 'one relay per node').toBe(nodes.length);
    if (tree.origin !== null) expect(nodes, 'none on the publisher’s').not.toContain(tree.origin.node);
    for (const relay of tree.relays.filter(hangs)) {
      expect(hasUpstream(tree, relay), 'hangs on something that is there').toBe(true);
      expect(childrenOf(tree, relay.hop.upstream).length).toBeLessThanOrEqual(MAX_FAN_OUT);
      const depth = depthOf(tree, relay.node);
      if (Number.isFinite(depth)) expect(depth).toBeLessThanOrEqual(MAX_DEPTH);
      // Up from anywhere there is an end: the publisher, or a relay that waits.
      let at: Relay | undefined = relay;
      for (let hops = 0; at !== undefined && hangs(at); hops += 1) {
        expect(hops, 'a loop').toBeLessThanOrEqual(tree.relays.length);
        const above: NodeId = at.hop.upstream;
        at = tree.relays.find(({ node }) => node === above);
      }
    }
  }

  /** When nothing fails any more, every relay that is left comes to be connected, by way of the publisher. */
  function converges(fleet: Fleet): void {
    fleet.draining.clear();
    if (fleet.tree.origin === null) fleet.origin('n8');
    for (let round = 0; round < 12; round += 1) {
      fleet.connectAll();
      fleet.now = Math.max(fleet.now + 1, nextTreeDeadline(fleet.tree) ?? 0);
      fleet.feed({ type: 'look' });
      holds(fleet.tree);
    }
    fleet.connectAll();
    for (const relay of fleet.tree.relays) {
      expect(relay.phase).toBe('connected');
      expect(depthOf(fleet.tree, relay.node)).toBeLessThanOrEqual(MAX_DEPTH);
    }
  }
});
