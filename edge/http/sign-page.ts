/**
 * Words and a way on for people whose browser was led to an address that has no page: a refusal, or an encoder's address
 * pasted into the wrong field. Programs get what they always get.
 */
import { html } from 'hono/html';
import type { ProblemError } from '../../shared/errors.ts';
import type { RoomName } from '../../shared/ids.ts';
import { problemResponse } from '../middleware/problem.ts';
import { NO_STORE } from './methods.ts';
import { PAGE_HEADERS } from './page-headers.ts';

/** Only browsers say so, and only when a page is to be shown (W3C Fetch Metadata); scripts and encoders never do. */
export function isNavigation(request: Request): boolean {
  return request.headers.get('Sec-Fetch-Mode') === 'navigate' && request.method === 'GET';
}

/** The refusal with its status and header fields, in words. `url`: what was asked for. */
export async function problemPage(problem: ProblemError, url: URL): Promise<Response> {
  const { status, code, detail } = problem;
  const sign =
    code === 'not_found'
      ? { headline: 'There is nothing here', hint: `Nothing on this server has the address ${url.pathname}.` }
      : { headline: 'That did not work', hint: `${detail.charAt(0).toUpperCase()}${detail.slice(1)}.` };
  const { headers } = problemResponse(problem);
  return signPage({ ...sign, ways: [], note: `${status} ${code}` }, { status, headers });
}

/** For a WHIP (`publish`) or WHEP (`play`) endpoint. */
export function endpointPage(room: RoomName, takes: 'publish' | 'play'): Promise<Response> {
  const query = new URLSearchParams({ room });
  const publish = { text: `Publish to ${room} from this browser`, href: `/web/publisher.html?${query}` };
  const watch = { text: `Watch ${room}`, href: `/web/player.html?${query}` };
  const sign =
    takes === 'publish'
      ? {
          headline: 'This address is for an encoder',
          hint: 'Put it into OBS, ffmpeg or another program that speaks WHIP.',
          ways: [publish, watch],
        }
      : {
          headline: 'This address is for a player',
          hint: 'Put it into a program that speaks WHEP.',
          ways: [watch, publish],
        };
  return signPage(sign, { headers: NO_STORE });
}

interface Sign {
  headline: string;
  hint: string;
  ways: readonly { text: string; href: string }[];
  note?: string;
}

async function signPage({ headline, hint, ways, note }: Sign, init: ResponseInit): Promise<Response> {
  const [first, ...others] = [...ways, { text: 'Start page', href: '/web/index.html' }];
  const page = await html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>${headline} · Vestibule</title>
    <link rel="icon" href="/web/favicon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/web/vestibule.css">
    <link rel="stylesheet" href="/web/controls.css">
  </head>
  <body class="page">
    <header class="site">
      <a class="brand" href="/web/index.html"><svg class="mark" aria-hidden="true"><use href="/web/icons.svg#mark"></use></svg>Vestibule</a>
    </header>
    <main class="sign">
      <h1>${headline}</h1>
      <p class="lead">${hint}</p>
      <p class="buttons"><a class="button primary" href="${first?.href}">${first?.text}</a>${others.map(
        ({ href, text }) => html`<a class="button" href="${href}">${text}</a>`,
      )}</p>
      ${note === undefined ? '' : html`<p class="note"><code>${note}</code></p>`}
    </main>
  </body>
</html>
`;
  const response = new Response(String(page), init);
  for (const [name, value] of Object.entries(PAGE_HEADERS)) response.headers.set(name, value);
  response.headers.set('Content-Type', 'text/html; charset=utf-8');
  return response;
}
