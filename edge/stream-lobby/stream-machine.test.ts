import { describe, expect, test } from 'vitest';
import { mintSessionId } from '../../shared/ids.ts';
import { TOKEN_LIFE_MS } from './stream-machine.ts';
import { desiredOn, hasMainTrack, liveStatusOf, memberWith, nextDeadline, streamRecordSchema } from './stream-state.ts';
import {
  applies,
  GRACE_MS,
  GUEST_TRACK,
  LIVE_URL,
  LOBBY,
  LobbyUnderTest,
  MAIN_TRACK,
  NODE_A,
  NODE_A_RESTARTED,
  NODE_B,
} from './stream-under-test.ts';

const lobby = () => new LobbyUnderTest();
const codeOf = ({ refusal }: { refusal: { status: number; code: string } | null }) =>
  refusal === null ? 'ok' : `${refusal.status} ${refusal.code}`;

describe('entering', () => {
  test('two on one node are told of together; the record can be read again', () => {
    const room = lobby();
    const first = room.join('u1');
    const second = room.join('u2', { carrier: NODE_A });
    expect(desiredOn(room.state, NODE_A)?.members.map(({ session }) => session)).toEqual([first, second]);
    expect(desiredOn(room.state, NODE_B)).toBeNull();
    expect(streamRecordSchema.parse(room.state)).toEqual(room.state);
  });

  test('one session for each user; the first is untouched, also its token', () => {
    const room = lobby();
    room.enter('u1');
    const before = room.state;
    expect(codeOf(room.begin('u1'))).toBe('409 session_exists');
    expect(room.state).toBe(before);
  });

  test('not even while the first is opening', () => {
    const room = lobby();
    room.begin('u1');
    expect(codeOf(room.begin('u1'))).toBe('409 session_exists');
  });

  test('an opening member is listed, so that nothing that is told meanwhile ends it', () => {
    const room = lobby();
    room.enter('u1');
    const session = mintSessionId();
    room.begin('u2', session);
    room.feed({ type: 'targeted', session, ...NODE_A });
    expect(desiredOn(room.state, NODE_A)?.members.map((member) => member.session)).toContain(session);
    expect(memberWith(room.state, session)).toBeNull();
  });

  test('a machine needs a human in the lobby, and may be of the same user', () => {
    const room = lobby();
    expect(codeOf(room.begin('u1', mintSessionId(), true))).toBe('404 lobby_not_running');
    expect(room.state).toBeNull();
    room.enter('u1');
    const machine = room.enter('u1', { fixed: true });
    expect(room.member(machine)).toMatchObject({ fixed: true, token: null });
    expect(hasMainTrack(room.state)).toBe(true);
    expect(codeOf(room.begin('u1', mintSessionId(), true))).toBe('409 session_exists');
  });

  test.each([
    ['certainly', false],
    ['perhaps not', true],
  ])('a first offer that %s failed leaves nothing behind', (_word, uncertain) => {
    const room = lobby();
    const session = mintSessionId();
    room.begin('u1', session);
    room.feed({ type: 'targeted', session, ...NODE_A });
    room.feed({ type: 'open-failed', session, uncertain });
    expect(room.state).toBeNull();
    // The lobby's node is told that the lobby is over, so that its link forgets it as well.
    expect(applies(room.effects).at(-1)?.desired).toMatchObject({ members: [], live: null });
  });

  test('an offer that failed before a node was chosen is nobody’s business', () => {
    const room = lobby();
    const session = mintSessionId();
    room.begin('u1', session);
    room.feed({ type: 'open-failed', session, uncertain: false });
    expect(room.state).toBeNull();
    expect(room.effects).toEqual([]);
  });

  test('a second node is tried: the first may have opened the session all the same', () => {
    const room = lobby();
    const session = mintSessionId();
    room.begin('u1', session);
    expect(room.feed({ type: 'targeted', session, ...NODE_A }).effects).toEqual([]);
    const { effects } = room.feed({ type: 'targeted', session, ...NODE_B });
    expect(effects).toMatchObject([{ ...NODE_A, desired: { members: [] } }]);
    room.feed({ type: 'opened', lobby: LOBBY, session, tracks: [], ...NODE_B });
    expect(room.state).toMatchObject({ members: [{ phase: 'connecting', target: NODE_B }] });
  });

  test('what opens elsewhere than where it was sent last, is closed there', () => {
    const room = lobby();
    const late = mintSessionId();
    room.begin('u2', late);
    room.feed({ type: 'targeted', session: late, ...NODE_A });
    room.feed({ type: 'targeted', session: late, ...NODE_B });
    const stepped = room.feed({ type: 'opened', lobby: LOBBY, session: late, tracks: [], ...NODE_A });
    expect(codeOf(stepped)).toBe('409 lobby_closed');
    expect(stepped.effects).toMatchObject([{ ...NODE_A, desired: { members: [] } }]);
  });

  test('what opens after the lobby was closed is closed, with a revision that counts', () => {
    const room = lobby();
    const session = mintSessionId();
    room.begin('u1', session);
    room.feed({ type: 'targeted', session, ...NODE_A });
    expect(codeOf(room.feed({ type: 'close' }))).toBe('ok');
    expect(room.state).toBeNull();
    const [closing] = applies(room.effects).slice(-1);
    const stepped = room.feed({ type: 'opened', lobby: LOBBY, session, tracks: [], ...NODE_A });
    expect(codeOf(stepped)).toBe('409 lobby_closed');
    expect(applies(stepped.effects)[0]?.desired).toMatchObject({ lobby: LOBBY, members: [] });
    expect(applies(stepped.effects)[0]?.desired.revision).toBeGreaterThan(closing?.desired.revision ?? Infinity);
  });

  test('reports that come before the answer are not lost', () => {
    const room = lobby();
    for (const [user, said, phase] of [
      ['u1', 'connected', 'live'],
      ['u2', 'closed', undefined],
    ] as const) {
      const session = mintSessionId();
      room.begin(user, session);
      room.feed({ type: 'targeted', session, ...NODE_A });
      room.report(session, said);
      const stepped = room.feed({ type: 'opened', lobby: LOBBY, session, tracks: [], ...NODE_A });
      expect(codeOf(stepped)).toBe(phase === undefined ? '409 lobby_closed' : 'ok');
      expect(room.member(session)?.phase).toBe(phase);
    }
  });

  test('after a crash of the object, what was being opened is closed; the others stay', () => {
    const room = lobby();
    const first = room.enter('u1');
    const session = mintSessionId();
    room.begin('u2', session);
    room.feed({ type: 'targeted', session, ...NODE_A });
    const listener = mintSessionId();
    room.feed({ type: 'listen', member: first, listener });
    const { effects } = room.feed({ type: 'recovered' });
    expect(effects).toMatchObject([{ ...NODE_A, desired: { members: [{ session: first, listener: null }] } }]);
  });
});

describe('the guard', () => {
  const check = (room: LobbyUnderTest, session = mintSessionId(), changes: Record<string, unknown> = {}) =>
    codeOf(
      room.feed({
        type: 'guard',
        session,
        lobby: LOBBY,
        bearer: null,
        presented: 'first-u1',
        next: 'second',
        ...changes,
      }),
    );

  test('a passed check uses the token up', () => {
    const room = lobby();
    const session = room.enter('u1');
    expect(check(room, session)).toBe('ok');
    expect(check(room, session)).toBe('403 bad_request_token');
    expect(check(room, session, { presented: 'second', next: 'third' })).toBe('ok');
  });

  test('in this order: alive, stream, user, token; what is refused changes nothing', () => {
    const room = lobby();
    const session = room.enter('u1');
    const before = room.state;
    const all = { lobby: 'stream:s1/other', bearer: ['u2'], presented: 'wrong' };
    expect(check(room, mintSessionId(), all)).toBe('404 no_session');
    expect(check(room, session, all)).toBe('403 wrong_stream');
    expect(check(room, session, { ...all, lobby: LOBBY })).toBe('403 wrong_user');
    expect(check(room, session, { presented: 'wrong' })).toBe('403 bad_request_token');
    expect(room.state).toBe(before);
    expect(check(room, session, { bearer: ['uuid-1', 'u1'] })).toBe('ok');
  });

  test('a token is good for an hour', () => {
    const room = lobby();
    const session = room.enter('u1');
    room.now += TOKEN_LIFE_MS - 1;
    expect(check(room, session)).toBe('ok');
    room.now += TOKEN_LIFE_MS;
    expect(check(room, session, { presented: 'second' })).toBe('403 bad_request_token');
  });

  test.each([
    ['an ended session', (room: LobbyUnderTest) => room.feed({ type: 'close' })],
    ['an opening one', () => undefined],
  ])('%s is none', (_name, end) => {
    const room = lobby();
    const session = mintSessionId();
    room.begin('u1', session);
    end(room);
    expect(check(room, session)).toBe('404 no_session');
  });

  test('a machine has no cookie to check', () => {
    const room = lobby();
    room.enter('u1');
    expect(check(room, room.enter('u1', { fixed: true }))).toBe('404 no_session');
  });
});

describe('listening', () => {
  test('once at a time', () => {
    const room = lobby();
    const session = room.enter('u1');
    const listener = room.listen(session);
    expect(desiredOn(room.state, NODE_A)?.members).toMatchObject([{ session, listener }]);
    expect(codeOf(room.feed({ type: 'listen', member: session, listener: mintSessionId() }))).toBe(
      '409 listener_exists',
    );
  });

  test('not for strangers and machines', () => {
    const room = lobby();
    room.enter('u1');
    const machine = room.enter('u1', { fixed: true });
    for (const member of [machine, mintSessionId()]) {
      expect(codeOf(room.feed({ type: 'listen', member, listener: mintSessionId() }))).toBe('404 no_session');
    }
  });

  test.each([true, false])('that fails (uncertain: %s) can be tried again', (uncertain) => {
    const room = lobby();
    const session = room.enter('u1');
    const listener = mintSessionId();
    room.feed({ type: 'listen', member: session, listener });
    const { effects } = room.feed({ type: 'listen-failed', listener, uncertain });
    expect(effects).toHaveLength(uncertain ? 1 : 0);
    expect(codeOf(room.feed({ type: 'listen', member: session, listener: mintSessionId() }))).toBe('ok');
  });

  test('ends alone with its own URL, and with the member', () => {
    const room = lobby();
    const session = room.enter('u1');
    const listener = room.listen(session);
    const { effects } = room.feed({ type: 'leave', session: listener });
    expect(effects).toMatchObject([{ desired: { members: [{ session, listener: null }] } }]);
    expect(codeOf(room.feed({ type: 'leave', session: listener }))).toBe('404 no_session');
    const again = room.listen(session);
    room.feed({ type: 'leave', session });
    expect(codeOf(room.feed({ type: 'leave', session: again }))).toBe('404 no_session');
    expect(codeOf(room.feed({ type: 'listening', listener: again }))).toBe('404 no_session');
  });

  test('is over when the node says so, or no longer says that it is there', () => {
    const room = lobby();
    const session = room.enter('u1');
    let listener = room.listen(session);
    // A report from before it was opened says nothing about it.
    room.report(session, 'connected');
    expect(room.member(session)?.listener?.session).toBe(listener);
    room.report(session, 'connected', { listener: { session: listener, state: 'connected' } });
    room.report(session, 'connected');
    expect(room.member(session)?.listener).toBeNull();
    listener = room.listen(session);
    room.report(session, 'connected', { listener: { session: listener, state: 'closed' } });
    expect(room.member(session)?.listener).toBeNull();
  });
});

describe('loss', () => {
  test('a silent member keeps its place for the grace', () => {
    const room = lobby();
    room.enter('u1');
    const session = room.enter('u2');
    room.report(session, 'silent');
    expect(nextDeadline(room.state)).toBe(room.now + GRACE_MS);
    room.wait(GRACE_MS - 1);
    expect(room.member(session)?.phase).toBe('silent');
    const { effects } = room.wait(1);
    expect(room.member(session)).toBeUndefined();
    expect(effects).toMatchObject([{ ...NODE_A, desired: { members: [{}] } }]);
    expect(codeOf(room.begin('u2'))).toBe('ok');
  });

  test('a member that is heard again stays; one that goes on being silent gets no more time', () => {
    const room = lobby();
    const session = room.enter('u1');
    room.report(session, 'silent');
    room.wait(5_000);
    room.report(session, 'silent', { tracks: [] });
    expect(nextDeadline(room.state)).toBe(room.now - 5_000 + GRACE_MS);
    room.report(session, 'connected');
    expect(room.member(session)).toMatchObject({ phase: 'live', deadline: null, tracks: [] });
    room.wait(GRACE_MS);
    expect(room.member(session)?.phase).toBe('live');
  });

  test('closed is at once', () => {
    const room = lobby();
    room.enter('u1');
    const session = room.enter('u2');
    room.report(session, 'closed', { reason: 'peer-closed' });
    expect(room.member(session)).toBeUndefined();
    expect(room.state?.members).toHaveLength(1);
  });

  test.each([
    ['another life of the node', NODE_A_RESTARTED, 0],
    ['another node', NODE_B, 0],
    ['an older generation', NODE_A, -1],
  ])('words of %s do not count', (_name, carrier, older) => {
    const room = lobby();
    const session = room.enter('u1');
    const before = room.state;
    const generation = (room.member(session)?.generation ?? 0) + older;
    room.report(session, 'closed', { generation }, carrier);
    expect(room.state).toBe(before);
  });

  test('a member that never connects is dropped in the end', () => {
    const room = lobby();
    room.enter('u1');
    const session = room.join('u2');
    room.wait(120_000);
    expect(room.member(session)).toBeUndefined();
  });

  test('the node is lost: its members are, and the next one goes elsewhere', () => {
    const room = lobby();
    room.enter('u1', { tracks: [MAIN_TRACK] });
    room.enter('u2');
    const { effects } = room.feed({ type: 'node-lost', ...NODE_A });
    expect(room.state).toBeNull();
    expect(effects).toEqual([]);
    room.join('u1', { carrier: NODE_B });
    expect(room.state?.members).toMatchObject([{ target: NODE_B }]);
  });

  test('the node is lost under somebody who is just entering: the lobby goes on elsewhere, off air', () => {
    const room = lobby();
    const first = room.enter('u1', { tracks: [MAIN_TRACK] });
    room.feed({ type: 'start-live', session: first, live: 'l1', url: LIVE_URL });
    const session = mintSessionId();
    room.begin('u2', session);
    room.feed({ type: 'targeted', session, ...NODE_A });
    room.feed({ type: 'node-lost', ...NODE_A });
    expect(room.state).toMatchObject({ live: null, members: [{ user: 'u2' }] });
    expect(liveStatusOf(room.state)).toMatchObject({ isLive: false, state: 'ended', error: 'the media node was lost' });
  });

  test('the loss of another node is nothing', () => {
    const room = lobby();
    room.enter('u1');
    const before = room.state;
    room.feed({ type: 'node-lost', ...NODE_B });
    room.feed({ type: 'node-lost', ...NODE_A_RESTARTED });
    expect(room.state).toBe(before);
  });

  test('the same life links again: what it does not name is gone, the rest is as it says', () => {
    const room = lobby();
    const first = room.enter('u1');
    const second = room.enter('u2');
    const third = room.enter('u3');
    const ingress = [room.reportOf(first, 'connected'), room.reportOf(second, 'silent')];
    room.feed({ type: 'reconcile', ingress, lives: [], ...NODE_A });
    expect(room.member(second)?.phase).toBe('silent');
    expect(room.member(third)).toBeUndefined();
    expect(desiredOn(room.state, NODE_A)?.members).toHaveLength(2);
  });

  test('another life links: everybody who was there is lost', () => {
    const room = lobby();
    room.enter('u1');
    room.feed({ type: 'reconcile', ingress: [], lives: [], ...NODE_A_RESTARTED });
    expect(room.state).toBeNull();
    expect(desiredOn(room.state, NODE_A_RESTARTED)).toBeNull();
  });
});

describe('the end', () => {
  test('the last human leaves: machines and push go as well', () => {
    const room = lobby();
    const first = room.enter('u1', { tracks: [MAIN_TRACK] });
    room.enter('u1', { fixed: true });
    room.feed({ type: 'start-live', session: first, live: 'l1', url: LIVE_URL });
    const { effects } = room.feed({ type: 'leave', session: first });
    expect(room.state).toBeNull();
    expect(effects).toMatchObject([{ ...NODE_A, desired: { members: [], live: null } }]);
    expect(liveStatusOf(room.state)).toEqual({
      live: null,
      isLive: false,
      isLobbyRunning: false,
      state: 'off',
      error: null,
    });
  });

  test('a machine leaves: the lobby goes on', () => {
    const room = lobby();
    room.enter('u1');
    room.feed({ type: 'leave', session: room.enter('u1', { fixed: true }) });
    expect(room.state?.members).toHaveLength(1);
  });

  test('somebody who is entering holds the lobby, until the entering fails', () => {
    const room = lobby();
    const first = room.enter('u1');
    const session = mintSessionId();
    room.begin('u2', session);
    room.feed({ type: 'targeted', session, ...NODE_A });
    room.feed({ type: 'leave', session: first });
    expect(room.state).not.toBeNull();
    expect(desiredOn(room.state, NODE_A)?.members).toMatchObject([{ session }]);
    room.feed({ type: 'open-failed', session, uncertain: false });
    expect(room.state).toBeNull();
    expect(room.effects.at(-1)).toMatchObject({ ...NODE_A, desired: { members: [] } });
  });

  test('the next life begins above the last one, in the same millisecond', () => {
    const room = lobby();
    for (const user of ['u1', 'u2', 'u3', 'u4']) room.enter(user);
    for (const { session } of room.state?.members ?? []) room.feed({ type: 'leave', session });
    const last = applies(room.effects).at(-1)?.desired.revision ?? Infinity;
    room.join('u1');
    expect(room.state?.revision).toBeGreaterThan(last);
  });

  test('closing what does not run is 404', () => {
    expect(codeOf(lobby().feed({ type: 'close' }))).toBe('404 lobby_not_running');
  });
});

describe('live', () => {
  const start = (room: LobbyUnderTest, session = mintSessionId(), live = 'l1') =>
    room.feed({ type: 'start-live', session, live, url: LIVE_URL });
  const said = (room: LobbyUnderTest, state: 'starting' | 'online' | 'retrying' | 'ended', error?: string) =>
    room.feed({
      type: 'reported',
      ingress: [],
      lives: [{ lobby: LOBBY, live: 'l1', state, ...(error === undefined ? {} : { error }) }],
      ...NODE_A,
    });

  test('needs a main track of somebody who is there', () => {
    const room = lobby();
    const session = room.enter('u1', { tracks: [GUEST_TRACK] });
    expect(codeOf(start(room, session))).toBe('409 no_main_track');
    room.report(session, 'connected', { tracks: [MAIN_TRACK] });
    const stepped = start(room, session);
    expect(codeOf(stepped)).toBe('ok');
    expect(stepped.effects).toMatchObject([{ desired: { live: { live: 'l1', url: LIVE_URL } } }]);
    expect(codeOf(start(room, session, 'l2'))).toBe('409 already_live');
    expect(codeOf(start(room))).toBe('404 no_session');
  });

  test('goes through what the node says of it', () => {
    const room = lobby();
    start(room, room.enter('u1', { tracks: [MAIN_TRACK] }));
    expect(liveStatusOf(room.state)).toMatchObject({ live: 'l1', isLive: true, state: 'starting' });
    said(room, 'online');
    expect(liveStatusOf(room.state)).toMatchObject({ state: 'online', error: null });
    said(room, 'retrying', `${LIVE_URL}: refused; secret-key is wrong`);
    expect(liveStatusOf(room.state)).toMatchObject({
      state: 'retrying',
      isLive: true,
      error: 'the server: refused; *** is wrong',
    });
    const { effects } = said(room, 'ended', 'gave up');
    expect(liveStatusOf(room.state)).toMatchObject({ live: 'l1', isLive: false, state: 'ended', error: 'gave up' });
    expect(effects).toMatchObject([{ desired: { live: null } }]);
    expect(JSON.stringify(liveStatusOf(room.state))).not.toContain('secret-key');
  });

  test('is stopped by its id or without one, once', () => {
    const room = lobby();
    const session = room.enter('u1', { tracks: [MAIN_TRACK] });
    start(room, session);
    expect(codeOf(room.feed({ type: 'stop-live', live: 'other' }))).toBe('404 not_live');
    expect(codeOf(room.feed({ type: 'stop-live', live: 'l1' }))).toBe('ok');
    expect(codeOf(room.feed({ type: 'stop-live', live: 'l1' }))).toBe('404 not_live');
    start(room, session, 'l2');
    expect(codeOf(room.feed({ type: 'stop-live', live: null }))).toBe('ok');
    // A late word about the push that was stopped changes nothing.
    const before = room.state;
    said(room, 'online');
    expect(room.state).toBe(before);
  });

  test('a node that cannot push at all', () => {
    const room = lobby();
    start(room, room.enter('u1', { tracks: [MAIN_TRACK] }));
    const { effects } = room.feed({ type: 'live-refused', live: 'l1', error: 'no ffmpeg' });
    expect(effects).toMatchObject([{ desired: { live: null } }]);
    expect(liveStatusOf(room.state)).toMatchObject({ isLive: false, state: 'ended', error: 'no ffmpeg' });
  });
});
