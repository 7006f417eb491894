/**
 * A stream to try lobbies with: one owner, two guests, made by the launcher where nobody has set up anything of their own.
 * Whoever can read what the launcher prints may enter it.
 */
import { type SpaceName, type StreamId, spaceNameSchema, streamIdSchema } from '../../shared/ids.ts';
import { type MemberTokenSettings, writeMemberToken } from '../auth/member-token.ts';
import { userUuid } from '../auth/user-name.ts';
import type { Settings } from './settings.ts';

const SPACE: SpaceName = spaceNameSchema.parse('demo');
const STREAM: StreamId = streamIdSchema.parse('de300000-0000-4000-8000-000000000001');
const OWNER = 'ada';
const GUESTS = ['ben', 'cleo'];
/** The first request of all to a machine that is busy starting everything else. */
const DEADLINE_MS = 20_000;

export interface Demo {
  space: SpaceName;
  stream: StreamId;
  members: { user: string; isOwner: boolean; token: string }[];
}

/** Whoever brings tokens of their own has streams of their own. */
export function wantsDemo({ edgeVariables }: Settings): boolean {
  return edgeVariables.ADMIN_TOKEN === undefined && edgeVariables.REGISTER_TOKEN === undefined;
}

/** Makes the stream when it is not there yet, and tokens for its members. Throws when the edge refuses. */
export async function openDemo(edgeUrl: URL, adminToken: string, tokens: MemberTokenSettings): Promise<Demo> {
  const response = await fetch(new URL(`/space/${SPACE}/stream/${STREAM}`, edgeUrl), {
    method: 'PUT',
    // As its owner may have changed it.
    headers: { Authorization: `Bearer ${adminToken}`, 'Content-Type': 'application/json', 'If-None-Match': '*' },
    body: JSON.stringify({ title: 'Demo', owner: OWNER, guests: GUESTS }),
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  await response.body?.cancel();
  if (response.status !== 201 && response.status !== 412) throw new Error(`the edge answered ${response.status}`);
  const members: Demo['members'] = [];
  for (const user of [OWNER, ...GUESTS]) {
    const token = await writeMemberToken({ user, uuid: await userUuid(user) }, tokens, Date.now());
    members.push({ user, isOwner: user === OWNER, token });
  }
  return { space: SPACE, stream: STREAM, members };
}

/** Where a member enters. The token stands behind the `#`: browsers send it to nobody. */
export function entryLink(base: string, { space, stream }: Demo, token: string): string {
  return `${base}/web/lobby.html?space=${space}&stream=${stream}#token=${token}`;
}
