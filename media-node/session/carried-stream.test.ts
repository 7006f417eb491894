import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import { type LobbyId, mintBootId, mintSessionId, nodeIdSchema } from '../../shared/ids.ts';
import type { DesiredStream, NodeRequest, NodeResult, Report } from '../../shared/protocol/control.ts';
import { createForwarder } from '../forward/forwarder.ts';
import { AddressPolicy } from '../push/address-policy.ts';
import { findFfmpeg } from '../push/ffmpeg-program.ts';
import { LoadMeter } from '../stats/load-meter.ts';
import { seededRandom } from '../transport/testing/seeded.ts';
import { MediaNode } from './media-node.ts';
import { FakeEndpoint } from './testing/fake-endpoint.ts';
import { answerTo, FakeMember, type FakeTrack, joinOffer } from './testing/fake-member.ts';

const LOBBY = 'stream:s1/5f0c7d1e-6f55-4b07-9a0e-0d8e2b6a1c11' as LobbyId;

const ROUNDS = 2;

class World {
  readonly endpoint = new FakeEndpoint();
  readonly reports: Report[] = [];
  readonly node: MediaNode;
  #members = 0;

  constructor() {
    const now = (): number => performance.now();
    this.node = new MediaNode({
      context: {
        endpoint: this.endpoint,
        forwarder: createForwarder({ keyframeCache: true, keyframeCacheBytes: 1_000_000 }),
        now,
        log: () => {},
      },
      pushing: { policy: new AddressPolicy([]), ffmpeg: () => findFfmpeg(null, '') },
      node: nodeIdSchema.parse('n'),
      boot: mintBootId(),
      version: '0',
      region: 'test',
      capacity: 100,
      load: new LoadMeter(() => ({ nowMs: now(), cpuUs: 0, packets: 0, bytesOut: 0 })),
      report: (report) => {
        this.reports.push(report);
        return true;
      },
    });
  }

  member(): FakeMember {
    return new FakeMember(this.node, this.endpoint, LOBBY, ++this.#members);
  }

  /** A member that sends and has its channel. */
  joined(label: string, options: { tracks?: FakeTrack[]; channel?: boolean } = {}): FakeMember {
    const member = this.member();
    member.join(
      options.tracks ?? [
        { kind: 'audio', info: `1 2 ${label}-a` },
        { kind: 'video', info: `1 2 ${label}-v` },
      ],
    );
    member.connect();
    if (options.channel !== false) member.openChannel();
    return member;
  }

  /** A member that also listens. */
  async listening(label: string): Promise<FakeMember> {
    const member = this.joined(label);
    member.answer(await member.listen());
    return member;
  }

  apply(members: readonly FakeMember[], changes: Partial<DesiredStream> = {}): void {
    const desired: DesiredStream = {
      lobby: LOBBY,
      revision: 1,
      members: members.map(({ session, generation, listener }) => ({ session, generation, listener })),
      live: null,
      ...changes,
    };
    this.node.request({ method: 'apply-stream', desired });
  }
}

/** Answers everything until nobody is offered anything any more. */
function settle(...members: FakeMember[]): void {
  while (members.map((member) => member.answerPending()).includes(true));
}

const labels = (member: FakeMember): string[] => member.held.map(({ label }) => label).toSorted();

async function problemOf(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof ProblemError) return `${error.status} ${error.code}`;
    throw error;
  }
  return 'none';
}

let world: World;
beforeEach(() => {
  vi.useFakeTimers();
  world = new World();
});
afterEach(async () => {
  await world.node.close();
  vi.useRealTimers();
});

describe('members', () => {
  it('get the tracks of all others, numbered from 1, with words about them and ids that are not theirs', async () => {
    const [one, two] = [await world.listening('one'), await world.listening('two')];
    settle(one, two);
    expect([labels(one), labels(two)]).toEqual([
      ['two-a', 'two-v'],
      ['one-a', 'one-v'],
    ]);
    expect([one.numbers, two.numbers]).toEqual([[1], [1]]);

    const three = world.joined('three', { tracks: [{ kind: 'video', info: '1 2 Cam' }] });
    settle(one, two, three);
    expect([labels(one), labels(two)]).toEqual([
      ['Cam', 'two-a', 'two-v'],
      ['Cam', 'one-a', 'one-v'],
    ]);
    expect([one.numbers, two.numbers, three.numbers]).toEqual([[1, 2], [1, 2], []]);
    expect(one.held.every(({ msid }) => !/stream|track/.test(msid))).toBe(true);
    // Sound and picture of one stay together.
    const streams = one.held.filter(({ label }) => label.startsWith('two')).map(({ msid }) => msid.split(' ')[0]);
    expect(new Set(streams).size).toBe(1);

    three.answer(await three.listen());
    settle(one, two, three);
    expect(labels(three)).toEqual(['one-a', 'one-v', 'two-a', 'two-v']);
  });

  it('are offered to the others when they are connected, not before', async () => {
    const one = await world.listening('one');
    const two = world.member();
    two.join([{ kind: 'audio', info: '1 2 two' }]);
    settle(one);
    expect(one.numbers).toEqual([]);
    two.connect();
    settle(one);
    expect(labels(one)).toEqual(['two']);
  });

  it('whose listener restarted ICE are offered the credentials of the new session', async () => {
    const one = await world.listening('one');
    const fragment = 'a=ice-ufrag:efgh\r\na=ice-pwd:efghefghefghefghefghef\r\n';
    const patch = { fragment, ifMatch: '*', strict: false };
    if (one.listener === null) throw new Error('it listens');
    const restarted = world.node.request({ method: 'patch', session: one.listener, ...patch });

    world.joined('two');
    one.read();

    expect(restarted).toMatchObject({ kind: 'restarted' });
    const { fragment: answered } = restarted as Extract<NodeResult<'patch'>, { kind: 'restarted' }>;
    const [ufrag] = /a=ice-ufrag:\S+/.exec(answered) ?? [];
    expect(ufrag).toBeDefined();
    expect(one.pending?.data.sdp.sdp.match(/a=ice-ufrag:\S+/g)?.every((line) => line === ufrag)).toBe(true);
  });

  it('that leave while an offer is in flight are taken out after its answer; m-lines stay and are used again', async () => {
    const [one, two] = [await world.listening('one'), world.joined('two')];
    one.read();
    const before = world.joined('three');
    world.apply([one, before]);
    expect(one.numbers).toEqual([1]);
    one.answerPending();
    expect(labels(one)).toEqual(['two-a', 'two-v']);
    settle(one);
    expect(labels(one)).toEqual(['three-a', 'three-v']);
    expect(one.numbers).toEqual([1, 2]);
    const { mids } = one;
    expect(two.ingress.closed).toBe(true);

    world.joined('four');
    settle(one);
    expect(labels(one)).toEqual(['four-a', 'four-v', 'three-a', 'three-v']);
    expect(one.mids).toEqual(mids);
  });

  it('twenty at once, then leaving in any order, again and again: each always holds exactly the others', {
    timeout: 60_000,
  }, async () => {
    const random = seededRandom(20);
    for (let round = 0; round < ROUNDS; round++) {
      const members = Array.from({ length: 20 }, (_, i) => world.joined(`m${i}`));
      await Promise.all(members.map(async (member) => member.answer(await member.listen())));
      settle(...members);
      const all = members.flatMap((_, i) => [`m${i}-a`, `m${i}-v`]);
      for (const [i, member] of members.entries()) {
        expect(labels(member)).toEqual(all.filter((label) => !label.startsWith(`m${i}-`)).toSorted());
        expect(member.numbers).toEqual(member.numbers.map((_, n) => n + 1));
      }
      const left = members.map((member, i) => ({ member, i }));
      while (left.length > 0) {
        left.splice(Math.floor(random() * left.length), 1)[0]?.member.ingress.options.events.onEnded('peer-closed');
        settle(...left.map(({ member }) => member));
        for (const { member, i } of left) {
          const others = left.filter((other) => other.i !== i).flatMap((other) => [`m${other.i}-a`, `m${other.i}-v`]);
          expect(labels(member)).toEqual(others.toSorted());
        }
      }
      expect([...world.node.streams()]).toEqual([]);
    }
    // What ended by itself has closed its transport in a real endpoint; the listeners' were closed by us.
    expect(world.node.sessionCount).toBe(0);
  });
});

describe('mute', () => {
  it('reaches the others under their own mid, is in later offers, and is reported', async () => {
    const [one, two] = [await world.listening('one'), await world.listening('two')];
    settle(one, two);
    two.mute('1', true);
    two.mute('1', true);
    two.mute('7', true);
    one.read();
    two.read();
    const mid = one.held.find(({ label }) => label === 'two-v')?.mid;
    expect([one.mutes, two.mutes]).toEqual([[{ mid, mute: true }], []]);
    const late = await world.listening('late');
    settle(one, two, late);
    expect(late.held.find(({ label }) => label === 'two-v')?.muted).toBe(true);
    two.mute('1', false);
    late.read();
    expect(late.held.find(({ label }) => label === 'two-v')?.muted).toBe(false);

    vi.advanceTimersByTime(100);
    const report = two.report(world.reports.flatMap(({ ingress }) => ingress));
    expect(report?.tracks.map(({ info }) => info)).toEqual([
      { purpose: 'guest', muted: false, label: 'two-a' },
      { purpose: 'guest', muted: false, label: 'two-v' },
    ]);
  });
});

describe('a member who moves', () => {
  it('is the same to the others by either session: no offer, and never its own tracks', async () => {
    const [one, two] = [await world.listening('one'), await world.listening('two')];
    settle(one, two);
    const before = { held: one.held, numbers: [...one.numbers] };
    const next = world.member();
    next.join(
      [
        { kind: 'audio', info: '1 1 two-a' },
        { kind: 'video', info: '1 2 two-v' },
      ],
      { replaces: two },
    );
    next.connect();
    next.openChannel();
    next.answer(await next.listen());
    settle(one, two, next);
    expect([labels(one), labels(two), labels(next)]).toEqual([
      ['two-a', 'two-v'],
      ['one-a', 'one-v'],
      ['one-a', 'one-v'],
    ]);

    world.apply([one, next]);
    settle(one, next);
    // It was muted meanwhile: that is all that there is to say.
    expect(one.mutes).toEqual([{ mid: before.held.find(({ label }) => label === 'two-a')?.mid, mute: true }]);
    expect([one.held, one.numbers]).toEqual([before.held, before.numbers]);
    next.mute('0', false);
    one.read();
    expect(one.mutes.at(-1)?.mute).toBe(false);
    world.apply([one], { revision: 2 });
    settle(one);
    expect(labels(one)).toEqual([]);
  });

  it('has one name for each of its tracks, for all who get it', async () => {
    const one = await world.listening('one');
    const names = (offer: string): string[] =>
      [...offer.matchAll(/^a=vestibule-track:(\S+)\r$/gm)].map(([, name = '']) => name);
    const [two, three] = [world.joined('two'), world.joined('three')];
    const offers: string[][] = [];
    for (const member of [two, three]) {
      member.answer(await member.listen());
      member.read();
      offers.push(names(member.pending?.data.sdp.sdp ?? ''));
    }
    const [toTwo = [], toThree = []] = offers;
    expect([new Set(toTwo).size, new Set(toThree).size]).toEqual([4, 4]);
    expect(toTwo.filter((name) => toThree.includes(name))).toHaveLength(2);
    expect(toTwo.some((name) => one.session.includes(name))).toBe(false);
  });
});

describe('odd signalling', () => {
  it.each([
    'no json',
    '{}',
    '{"type":9}',
    '{"id":1,"type":2,"data":null}',
    '{"id":1,"type":1,"data":{"number":1,"sdp":{"type":"offer","sdp":"v=0"}}}',
    '{"id":1,"type":2,"data":{"number":1,"sdp":{"type":"answer","sdp":"v=0"}}}',
    `{"id":1,"type":2,"data":{"number":1,"sdp":"${'x'.repeat(300_000)}"}}`,
  ])('frame %# leaves everything as it is', async (frame) => {
    const [one] = [await world.listening('one'), world.joined('two')];
    one.read();
    one.say(frame);
    one.say(frame, false);
    settle(one);
    expect([labels(one), one.numbers]).toEqual([['two-a', 'two-v'], [1]]);
  });

  it('an offer that is not answered comes again, unchanged', async () => {
    const [one] = [await world.listening('one'), world.joined('two')];
    one.read();
    const first = one.pending;
    vi.advanceTimersByTime(11_000);
    one.read();
    expect([one.numbers, one.pending]).toEqual([[1, 1], first]);
    settle(one);
    expect(labels(one)).toEqual(['two-a', 'two-v']);
  });

  it('a channel that is opened anew takes the place of the old one', async () => {
    const [one] = [await world.listening('one'), world.joined('two')];
    const old = one.channel;
    one.read();
    one.openChannel();
    old?.lose();
    settle(one);
    expect([labels(one), one.numbers]).toEqual([
      ['two-a', 'two-v'],
      [1, 1],
    ]);
  });

  it('a member that floods is closed, and the others are told', async () => {
    const [one, two] = [await world.listening('one'), world.joined('two')];
    settle(one);
    for (let second = 0; second < 12; second++) {
      two.ingress.dropped += 10_000;
      vi.advanceTimersByTime(1_000);
    }
    settle(one);
    expect(labels(one)).toEqual([]);
    const report = two.report(world.reports.flatMap(({ ingress }) => ingress));
    expect(report).toMatchObject({ state: 'closed', reason: 'misconduct' });
    expect(two.ingress.closed).toBe(true);
  });
});

describe('listen', () => {
  it('waits for the signal channel, and gives up', async () => {
    const patient = world.joined('patient', { channel: false });
    const listened = patient.listen();
    await vi.advanceTimersByTimeAsync(9_000);
    patient.openChannel();
    patient.answer(await listened);

    const hopeless = world.joined('hopeless', { channel: false });
    const refused = problemOf(() => hopeless.listen());
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await refused).toBe('409 signal_closed');

    const leaving = world.joined('leaving', { channel: false });
    const gone = problemOf(() => leaving.listen());
    leaving.ingress.options.events.onEnded('peer-closed');
    expect(await gone).toBe('404 no_session');
  });

  it('is refused a second time, to a client without a channel, and to nobody', async () => {
    const one = await world.listening('one');
    expect(await problemOf(() => one.listen())).toBe('409 listener_exists');
    const opening = world.joined('opening', { channel: false });
    const first = opening.listen();
    expect(await problemOf(() => opening.listen())).toBe('409 listener_exists');
    opening.openChannel();
    await first;
    const fixed = world.member();
    fixed.join([{ kind: 'audio' }], { fixed: true, channel: false });
    expect(await problemOf(() => fixed.listen())).toBe('409 signal_closed');
    expect(await problemOf(() => world.member().listen())).toBe('404 no_session');
  });

  it('takes one answer; a bad one leaves the offer pending; nobody answers: it ends', async () => {
    const one = world.joined('one');
    const offer = await one.listen();
    expect(offer).toContain('m=application');
    expect(offer).not.toMatch(/m=(audio|video)/);
    const session = one.listener ?? mintSessionId();
    const answer = (sdp: string) => problemOf(() => world.node.request({ method: 'answer', session, answer: sdp }));
    expect(await answer('v=0')).toMatch(/^4/);
    expect(await answer(answerTo(offer))).toBe('none');
    expect(await answer(answerTo(offer))).toBe('422 no_offer_pending');

    const two = world.joined('two');
    await two.listen();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(two.egress.closed).toBe(true);
    expect(two.report(world.reports.flatMap(({ ingress }) => ingress))?.listener).toBeUndefined();
    two.answer(await two.listen());
    settle(two);
    expect(labels(two)).toEqual(['one-a', 'one-v']);
  });

  it('with an offer is answered at once, and goes on by offers of ours', async () => {
    const [one] = [world.joined('one'), world.joined('two')];
    const answer = await one.listen(joinOffer([{ kind: 'video' }]).replaceAll('a=sendonly', 'a=recvonly'));
    one.egress.connect();
    expect(answer.match(/i=1 2 two-v/g)).toHaveLength(1);
    settle(one);
    expect(labels(one)).toEqual(['two-a', 'two-v']);
    expect(one.numbers).toEqual([1]);
  });

  it('ends alone when asked, with the member, and when it is not wished for', async () => {
    const [one, two, three] = [await world.listening('1'), await world.listening('2'), await world.listening('3')];
    if (one.listener === null) throw new Error('it does not listen');
    world.node.request({ method: 'close', session: one.listener });
    expect([one.egress.closed, one.ingress.closed]).toEqual([true, false]);
    two.listener = null;
    world.apply([one, two]);
    expect([two.egress.closed, two.ingress.closed]).toEqual([true, false]);
    expect([three.egress.closed, three.ingress.closed]).toEqual([true, true]);
    one.answer(await one.listen());
    settle(one);
    // Numbers start anew with a new listener.
    expect([labels(one), one.numbers]).toEqual([
      ['2-a', '2-v'],
      [1, 1],
    ]);
  });
});

describe('the edge', () => {
  it('is told of members, listeners and loads, and of all of it at a new link', async () => {
    const [one] = [await world.listening('one'), world.joined('two')];
    vi.advanceTimersByTime(100);
    const report = one.report(world.reports.flatMap(({ ingress }) => ingress));
    expect(report).toMatchObject({ state: 'connected', listener: { session: one.listener, state: 'connected' } });
    expect(world.reports.at(-1)?.lobbies).toEqual([{ lobby: LOBBY, subscribers: 1 }]);
    const hello = world.node.hello();
    expect(hello.ingress).toHaveLength(2);
    expect(hello.ingress[0]).toMatchObject({ session: one.session, generation: 1, lobby: LOBBY });
    expect(world.node.sessionCount).toBe(3);
  });

  it('closes by welcome what it does not name, and keeps what it does', async () => {
    const [one, two] = [await world.listening('one'), world.joined('two')];
    const { session, generation, listener } = one;
    const stream = { lobby: LOBBY, revision: 5, members: [{ session, generation, listener }], live: null };
    world.node.welcome({ type: 'welcome', protocol: 1, desired: [], streams: [stream] });
    expect([one.ingress.closed, one.egress.closed, two.ingress.closed]).toEqual([false, false, true]);
    world.node.welcome({ type: 'welcome', protocol: 1, desired: [] });
    expect([one.ingress.closed, one.egress.closed]).toEqual([true, true]);
    expect(world.node.sessionCount).toBe(0);
  });

  it('with an older revision is not heard', () => {
    const one = world.member();
    one.join([{ kind: 'audio' }], { revision: 7 });
    world.apply([], { revision: 6 });
    expect(one.ingress.closed).toBe(false);
    world.apply([], { revision: 7 });
    expect(one.ingress.closed).toBe(true);
  });

  it('hears that there is no ffmpeg, and everything else is done all the same', async () => {
    const [one, two] = [world.joined('one'), world.joined('two')];
    const live = { live: 'l1', url: 'rtmp://example.com/live/key' };
    expect(await problemOf(() => world.apply([one], { live }))).toBe('501 no_ffmpeg');
    expect([one.ingress.closed, two.ingress.closed]).toEqual([false, true]);
    const { session, generation, listener } = one;
    const stream = { lobby: LOBBY, revision: 11, members: [{ session, generation, listener }], live };
    world.node.welcome({ type: 'welcome', protocol: 1, desired: [], streams: [stream] });
    vi.advanceTimersByTime(100);
    expect(world.reports.at(-1)?.lives).toMatchObject([{ lobby: LOBBY, live: 'l1', state: 'ended' }]);
    expect(one.ingress.closed).toBe(false);
  });
});

describe('the audience', () => {
  const play = (offer: string, session = mintSessionId()) => {
    const request: NodeRequest = { method: 'play', lobby: LOBBY, session, offer, maxSubscribers: 0 };
    return { session, sdp: (world.node.request(request) as NodeResult<'play'>).sdp };
  };
  const OFFER = joinOffer([{ kind: 'audio' }, { kind: 'video' }], { channel: false }).replaceAll(
    'sendonly',
    'recvonly',
  );

  it('gets the main tracks and nothing else, waits while there are none, and leaves with the lobby', async () => {
    const guest = world.joined('guest');
    expect(await problemOf(() => play(OFFER))).toBe('404 no_main_track');
    const main = [
      { kind: 'audio', info: '2 2 m' },
      { kind: 'video', info: '2 2 m' },
    ] as FakeTrack[];
    const owner = world.joined('owner', { tracks: main });
    const { sdp, session } = play(OFFER);
    expect(sdp.match(/a=sendonly/g)).toHaveLength(2);
    const viewer = world.endpoint.transportOf(sdp);
    viewer.connect();
    world.apply([guest]);
    expect([owner.ingress.closed, viewer.closed]).toEqual([true, false]);
    world.joined('owner', { tracks: main });
    expect(viewer.closed).toBe(false);
    expect(world.node.request({ method: 'probe', session })).toEqual({});
    world.apply([], { revision: 20 });
    expect([viewer.closed, guest.ingress.closed]).toEqual([true, true]);
    expect(await problemOf(() => play(OFFER))).toBe('404 lobby_not_running');
  });

  it('comes back when the main tracks become others', () => {
    const owner = world.joined('owner', { tracks: [{ kind: 'audio', info: '2 2 m' }] });
    const { sdp } = play(OFFER);
    const fixed = world.member();
    fixed.join([{ kind: 'video' }], { fixed: true, channel: false });
    fixed.connect();
    expect(world.endpoint.transportOf(sdp).closed).toBe(true);
    expect(play(OFFER).sdp.match(/a=sendonly/g)).toHaveLength(2);
    expect(owner.ingress.closed).toBe(false);
  });

  it('stays without any member while the edge wants it to, and goes when it does not', () => {
    const main = world.joined('main', { tracks: [{ kind: 'video', info: '2 2 Main' }] });
    world.apply([main]);
    play(OFFER);
    world.apply([], { audience: true });
    expect(world.node.hello()).toMatchObject({ ingress: [], lobbies: [{ subscribers: 1 }] });
    world.apply([]);
    expect(world.node.sessionCount).toBe(0);
  });
});
