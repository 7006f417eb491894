import { expect, test } from 'vitest';
import { HELP, readArguments, UsageError } from './arguments.ts';

const URL_TEXT = 'http://127.0.0.1:8787/api/whep/play/room';

function read(line: string) {
  return readArguments(line.split(' '));
}

test('play without options is one viewer for ten seconds', () => {
  expect(read(`play ${URL_TEXT}`)).toEqual({
    command: 'play',
    url: URL_TEXT,
    token: undefined,
    bind: undefined,
    pid: undefined,
    json: false,
    viewers: 1,
    joinsPerSecond: 50,
    processes: 1,
    codecs: ['H264', 'VP8', 'VP9', 'AV1'],
    srtp: 'any',
    feedback: { rr: 0, nack: 0, pli: 0 },
    native: true,
    sourcePps: undefined,
    seconds: 10,
  });
});

test('publish without options is the source that the goals were measured with', () => {
  expect(read(`publish ${URL_TEXT}`)).toMatchObject({
    command: 'publish',
    codec: 'H264',
    packetsPerSecond: 355,
    bitrateBps: 2_480_000,
    keyframeEveryMs: 2_000,
    framesPerSecond: 30,
    audio: true,
    seconds: 0,
  });
});

test.each([
  [`play ${URL_TEXT} -n 300 --join-rate 12.5 --processes 2`, { viewers: 300, joinsPerSecond: 12.5, processes: 2 }],
  [`-n 3 play --processes 8 ${URL_TEXT}`, { viewers: 3, processes: 3 }],
  [
    `play ${URL_TEXT} --codec vp8,H264 --rtcp --json`,
    { codecs: ['VP8', 'H264'], feedback: { rr: 1, nack: 0, pli: 0 }, json: true },
  ],
  [
    `play ${URL_TEXT} --feedback rr:2,PLI:0.1 --srtp both --source-pps 355 --no-native --server-pid 9`,
    { feedback: { rr: 2, nack: 0, pli: 0.1 }, srtp: 'both', sourcePps: 355, native: false, pid: 9 },
  ],
  [`publish ${URL_TEXT} --no-pli --no-nack`, { answersPli: false, answersNack: false }],
  [
    `play ${URL_TEXT} --token t --bind 127.0.0.2 --pid 7 --seconds 0`,
    { token: 't', bind: '127.0.0.2', pid: 7, seconds: 0 },
  ],
  [
    `publish ${URL_TEXT} --bitrate 300k --pps 110 --gop 0`,
    { framesPerSecond: 26, bitrateBps: 300_000, keyframeEveryMs: Infinity },
  ],
  [`publish ${URL_TEXT} --bitrate 2.5M --codec vp8 --no-audio`, { bitrateBps: 2_500_000, codec: 'VP8', audio: false }],
  [`publish ${URL_TEXT} --pps 70 --bitrate 50k`, { framesPerSecond: 10 }],
])('%s', (line, expected) => {
  expect(read(line)).toMatchObject(expected);
});

test.each([
  ['record http://a/', /neither publish nor play/],
  ['play', /one URL/],
  ['play http://a/ http://b/', /one URL/],
  ['play ftp://a/', /no http or https URL/],
  ['play a', /no http or https URL/],
  [`play ${URL_TEXT} -n 0`, /--viewers 0/],
  [`play ${URL_TEXT} -n 1.5`, /whole number/],
  [`play ${URL_TEXT} -n many`, /--viewers many/],
  [`play ${URL_TEXT} --seconds=-1`, /--seconds -1/],
  [`play ${URL_TEXT} --codec H265`, /--codec H265/],
  [`play ${URL_TEXT} --pps 100`, /--pps is for publish/],
  [`publish ${URL_TEXT} -n 3`, /--viewers is for play/],
  [`publish ${URL_TEXT} --pps 50`, /leaves no packets/],
  [`publish ${URL_TEXT} --pps 100 --bitrate 9M`, /does not fit/],
  [`publish ${URL_TEXT} --fps 300`, /--fps 300/],
  [`play ${URL_TEXT} --feedback fir:1`, /--feedback fir:1/],
  [`play ${URL_TEXT} --feedback rr`, /--feedback/],
  [`play ${URL_TEXT} --srtp none`, /--srtp none/],
  [`publish ${URL_TEXT} --file /nowhere.ivf`, /no such file/],
  [`publish ${URL_TEXT} --file a.ivf --pps 100`, /does not go with/],
  [`play ${URL_TEXT} --faster`, /--faster/],
])('%s is refused', (line, reason) => {
  expect(() => read(line)).toThrow(UsageError);
  expect(() => read(line)).toThrow(reason);
});

test('help is given whatever else is there, and names every option', () => {
  expect(read('play --help')).toEqual({ command: 'help' });
  for (const name of ['--token', '--pps', '--bitrate', '--gop', '--seconds', '--join-rate', '--processes', '--json']) {
    expect(HELP).toContain(name);
  }
});
