/** Cookie and request token of a member: each request brings the token of the next one. */
import { type Reply, type Sent, send } from '../../conformance/support/wire.ts';

export class GuardedSession {
  /** `session.id=…` without its attributes. */
  readonly cookie: string;
  /** That passes next. */
  token: string;
  readonly #url: string;
  /** One after another: each needs the token that the last one brought. */
  #last: Promise<unknown> = Promise.resolve();

  /** @param url of the system @param created the 201 of the WHIP POST */
  constructor(url: string, created: Reply) {
    this.#url = url;
    this.cookie = cookieOf(created);
    this.token = created.header('X-Req-Token') ?? '';
  }

  /** A request that is what a member may do. */
  call(path: string, sent: Sent = {}): Promise<Reply> {
    const reply = this.#last.then(async () => {
      const answer = await send(this.#url, path, {
        ...sent,
        headers: { Cookie: this.cookie, 'X-Req-Token': this.token, ...sent.headers },
      });
      this.token = answer.header('X-Req-Token') ?? this.token;
      return answer;
    });
    this.#last = reply.catch(() => undefined);
    return reply;
  }
}

/** The name and value that the reply sets; throws when it sets none, or several. */
export function cookieOf(reply: Reply): string {
  const value = reply.header('Set-Cookie');
  const cookie = value?.split(';')[0];
  if (!cookie?.startsWith('session.id=')) throw new Error(`no session cookie in ${reply.rawHeaders.join(' | ')}`);
  return cookie;
}
