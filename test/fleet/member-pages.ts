/** Members of a lobby, each in a page of their own (`member-page.ts`), of the edge's own origin. */
import type { BrowserContext, Page } from 'playwright-core';
import { until } from '../e2e/support/until.ts';
import { browserScript } from '../support/browser-script.ts';
import type { LobbyServer, StreamPath } from '../support/lobby/lobby-server.ts';
import type { FleetBed } from './fleet-bed.ts';
import type { MemberReport } from './member-page.ts';

const FRAMES_MORE = 10;

export interface MemberPage {
  readonly page: Page;
  readonly user: string;
}

let script: Promise<string> | null = null;

/** Enters with picture and sound, under the user's name. */
export async function enterPage(
  context: BrowserContext,
  server: LobbyServer,
  { user, ...stream }: StreamPath & { user: string },
): Promise<MemberPage> {
  script ??= browserScript('test/fleet/member-page.ts');
  const page = await context.newPage();
  const member = { page, user };
  // An address without a policy against scripts of others.
  await page.goto(`${server.vestibule.url}/healthz`);
  await page.addScriptTag({ content: await script });
  await enterAgain(server, stream, member);
  return member;
}

/** As `enterPage`, after leaving. */
export async function enterAgain(server: LobbyServer, { space, id }: StreamPath, { page, user }: MemberPage) {
  const token = await server.login(user);
  await page.evaluate((entry) => globalThis.member.enter(...entry), [space, id, token, user] as const);
}

export function reportOf({ page }: MemberPage): Promise<MemberReport> {
  return page.evaluate(() => globalThis.member.report());
}

/** What they see is watched from now on. */
export async function watchAll(people: readonly MemberPage[]): Promise<void> {
  await Promise.all(people.map(({ page }) => page.evaluate(() => globalThis.member.watch())));
}

/** Resolves when each of them sees just the others, and all of them move. */
export async function seeEachOther(people: readonly MemberPage[], deadlineMs?: number): Promise<void> {
  const see = async (one: MemberPage): Promise<void> => {
    const names = people.map(({ user }) => user).filter((user) => user !== one.user);
    let first: MemberReport['frames'] | null = null;
    await until(
      `${one.user} sees ${names}`,
      async () => {
        const { frames } = await reportOf(one);
        if (Object.keys(frames).toSorted().join() !== names.toSorted().join()) return false;
        first ??= frames;
        const before = first;
        return names.every((name) => Math.abs((frames[name] ?? 0) - (before[name] ?? 0)) >= FRAMES_MORE);
      },
      deadlineMs,
    );
  };
  await Promise.all(people.map(see));
}

/** Resolves when all of them send to this node, and receive from it. */
export async function areOn(bed: FleetBed, people: readonly MemberPage[], node: string, deadlineMs?: number) {
  await until(
    `everybody is on ${node}`,
    async () => {
      const reports = await Promise.all(people.map(reportOf));
      return reports.flatMap(({ addresses }) => addresses).every((address) => bed.nodeAt(address) === node);
    },
    deadlineMs,
  );
}
