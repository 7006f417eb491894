import { describe, expect, test } from 'vitest';
import { ClientError } from './errors.ts';
import { GuardedRequests } from './guarded-requests.ts';

/** A server that lets a request in only with the token that the one before brought. */
function guard(refuse: (url: string) => number | 'lost' | null = () => null) {
  const seen: string[] = [];
  let count = 0;
  let open = 0;
  let mostAtOnce = 0;
  const send = async (url: string, init: RequestInit): Promise<Response> => {
    mostAtOnce = Math.max(mostAtOnce, ++open);
    await Promise.resolve();
    open--;
    const token = new Headers(init.headers).get('X-Req-Token') ?? '';
    seen.push(`${url} ${token} ${init.credentials}`);
    const outcome = refuse(url);
    if (outcome === 'lost') throw new ClientError('lost', { code: 'network' });
    if (token !== `T${count}`) return new Response(null, { status: 403 });
    return new Response(null, { status: outcome ?? 200, headers: { 'X-Req-Token': `T${++count}` } });
  };
  return { seen, send, mostAtOnce: () => mostAtOnce };
}

describe('requests of a member', () => {
  test('that are made at once go one after another, each with the token of the one before', async () => {
    const server = guard();
    const requests = new GuardedRequests('T0', server.send);

    const responses = await Promise.all(['a', 'b', 'c'].map((url) => requests.send(url, {})));

    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(server.seen).toEqual(['a T0 include', 'b T1 include', 'c T2 include']);
    expect(server.mostAtOnce()).toBe(1);
  });

  test('that are refused behind the guard bring a token all the same', async () => {
    const server = guard((url) => (url === 'bad' ? 409 : null));
    const requests = new GuardedRequests('T0', server.send);

    const refused = await requests.send('bad', {});
    const next = await requests.send('good', {});

    expect([refused.status, next.status]).toEqual([409, 200]);
  });

  test('that the guard itself refuses leave the token as it is', async () => {
    const requests = new GuardedRequests('old', guard().send);

    const refused = await requests.send('a', {});

    expect(refused.status).toBe(403);
  });

  test('that get lost do not hold up the next one', async () => {
    const server = guard((url) => (url === 'a' ? 'lost' : null));
    const requests = new GuardedRequests('T0', server.send);

    const [lost, next] = await Promise.allSettled([requests.send('a', {}), requests.send('b', {})]);

    expect(lost).toMatchObject({ status: 'rejected', reason: { code: 'network' } });
    expect(next).toMatchObject({ status: 'fulfilled' });
  });

  test('keep the header fields that they came with', async () => {
    let headers = new Headers();
    const requests = new GuardedRequests('T0', async (_url, init) => {
      headers = new Headers(init.headers);
      return new Response();
    });

    await requests.send('a', { headers: { Authorization: 'Bearer x' } });

    expect(Object.fromEntries(headers)).toEqual({ authorization: 'Bearer x', 'x-req-token': 'T0' });
  });
});
