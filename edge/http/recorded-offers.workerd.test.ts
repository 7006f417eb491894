/** Offers that real clients made (`test/fixtures/offers`) get past the edge's checks, each on its endpoint. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { deployed, post, publishIn } from '../test-support/app.ts';
import { dialFakeNode, type FakeNode } from '../test-support/fake-node.ts';

/** vite's glob import; typed by hand, because `vite/client` brings the types of a browser. */
interface WithGlob {
  glob(pattern: string, options: { query: '?raw'; import: 'default'; eager: true }): Record<string, string>;
}
const offers = (import.meta as unknown as WithGlob).glob('../../test/fixtures/offers/*.sdp', {
  query: '?raw',
  import: 'default',
  eager: true,
});

const call = deployed();
let node: FakeNode;
beforeAll(async () => {
  node = await dialFakeNode();
});
afterAll(() => node.close());

it.each(Object.entries(offers).map(([path, offer]) => [path.replace(/^.*\/|\.sdp$/g, ''), offer] as const))(
  '%s',
  async (name, offer) => {
    const plays = name.includes('view');
    if (plays) await publishIn(call, name);

    const response = await call(plays ? `/api/whep/play/${name}` : `/api/whip/publish/${name}`, post(offer));

    expect(response.status).toBe(201);
    // The node negotiates on what the client wrote, to the byte.
    expect(node.requests.some((one) => 'offer' in one && one.offer === offer)).toBe(true);
  },
);

it('has offers to look at', () => {
  expect(Object.keys(offers).length).toBeGreaterThanOrEqual(16);
});
