/** Data channels against a peer that keeps to no limit, and against packets that nobody sends in earnest. */

import { afterEach, describe, expect, test } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { MAX_BUFFERED_BYTES, MAX_CHANNELS, MAX_MESSAGE_BYTES } from './data-channels.ts';
import { RECEIVE_WINDOW_BYTES } from './sctp-inbound.ts';
import { eventually } from './testing/eventually.ts';
import { PPID, SctpPair } from './testing/sctp-pair.ts';
import { chunk, RawPeer, sealed } from './testing/sctp-raw-peer.ts';

const pairs: SctpPair[] = [];
afterEach(async () => {
  for (const pair of pairs.splice(0)) await pair.close();
});

async function connected(): Promise<SctpPair> {
  const pair = new SctpPair();
  pairs.push(pair);
  await pair.start();
  pair.openChannel(0, 'signal');
  await eventually(() => expect(pair.opened).toHaveLength(1));
  return pair;
}

const texts = (pair: SctpPair): string[] => pair.heard.map(({ data }) => data.toString());

describe('a peer without manners', () => {
  test('a message of 1 MB is ignored in bounded memory, and the next one works', async () => {
    const pair = await connected();

    pair.send(0, PPID.binary, Buffer.alloc(1024 * 1024, 1));
    pair.send(0, PPID.binary, 'next');

    await eventually(() => expect(texts(pair)).toEqual(['next']));
    expect(pair.channels.dropped).toBe(1);
    expect(pair.peakHeldBytes).toBeLessThanOrEqual(RECEIVE_WINDOW_BYTES + MAX_MESSAGE_BYTES);
    expect(pair.channels.heldBytes).toBe(0);
    expect([pair.opened[0]?.open, pair.closed]).toEqual([true, []]);
  });

  test('what is not acknowledged is the only thing that needs a clock', async () => {
    const pair = await connected();
    await eventually(() => expect(pair.channels.nextTickMs).toBe(Number.POSITIVE_INFINITY));

    pair.connected = false;
    pair.opened[0]?.send(Buffer.from('lost'));
    const dueMs = pair.channels.nextTickMs;
    expect(dueMs).toBeGreaterThan(pair.nowMs);
    const sent = pair.replies.length;
    pair.channels.tick(dueMs - 1);
    expect(pair.replies).toHaveLength(sent);
    pair.connected = true;
    pair.nowMs = dueMs;
    pair.channels.tick(dueMs);

    await eventually(() => expect(pair.clientHeard.at(-1)?.[2].toString()).toBe('lost'));
    await eventually(() => expect(pair.channels.nextTickMs).toBe(Number.POSITIVE_INFINITY));
  });

  test('of a flood of messages a burst gets through; a second later all is well again', () => {
    const peer = new RawPeer();

    for (let i = 0; i < 10_000; i++) peer.send(peer.data(0, PPID.text, Buffer.from(`junk ${i}`)));
    expect(peer.heard.length + peer.channels.dropped).toBe(10_000);
    expect(peer.heard.length).toBeLessThanOrEqual(200);

    peer.nowMs += 1000;
    peer.send(peer.data(0, PPID.binary, Buffer.from('earnest')));
    expect(peer.heard.at(-1)?.toString()).toBe('earnest');
    expect(peer.channels.heldBytes).toBe(0);
  });

  test('of a hundred channels sixteen open', async () => {
    const pair = await connected();

    for (let i = 1; i < 100; i++) pair.openChannel(2 * i, `channel ${i}`);

    await eventually(() => expect(pair.channels.dropped).toBe(100 - MAX_CHANNELS));
    expect(pair.channels.channels).toHaveLength(MAX_CHANNELS);
    pair.send(0, PPID.binary, 'still');
    await eventually(() => expect(texts(pair)).toEqual(['still']));
  });

  test.each([
    ['on a channel that was never opened', 40, PPID.binary],
    ['of an unknown protocol', 0, 99],
    ['DCEP of an unknown type', 0, PPID.dcep],
  ])('a message %s is dropped', async (_what, stream, protocol) => {
    const pair = await connected();

    pair.send(stream, protocol, Buffer.from('junk'));
    pair.send(0, PPID.binary, 'good');

    await eventually(() => expect(texts(pair)).toEqual(['good']));
    expect(pair.channels.dropped).toBe(1);
  });

  test('what it does not take waits within a limit, and after long silence the channels close', async () => {
    const pair = await connected();
    const [channel] = pair.opened;
    // Our word that the channel is open has been heard.
    await eventually(() => expect(channel?.bufferedBytes).toBe(0));
    pair.connected = false;

    const taken = Array.from({ length: 10 }, () => channel?.send(Buffer.alloc(200_000)));
    expect(taken.filter(Boolean)).toHaveLength(Math.floor(MAX_BUFFERED_BYTES / 200_000));
    expect(channel?.bufferedBytes).toBe(1_000_000);
    const before = pair.replies.length;
    for (let i = 0; i < 600 && pair.closed.length === 0; i++) {
      pair.nowMs += 100;
      pair.channels.tick(pair.nowMs);
    }

    expect([pair.closed, channel?.open, channel?.bufferedBytes]).toEqual([['signal'], false, 0]);
    expect(pair.nowMs).toBeGreaterThan(20_000);
    // One chunk at each timeout, few before the first, and the farewell.
    expect(pair.replies.length - before).toBeLessThanOrEqual(20);
    const silent = pair.replies.length;
    pair.channels.tick(pair.nowMs + 60_000);
    expect(pair.replies).toHaveLength(silent);
  });

  test('longer messages than the peer takes are refused, not sent', async () => {
    const pair = await connected();

    expect(pair.opened[0]?.send(Buffer.alloc(256 * 1024 + 1))).toBe(false);
    expect(pair.opened[0]?.bufferedBytes).toBe(0);
  });

  test('an ABORT closes the channels', async () => {
    const pair = await connected();

    await pair.client.stop();

    await eventually(() => expect(pair.closed).toEqual(['signal']));
    expect(pair.channels.channels).toEqual([]);
  });
});

describe('a channel that is closed', () => {
  const RECONFIG = 130;
  const RESULT = { performed: 1, inProgress: 6 } as const;

  /** Two channels, the second of which we close; the peer says nothing. */
  function closing(): RawPeer {
    const peer = new RawPeer();
    peer.send(peer.open(2, 'second'));
    peer.acknowledge();
    peer.replies.length = 0;
    peer.opened[1]?.close();
    return peer;
  }

  const requests = (peer: RawPeer): Buffer[] => peer.replies.filter((packet) => packet[12] === RECONFIG);

  function wait(peer: RawPeer, ms: number): void {
    const untilMs = peer.nowMs + ms;
    while (peer.channels.nextTickMs <= untilMs) {
      peer.nowMs = peer.channels.nextTickMs;
      peer.channels.tick(peer.nowMs);
    }
    peer.nowMs = untilMs;
  }

  function respond(peer: RawPeer, result: number): void {
    const response = Buffer.from('0010000c0000000000000000', 'hex');
    const [request] = requests(peer);
    response.writeUInt32BE(request?.readUInt32BE(20) ?? 0, 4);
    response.writeUInt32BE(result, 8);
    peer.send(chunk(RECONFIG, 0, response));
  }

  test('while the way is gone for ten seconds leaves the others open', () => {
    const peer = closing();

    wait(peer, 10_000);

    expect(requests(peer).length).toBeGreaterThan(5);
    expect(peer.opened.map(({ open }) => open)).toEqual([true, false]);
    respond(peer, RESULT.performed);
    expect(peer.channels.nextTickMs).toBe(Number.POSITIVE_INFINITY);
  });

  test('is asked for as long as the peer says that it is about to', () => {
    const peer = closing();

    for (let second = 0; second < 100; second++) {
      wait(peer, 1_000);
      respond(peer, RESULT.inProgress);
    }

    expect(peer.opened[0]?.open).toBe(true);
    respond(peer, RESULT.performed);
    expect(peer.channels.nextTickMs).toBe(Number.POSITIVE_INFINITY);
  });

  test('at a peer that never answers ends all of them', () => {
    const peer = closing();

    wait(peer, 60_000);

    expect(peer.opened.map(({ open }) => open)).toEqual([false, false]);
    expect(requests(peer).length).toBeLessThan(20);
  });
});

test('idle, it sends nothing and has no timer', () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const peer = new RawPeer();
  peer.acknowledge();
  const sent = peer.replies.length;

  for (let second = 1; second <= 100; second++) peer.channels.tick(second * 1000);

  expect(peer.replies).toHaveLength(sent);
  expect(timers()).toBe(before);
});

describe('packets that nobody sends in earnest', () => {
  const RUNS = 6000;
  /** Nothing but work: two seconds of it on an idle machine. */
  const WORK = { timeout: 120_000 };
  const BOUND_BYTES = RECEIVE_WINDOW_BYTES + MAX_MESSAGE_BYTES;

  function check(peer: RawPeer, packet: Buffer): void {
    const replies = peer.replies.length;
    peer.channels.receive(packet, peer.nowMs);
    expect(peer.replies.length - replies).toBeLessThan(70);
    expect(peer.channels.heldBytes).toBeLessThanOrEqual(BOUND_BYTES);
  }

  test('a good one after each kind of bad one still works', () => {
    const peer = new RawPeer();
    const bad = [
      Buffer.alloc(0),
      Buffer.alloc(12),
      peer.packet(chunk(0, 3, Buffer.alloc(0))),
      peer.packet(chunk(0, 3, Buffer.alloc(12))),
      peer.packet(chunk(0, 3, Buffer.alloc(20), 0)),
      peer.packet(chunk(0, 3, Buffer.alloc(20), 3)),
      peer.packet(chunk(0, 3, Buffer.alloc(20), 0xffff)),
      peer.packet(chunk(1, 0, Buffer.alloc(20))),
      peer.packet(chunk(3, 0, Buffer.alloc(12, 0xff))),
      peer.packet(chunk(3, 0, Buffer.alloc(3))),
      peer.packet(chunk(130, 0, Buffer.from('000d0000', 'hex'))),
      peer.packet(chunk(130, 0, Buffer.from('000d000600000000', 'hex'))),
      peer.packet(chunk(192, 0, Buffer.alloc(4))),
      peer.packet(chunk(77, 0, Buffer.alloc(4))),
      peer.packet(chunk(10, 0, Buffer.alloc(16))),
    ];
    for (const packet of bad) {
      check(peer, packet);
      const heard = peer.heard.length;
      peer.send(peer.data(0, PPID.binary, Buffer.from('good')));
      expect(peer.heard).toHaveLength(heard + 1);
    }
  });

  test('changed ones neither throw nor fill memory', WORK, () => {
    const change = fc.record({ at: fc.nat(), value: fc.nat(255) });
    const packets = fc.array(
      fc.record({ kind: fc.nat(5), changes: fc.array(change, { maxLength: 4 }), cut: fc.nat(9) }),
      {
        minLength: 1,
        maxLength: 8,
      },
    );

    fc.assert(
      fc.property(packets, (sent) => {
        const peer = new RawPeer();
        peer.opened[0]?.send(Buffer.alloc(3000));
        for (const { kind, changes, cut } of sent) {
          const good = [
            () => peer.data(0, PPID.binary, Buffer.alloc(40, 1)),
            () => peer.data(0, PPID.binary, Buffer.alloc(1100, 2), changes.length & 3),
            () => peer.open(2 * changes.length, 'more'),
            () => chunk(3, 0, Buffer.from('0000000000010000000100000001000200', 'hex')),
            () => chunk(130, 0, Buffer.from('000d001200000001fffffff00000000100020004', 'hex')),
            () => chunk(4, 0, Buffer.from('0001000811223344', 'hex')),
          ][kind];
          const packet = peer.packet(good?.() ?? Buffer.alloc(4));
          for (const { at, value } of changes) packet[12 + (at % (packet.length - 12))] = value;
          check(peer, sealed(cut === 0 ? packet.subarray(0, packet.length - ((changes[0]?.at ?? 0) % 20)) : packet));
        }
      }),
      { numRuns: RUNS },
    );
  });

  test('chunks of random type, length and content', WORK, () => {
    const random = fc
      .record({
        type: fc.oneof(fc.constantFrom(0, 1, 3, 4, 6, 7, 9, 10, 11, 14, 130, 192), fc.nat(255)),
        flags: fc.nat(7),
        body: fc.uint8Array({ maxLength: 120 }),
        lie: fc.option(fc.nat(0xffff), { freq: 5 }),
      })
      .map(({ type, flags, body, lie }) => chunk(type, flags, body, lie ?? 4 + body.length));

    fc.assert(
      fc.property(fc.array(random, { maxLength: 12 }), fc.boolean(), (chunks, bare) => {
        const peer = new RawPeer();
        check(peer, bare ? Buffer.concat(chunks) : peer.packet(...chunks));
      }),
      { numRuns: RUNS },
    );
  });

  test('chunks out of order fill the window and no more', () => {
    const peer = new RawPeer();
    peer.data(0, PPID.binary, Buffer.alloc(1)); // lost

    for (let ahead = 1; ahead < 5000; ahead++) peer.send(peer.data(0, PPID.binary, Buffer.alloc(1100)));

    expect(peer.channels.heldBytes).toBeGreaterThan(RECEIVE_WINDOW_BYTES / 2);
    expect(peer.channels.heldBytes).toBeLessThanOrEqual(RECEIVE_WINDOW_BYTES);
    expect(peer.heard).toEqual([]);
    const sack = peer.replies.at(-1) ?? Buffer.alloc(40);
    expect([sack[12], sack.readUInt32BE(20)]).toEqual([3, RECEIVE_WINDOW_BYTES - peer.channels.heldBytes]);
  });

  test('a sequence that is never completed is held to one message', () => {
    const peer = new RawPeer();

    peer.send(peer.data(0, PPID.binary, Buffer.alloc(1000), 2));
    for (let i = 0; i < 2000; i++) peer.send(peer.data(0, PPID.binary, Buffer.alloc(1000), 0));

    expect(peer.channels.heldBytes).toBe(0);
    peer.send(peer.data(0, PPID.binary, Buffer.from('whole')));
    expect(peer.heard.map(String)).toEqual(['whole']);
  });
});
