/** The examples in the README are frames that both ends would take. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { edgeFrameSchema, nodeFrameSchema, type RequestFrame, resultSchemas } from './control.ts';

const README = readFileSync(new URL('README.md', import.meta.url), 'utf8');
const anyFrame = z.union([edgeFrameSchema, nodeFrameSchema]);
const frames = [...README.matchAll(/```json\n([\s\S]*?)```/g)].map(([, text = '']) => JSON.parse(text) as unknown);
const parsed = frames.map((frame) => anyFrame.parse(frame));

test('nothing in an example is unknown to the schemas, and nothing is missing', () => {
  expect(frames.length).toBeGreaterThan(10);
  expect(parsed).toEqual(frames);
});

test('an answer in an example fits its request', () => {
  const requests = new Map<number, RequestFrame>();
  for (const frame of parsed) if (frame.type === 'request') requests.set(frame.id, frame);
  let fitting = 0;
  for (const frame of parsed) {
    if (frame.type !== 'response' || !frame.outcome.ok) continue;
    const method = requests.get(frame.id)?.request.method;
    if (method === undefined) throw new Error(`no request ${frame.id}`);
    expect(resultSchemas[method].parse(frame.outcome.value)).toEqual(frame.outcome.value);
    fitting += 1;
  }
  expect(fitting).toBe(4);
});
