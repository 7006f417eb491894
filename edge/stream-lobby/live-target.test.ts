import { describe, expect, test } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import { fc } from '../../shared/test-support/properties.ts';
import { liveBodySchema, liveTarget } from './live-target.ts';
import { canonicalHost, isPublicHost } from './public-host.ts';

function targetOf(base: string, allowed: string[] = [], key = 'key'): string {
  try {
    return liveTarget({ base, key }, allowed);
  } catch (error) {
    if (error instanceof ProblemError) return `${error.status} ${error.code}`;
    throw error;
  }
}

describe('the body', () => {
  test.each([
    [{ rtmpUrl: 'rtmp://a.example/live', streamKey: 'k' }, true],
    [{ rtmpEndpoint: 'rtmp://a.example/live', rtmpKey: 'k' }, true],
    [{ rtmpUrl: 'rtmp://a.example/live', rtmpKey: 'k' }, false],
    [{ rtmpUrl: 'rtmp://a.example/live' }, false],
    [{ rtmpUrl: 'rtmp://a.example/live', streamKey: 'k', more: 1 }, false],
    [{ rtmpUrl: 'r', streamKey: 'k', rtmpEndpoint: 'r', rtmpKey: 'k' }, false],
    [{ rtmpUrl: 'rtmp://a.example/live', streamKey: 'k k' }, false],
    [{ rtmpUrl: 'rtmp://a.example/live', streamKey: 'k\n' }, false],
    [{ rtmpUrl: 'rtmp://a.example/live', streamKey: '' }, false],
    [{ rtmpUrl: 1, streamKey: 'k' }, false],
    [null, false],
    [[], false],
  ])('%j: %s', (body, fits) => {
    expect(liveBodySchema.safeParse(body).success).toBe(fits);
  });
});

describe('the target', () => {
  test.each([
    ['rtmp://a.example.com/live', 'rtmp://a.example.com/live/key'],
    ['rtmps://a.example.com/live/', 'rtmps://a.example.com/live/key'],
    ['RTMP://A.Example.COM:1936/live//', 'rtmp://a.example.com:1936/live/key'],
    ['rtmp://a.example.com', 'rtmp://a.example.com/key'],
    ['rtmp://a.example.com./live', 'rtmp://a.example.com/live/key'],
    ['rtmp://a.example.com/live?token=1', 'rtmp://a.example.com/live?token=1/key'],
    ['rtmp://8.8.8.8/live', 'rtmp://8.8.8.8/live/key'],
    ['rtmp://134744072/live', 'rtmp://8.8.8.8/live/key'],
    ['rtmp://[2606:4700::1111]/live', 'rtmp://[2606:4700::1111]/live/key'],
    ['http://a.example.com/live', '400 bad_live_target'],
    ['file:///etc/passwd', '400 bad_live_target'],
    ['/tmp/out.flv', '400 bad_live_target'],
    ['rtmpt://a.example.com/live', '400 bad_live_target'],
    ['rtmp:///live', '400 bad_live_target'],
    ['rtmp://user:pass@a.example.com/live', '400 bad_live_target'],
    ['rtmp://a.example.com@127.0.0.1/live', '400 bad_live_target'],
    ['rtmp://a.example.com#@127.0.0.1/', '400 bad_live_target'],
    ['rtmp://a.example.com\\@127.0.0.1/', '400 bad_live_target'],
    ['rtmp://a.example.com/live#x', '400 bad_live_target'],
    ['rtmp://a.example.com/li ve', '400 bad_live_target'],
    ['rtmp://a.example.com/live\n', '400 bad_live_target'],
    ['rtmp://a.example.com:0/live', '400 bad_live_target'],
    ['rtmp://a.example.com:65536/live', '400 bad_live_target'],
    ['rtmp://a%2eexample.com/live', '400 bad_live_target'],
    ['rtmp://1.2.3.4.5/live', '400 bad_live_target'],
  ])('%s → %s', (base, expected) => {
    expect(targetOf(base)).toBe(expected);
  });

  test.each([
    'localhost',
    'LOCALHOST.',
    'a.localhost',
    'printer',
    'nas.local',
    'metadata.google.internal',
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '127.0.0.1.',
    '0.0.0.0',
    '0',
    '10.1.2.3',
    '100.64.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.20',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '[::]',
    '[::1]',
    '[0:0:0:0:0:0:0:1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:10.0.0.1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[64:ff9b:1::1]',
    '[2002:7f00:1::]',
    '[fc00::1]',
    '[fd12::1]',
    '[fe80::1]',
    '[fec0::1]',
    '[ff02::1]',
    '[2001:db8::1]',
    '[2001:0:1::1]',
    '１２７.０.０.１',
  ])('%s is out of bounds unless it is listed', (host) => {
    expect(targetOf(`rtmp://${host}/live`)).toBe('400 live_host_not_allowed');
    expect(targetOf(`rtmp://${host}/live`, [host])).toBe(`rtmp://${canonicalHost(host)}/live/key`);
  });

  test('with a list only what is listed', () => {
    const list = ['live.twitch.tv', '192.168.1.20', '::1'];
    expect(targetOf('rtmp://live.twitch.tv/app', list)).toBe('rtmp://live.twitch.tv/app/key');
    expect(targetOf('rtmp://192.168.1.20/app', list)).toBe('rtmp://192.168.1.20/app/key');
    expect(targetOf('rtmp://[::1]:1935/app', list)).toBe('rtmp://[::1]:1935/app/key');
    expect(targetOf('rtmp://a.rtmp.youtube.com/live2', list)).toBe('400 live_host_not_allowed');
    expect(targetOf('rtmp://127.0.0.1/app', list)).toBe('400 live_host_not_allowed');
  });

  test('public addresses next to the private ranges', () => {
    for (const host of ['9.255.255.255', '11.0.0.1', '100.128.0.1', '172.15.0.1', '172.32.0.1', '192.167.0.1']) {
      expect(isPublicHost(host), host).toBe(true);
    }
  });

  test('whatever is let through parses to the host that was checked', () => {
    const piece = fc.constantFrom(
      'a',
      'b.c',
      '@',
      ':',
      '/',
      '\\',
      '#',
      '?',
      '[',
      ']',
      '127.0.0.1',
      '1',
      '%',
      '.',
      '[::1]',
    );
    const base = fc.array(piece, { maxLength: 8 }).map((pieces) => `rtmp://${pieces.join('')}`);
    fc.assert(
      fc.property(base, (text) => {
        const target = targetOf(text);
        if (target.startsWith('400 ')) return;
        // As a special scheme, so that the parser treats the host as browsers and FFmpeg do.
        const { hostname, username } = new URL(target.replace(/^rtmp/, 'http'));
        expect(username).toBe('');
        expect(isPublicHost(hostname)).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });
});
