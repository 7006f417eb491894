import { expect, test } from 'vitest';
import { mintBootId, type NodeId } from '../../shared/ids.ts';
import type { NodeSnapshot } from './rpc.ts';
import { FleetView, FRESH_MS, type Shelf, USABLE_MS } from './snapshot-cache.ts';

const A = 'a' as NodeId;
const FLEET_CLOCK = 5_000_000;

class Stage {
  now = 1_000;
  seenAt = FLEET_CLOCK;
  asked = 0;
  fails = false;
  readonly shelf: Shelf = { knowledge: null };
  readonly background: Promise<unknown>[] = [];

  view(): FleetView {
    return new FleetView({
      ask: async () => {
        this.asked += 1;
        if (this.fails) throw new Error('the fleet is away');
        const node: Partial<NodeSnapshot> = { node: A, boot: mintBootId(), coordinates: null, seenAt: this.seenAt };
        return { takenAt: FLEET_CLOCK, nodes: JSON.stringify([node]) };
      },
      background: (work) => this.background.push(work),
      shelf: this.shelf,
      clock: () => this.now,
    });
  }
}

test('many who ask at once cost one call, and the next two seconds cost none, whoever asks', async () => {
  const stage = new Stage();
  const view = stage.view();
  await Promise.all([view.candidates(), view.candidates(), view.candidates()]);
  stage.now += FRESH_MS;
  await stage.view().candidates();
  expect(stage.asked).toBe(1);
});

test('what is older is used once more while one refreshes it for all', async () => {
  const stage = new Stage();
  const [view, other] = [stage.view(), stage.view()];
  await view.candidates();
  stage.now += FRESH_MS + 1;
  await Promise.all([view.candidates(), other.candidates(), view.candidates()]);
  await Promise.all(stage.background);
  expect(stage.asked).toBe(2);
  await other.candidates();
  expect(stage.asked).toBe(2);
});

test('what is too old is not used; when the fleet cannot be asked then, the caller hears so', async () => {
  const stage = new Stage();
  const view = stage.view();
  await view.candidates();
  stage.fails = true;
  stage.now += USABLE_MS + 1;
  await expect(view.candidates()).rejects.toThrow('the fleet is away');
  stage.fails = false;
  expect(await view.candidates()).toHaveLength(1);
});

test('while the fleet is away, what is known goes on being used', async () => {
  const stage = new Stage();
  const view = stage.view();
  await view.candidates();
  stage.fails = true;
  stage.now += FRESH_MS + 1;
  expect(await view.candidates()).toHaveLength(1);
  await Promise.all(stage.background);
});

test('ages travel, not times: the clocks of two machines need not agree', async () => {
  const stage = new Stage();
  stage.seenAt = FLEET_CLOCK - 700;
  const [known] = await stage.view().candidates();
  expect(known?.snapshot.seenAt).toBe(stage.now - 700);
});

test('what was sent to a node counts until its next word', async () => {
  const stage = new Stage();
  const view = stage.view();
  await view.candidates();
  view.sent(A);
  view.sent(A);
  expect((await view.refreshed())[0]?.pending, 'it has said nothing since').toBe(2);
  stage.seenAt += 1;
  expect((await view.refreshed())[0]?.pending).toBe(0);
});

test('refreshed means: asked after the call', async () => {
  const stage = new Stage();
  const view = stage.view();
  const early = view.candidates();
  await Promise.all([early, view.refreshed()]);
  expect(stage.asked).toBe(2);
});
