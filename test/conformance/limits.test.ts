/** Limits and ICE servers: seeds rows 8 and 33, protocol.md #9 #10 #22 #23 #60 #81 #147. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { expectEmpty, expectProblem } from './support/checks.ts';
import { freshRoom, PLAY_OFFER, PUBLISH_OFFER, patch, playIn, post, publishIn } from './support/sessions.ts';
import { type Call, callTo, type Reply } from './support/wire.ts';

const MAX_SUBSCRIBERS = 2;
const BURST = 5;
/** Seconds until there is room for one more: so long may a test take from one request to the next. */
const REFILL_S = 5;

let turn: Vestibule;
let slow: Vestibule;
let alone: Vestibule;
let call: Call;
let callSlow: Call;
let callAlone: Call;

beforeAll(async () => {
  [turn, slow, alone] = await Promise.all([
    startVestibule({
      env: {
        MAX_SUBS_PER_ROOM: String(MAX_SUBSCRIBERS),
        STUN_URLS: 'stun:stun.example:3478',
        TURN_URLS:
          'turns:turn.example:5349?transport=tcp,turn:turn.example:3478?transport=tcp,turn:turn.example:3478?transport=udp',
        TURN_USERNAME: 'a "quoted" \\ user',
        TURN_PASSWORD: 'pass',
      },
    }),
    startVestibule({
      env: { RATE_LIMIT_RPS: String(1 / REFILL_S), RATE_LIMIT_BURST: String(BURST), CLIENT_IP_HEADER: 'X-Real-IP' },
    }),
    startVestibule({ part: 'edge' }),
  ]);
  call = callTo(turn.url);
  callSlow = callTo(slow.url);
  callAlone = callTo(alone.url);
});
afterAll(() => Promise.all([turn.stop(), slow.stop(), alone.stop()]));

describe('subscribers (row 8)', () => {
  it('403 above the limit, free again when one leaves', async () => {
    const { room } = await publishIn(call);
    const viewers = [await playIn(call, room), await playIn(call, room)];

    expectProblem(await call(`/api/whep/play/${room}`, post(PLAY_OFFER)), 403, 'subscriber limit reached');
    expectProblem(await call(`/api/whep/play/${room}`, post('')), 403, 'subscriber limit reached');
    expectEmpty(await call(viewers[0]?.location ?? '', { method: 'DELETE' }), 200);

    await playIn(call, room);
    expectProblem(await call(`/webrtc/whep?streamid=${room}`, post(PLAY_OFFER)), 403);
  });

  it('counts and takes in one step', async () => {
    const { room } = await publishIn(call);
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => call(`/api/whep/play/${room}`, post(PLAY_OFFER))),
    );

    expect(replies.filter(({ status }) => status === 201)).toHaveLength(MAX_SUBSCRIBERS);
    for (const reply of replies) if (reply.status !== 201) expectProblem(reply, 403, 'subscriber limit reached');
  });

  it('an offer that is refused takes no place', async () => {
    const { room } = await publishIn(call);
    for (let time = 0; time < 5; time++) {
      expectProblem(await call(`/api/whep/play/${room}`, post(PLAY_OFFER.replaceAll('H264', 'X'))), 422);
    }
    for (let time = 0; time < MAX_SUBSCRIBERS; time++) await playIn(call, room);
  });
});

const SERVERS = (separator: string): string => {
  const account = 'username="a \\"quoted\\" \\\\ user"; credential="pass"; credential-type="password"';
  return [
    `<turn:turn.example:3478?transport=udp>; rel="ice-server"; ${account}`,
    `<turn:turn.example:3478?transport=tcp>; rel="ice-server"; ${account}`,
    `<turns:turn.example:5349?transport=tcp>; rel="ice-server"; ${account}`,
    '<stun:stun.example:3478>; rel="ice-server"',
  ].join(separator);
};

/** MediaMTX' pages: every member must match, or they throw. */
const MEDIAMTX = /^<(.+?)>; rel="ice-server"(; username="(.*?)"; credential="(.*?)"; credential-type="password")?/i;
/** medooze' split. */
const MEDOOZE = /,\s+(?=<)/;

describe('ICE servers (#9 #10 #147)', () => {
  it('on the 201 of either kind', async () => {
    const publisher = await publishIn(call);
    const viewer = await playIn(call, publisher.room);
    for (const { reply } of [publisher, viewer]) {
      const link = reply.header('Link') ?? '';
      expect(link.startsWith(SERVERS(', '))).toBe(true);
      const members = link.split(MEDOOZE);
      expect(members.slice(0, 4).every((member) => MEDIAMTX.test(member))).toBe(true);
      expect(members).toHaveLength(reply === publisher.reply ? 4 : 6);
    }
  });

  it('joined without a blank for OBS, which reads the first one otherwise', async () => {
    const headers = { 'User-Agent': 'Mozilla/5.0 (OBS-Studio/32.1.0; Linux x86_64; en-US)' };
    const reply = await call(`/api/whip/publish/${freshRoom()}`, post(PUBLISH_OFFER, headers));

    expect(reply.header('Link')).toBe(SERVERS(','));
    for (const member of (reply.header('Link') ?? '').split(',')) expect(member).toMatch(/^<(stun|turns?):/);
  });

  it('none on a refusal, a preflight, or a PATCH', async () => {
    const { room, location } = await publishIn(call);
    const replies = [
      await call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER)),
      await call(location, patch('a=end-of-candidates\r\n')),
      await call(location),
      await call(`/api/whip/publish/${room}`, {
        method: 'OPTIONS',
        headers: { Origin: 'https://a.example', 'Access-Control-Request-Method': 'POST' },
      }),
    ];
    for (const reply of replies) expect(reply.header('Link')).toBeNull();
  });

  it('#11 #132 an offer needs no extension, and a publisher is told of none', async () => {
    const { reply } = await publishIn(call);
    expect(reply.header('Link')).not.toContain('urn:ietf:params');
  });
});

describe('rate (row 33, #22 #60 #81)', () => {
  /** Asks until it is refused; the refusal, after at most `most` requests. */
  async function exhausted(ask: () => Promise<Reply>, most: number): Promise<Reply> {
    for (let time = 0; time < most; time++) {
      const reply = await ask();
      if (reply.status === 429) return reply;
    }
    throw new Error(`not refused after ${most} requests`);
  }

  it('refuses with 429 and Retry-After on every kind of request, and recovers', async () => {
    const asks: [string, () => Promise<Reply>][] = [
      ['WHIP', () => callSlow(`/api/whip/publish/${freshRoom()}`, post('junk'))],
      ['WHIP with a query', () => callSlow(`/webrtc/whip?streamid=${freshRoom()}`, post(PUBLISH_OFFER))],
      ['WHEP', () => callSlow(`/api/whep/play/${freshRoom()}`, post(PLAY_OFFER))],
      ['rooms', () => callSlow('/api/rooms')],
      ['bootstrap', () => callSlow('/api/bootstrap')],
      ['join', () => callSlow(`/rooms/${freshRoom()}/join`, { method: 'POST' })],
      ['PATCH', () => callSlow('/resource/x', patch('a=end-of-candidates\r\n'))],
      ['DELETE', () => callSlow('/resource/x', { method: 'DELETE' })],
    ];
    for (const [name, ask] of asks) {
      const reply = await exhausted(ask, 2 * BURST + 2);
      expectProblem(reply, 429, 'too many requests');
      expect(Number(reply.header('Retry-After')), name).toBeLessThanOrEqual(REFILL_S);
    }
    expect((await callSlow('/healthz')).status).toBe(200);
    // A page that is refused may still learn so.
    const headers = { Origin: 'https://a.example', 'Access-Control-Request-Method': 'POST' };
    expect((await callSlow('/api/whip/publish/a', { method: 'OPTIONS', headers })).status).toBe(200);

    await expect.poll(async () => (await callSlow('/api/bootstrap')).status, { interval: 200 }).toBe(200);
  });

  it('row 33: clients are told apart by the header of CLIENT_IP_HEADER, IPv6 ones by their network', async () => {
    const from = (address: string) => () => callSlow('/api/bootstrap', { headers: { 'X-Real-IP': address } });
    expectProblem(await exhausted(from('192.0.2.1'), 2 * BURST + 2), 429);
    expectProblem(await exhausted(from('2001:db8::1'), 2 * BURST + 2), 429);

    expect((await from('192.0.2.2')()).status).toBe(200);
    expect((await from('2001:db8:0:1::1')()).status).toBe(200);
    expectProblem(await from('2001:db8::2')(), 429);
    // A proxy writes its word behind whatever the client says of itself.
    const through = (said: string) => () =>
      callSlow('/api/bootstrap', { headers: { 'X-Real-IP': `${said}, 192.0.2.9` } });
    expectProblem(await exhausted(through('10.0.0.1'), 2 * BURST + 2), 429);
    expectProblem(await through('10.0.0.2')(), 429);
    // What no setting names is anybody's word, and so is what the runtime would take from Cloudflare.
    let made = 0;
    const lying = () =>
      callSlow('/api/bootstrap', {
        headers: { 'CF-Connecting-IP': `192.0.2.${++made}`, 'X-Forwarded-For': `192.0.2.${made}`, 'MF-CF-Blob': '{}' },
      });
    expectProblem(await exhausted(lying, 2 * BURST + 2), 429);
  });
});

describe('without a media node (#23)', () => {
  it('503 with Retry-After, soon', async () => {
    expectProblem(await callAlone(`/api/whip/publish/${freshRoom()}`, post(PUBLISH_OFFER)), 503);
    expectProblem(await callAlone('/readyz'), 503);
    expectProblem(await callAlone(`/api/whep/play/${freshRoom()}`, post(PLAY_OFFER)), 404);
    expect((await callAlone('/healthz')).status).toBe(200);
    // The offer is judged first.
    expectProblem(await callAlone(`/api/whip/publish/${freshRoom()}`, post('junk')), 400);
  });
});
