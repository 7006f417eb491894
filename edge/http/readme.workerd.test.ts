/** The API reference beside this file and the app know the same routes. */
import { expect, it } from 'vitest';
import { deployed } from '../test-support/app.ts';
import { buildApp } from './app.ts';
import README from './README.md?raw';

const call = deployed();
const METHODS = 'GET|POST|PUT|PATCH|DELETE';
const STREAM = '/space/{space}/stream/{stream}';
/** What stands in for a name in a path. */
const SAMPLES: Readonly<Record<string, string>> = { stream: '3b241101-e2bb-4255-8caf-4136c566a962' };

/** `GET /api/rooms`, from code spans; `P` is a stream, and what follows `?` or stands in brackets is no part of the path. */
const documented = [...README.matchAll(new RegExp(`\`((?:${METHODS}) )?((?:/|P/|P\`)[^\`]*)`, 'g'))].map(
  ([, method = '', path = '']) => ({
    method: method.trim(),
    path: path.replace(/[`?][\s\S]*$/, '').replace(/^P\b/, STREAM),
  }),
);

/** `{room}` and `:room` alike; a wildcard at the end takes one name. */
function shape(path: string): string {
  return path.replaceAll(/\{\w+\}|:\w+|\*$/g, '_');
}

it('names every route of the app', () => {
  const paths = new Set(documented.map(({ path }) => shape(path)));
  const routes = new Set(buildApp().routes.map(({ path }) => path));
  const own = [...routes].filter((path) => !/^\/(\*|web|node\/records.*)$/.test(path));
  expect(own.length).toBeGreaterThan(25);
  expect(own.map(shape).filter((path) => !paths.has(path))).toEqual([]);
});

/** The node's link is answered before all methods; the others exist only with a signed id in them. */
const unasked = ['/node/link', '/whip/{session_id}'];
const asked = documented.filter(
  ({ method, path }) => method !== '' && !unasked.includes(path) && !path.startsWith('/resource/'),
);

it.each(asked)('$method $path is allowed', async ({ method, path }) => {
  const url = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => SAMPLES[name] ?? 'x').replace('*', 'index.html');
  const response = await call(/^\/webrtc\//.test(url) ? `${url}?streamid=x` : url, { method: 'OPTIONS' });
  expect(response.headers.get('Allow')).toContain(method);
});
