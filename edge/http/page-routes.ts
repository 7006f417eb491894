/** Health, readiness, and the web pages. */
import { ProblemError } from '../../shared/errors.ts';
import { FLEET_NAME } from '../env.ts';
import { type App, settingsOf } from '../middleware/context.ts';
import { route } from './methods.ts';
import { PAGE_HEADERS } from './page-headers.ts';

const START_PAGE = '/web/index.html';
const READY_RETRY_SECONDS = 1;
const PLAIN_TEXT = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' };

export function pageRoutes(app: App): void {
  route(app, '/healthz', {
    GET: (c) => {
      // An edge that cannot serve anything else is not healthy.
      settingsOf(c);
      return c.body('ok', 200, PLAIN_TEXT);
    },
  });

  route(app, '/readyz', {
    GET: async (c) => {
      const nodes = await c.env.FLEET.getByName(FLEET_NAME).nodes();
      if (nodes.some((node) => node.linked)) return c.body('ok', 200, PLAIN_TEXT);
      throw new ProblemError(503, 'no_media_node', 'no media node is linked', {
        retryAfterSeconds: READY_RETRY_SECONDS,
      });
    },
  });

  for (const path of ['/', '/web', '/web/']) {
    route(app, path, { GET: (c) => c.redirect(`${START_PAGE}${new URL(c.req.url).search}`, 302) });
  }

  route(app, '/web/*', {
    GET: async (c) => {
      const response = await c.env.ASSETS.fetch(c.req.raw);
      if (response.status === 404) throw new ProblemError(404, 'not_found', 'there is nothing here');
      // A copy: header fields of a fetched response cannot be changed.
      const page = new Response(response.body, response);
      for (const [name, value] of Object.entries(PAGE_HEADERS)) page.headers.set(name, value);
      return page;
    },
  });
}
