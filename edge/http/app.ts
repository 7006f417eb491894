import { Hono } from 'hono';
import { ProblemError } from '../../shared/errors.ts';
import type { App, AppEnv } from '../middleware/context.ts';
import { cors } from '../middleware/cors.ts';
import { answerError, toProblemError } from '../middleware/problem.ts';
import { apiRoutes } from './api-routes.ts';
import { authenticateRoute } from './authenticate.ts';
import { endpointRoutes } from './endpoints.ts';
import { route } from './methods.ts';
import { answerNode, NODE_LINK_PATH } from './node-link.ts';
import { nodeRecordRoutes } from './node-records.ts';
import { nodeRoutes } from './node-routes.ts';
import { pageRoutes } from './page-routes.ts';
import { playExtensionRoutes } from './play-extensions.ts';
import { recordRoutes } from './record-routes.ts';
import { sessionRoutes } from './session-routes.ts';
import { isNavigation, problemPage } from './sign-page.ts';
import { spaceRoutes } from './space-routes.ts';
import { liveRoutes } from './stream-live-routes.ts';
import { recordingRoutes } from './stream-recording-routes.ts';
import { streamRoutes } from './stream-routes.ts';
import { staticStreamRoutes } from './stream-static-routes.ts';

/** Everything that the edge answers over HTTP. */
export function buildApp(): App {
  const app = new Hono<AppEnv>();
  app.onError((error, c) =>
    isNavigation(c.req.raw) ? problemPage(toProblemError(error), new URL(c.req.url)) : answerError(error, c),
  );
  // Before CORS: these are for media nodes only.
  app.all(NODE_LINK_PATH, answerNode);
  nodeRecordRoutes(app);
  app.use('*', cors);
  endpointRoutes(app);
  sessionRoutes(app);
  playExtensionRoutes(app);
  apiRoutes(app);
  nodeRoutes(app);
  recordRoutes(app);
  authenticateRoute(app);
  spaceRoutes(app);
  streamRoutes(app);
  staticStreamRoutes(app);
  liveRoutes(app);
  recordingRoutes(app);
  pageRoutes(app);
  route(app, '*', {
    check: () => {
      throw new ProblemError(404, 'not_found', 'there is nothing here');
    },
  });
  return app;
}
