import { expect, test } from 'vitest';
import { readSessionEvent } from './session-events.ts';

const LAYERS = {
  type: 'layers',
  data: {
    '1': [
      { rid: 'h', bitrate: 2_000_000, width: 1280, height: 720 },
      { rid: 'l', bitrate: 0 },
    ],
  },
};

test.each([
  ['a wish to move', '{"type":"reconnect","data":{}}', { type: 'reconnect' }],
  [
    'layers, those that do not flow included',
    JSON.stringify(LAYERS),
    {
      type: 'layers',
      layers: [
        { rid: 'h', width: 1280, height: 720, bitrateBps: 2_000_000, active: true },
        { rid: 'l', width: null, height: null, bitrateBps: 0, active: false },
      ],
    },
  ],
  [
    'a video without layers',
    '{"type":"layers","data":{"1":[{"spatialLayerId":0,"bitrate":1}]}}',
    { type: 'layers', layers: [] },
  ],
  ['nothing', '{"type":"layers","data":{}}', { type: 'layers', layers: [] }],
  ['another type', '{"type":"viewercount","data":{"viewercount":3}}', null],
  ['no JSON', 'reconnect', null],
  ['null', 'null', null],
  ['layers without data', '{"type":"layers"}', null],
  ['bytes', new ArrayBuffer(3), null],
])('%s', (_, message, expected) => {
  expect(readSessionEvent(message)).toEqual(expected);
});
