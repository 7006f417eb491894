import { describe, expect, it } from 'vitest';
import { fc } from '../../../shared/test-support/properties.ts';
import { iceServersFromLinks, parseLinkHeader } from './link-header.ts';

describe('parseLinkHeader', () => {
  it.each([
    { name: 'no header', value: null, links: [] },
    { name: 'an empty header', value: '', links: [] },
    {
      name: 'a quoted and a bare parameter',
      value: '<stun:a:3478>; rel="ice-server"; x=y',
      links: [{ uri: 'stun:a:3478', params: { rel: 'ice-server', x: 'y' } }],
    },
    {
      name: 'fields joined without a blank, as for OBS',
      value: '<stun:a>; rel="ice-server",<stun:b>; rel=ice-server',
      links: [
        { uri: 'stun:a', params: { rel: 'ice-server' } },
        { uri: 'stun:b', params: { rel: 'ice-server' } },
      ],
    },
    {
      name: 'commas, semicolons and escapes inside quotes',
      value: '<turn:a?transport=udp>; rel="ice-server"; username="1,2;3"; credential="p\\"q\\\\r", <x>; rel="next"',
      links: [
        { uri: 'turn:a?transport=udp', params: { rel: 'ice-server', username: '1,2;3', credential: 'p"q\\r' } },
        { uri: 'x', params: { rel: 'next' } },
      ],
    },
    {
      name: 'commas inside the target',
      value: '<https://e.example/a,b;c>; REL="x"',
      links: [{ uri: 'https://e.example/a,b;c', params: { rel: 'x' } }],
    },
    {
      name: 'a parameter given twice: the first counts',
      value: '<a>; rel=one; rel=two; flag',
      links: [{ uri: 'a', params: { rel: 'one', flag: '' } }],
    },
    { name: 'a target without an end', value: '<stun:a; rel="ice-server"', links: [] },
    { name: 'a quote without an end', value: '<a>; rel="x', links: [{ uri: 'a', params: { rel: 'x' } }] },
  ])('reads $name', ({ value, links }) => {
    expect(parseLinkHeader(value)).toEqual(links);
  });

  it('reads back whatever a server may put into quoted parameters', () => {
    const text = fc.string({ unit: 'grapheme-ascii' });
    fc.assert(
      fc.property(fc.array(fc.record({ username: text, credential: text }), { maxLength: 4 }), (servers) => {
        const quote = (value: string) => `"${value.replace(/[\\"]/g, '\\$&')}"`;
        const header = servers
          .map((s) => `<turn:h>; rel="ice-server"; username=${quote(s.username)}; credential=${quote(s.credential)}`)
          .join(', ');
        expect(iceServersFromLinks(parseLinkHeader(header))).toEqual(servers.map((s) => ({ urls: 'turn:h', ...s })));
      }),
    );
  });

  it('ends on any input', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('<', '>', ';', ',', '=', '"', '\\', ' ', 'a') }), (text) => {
        expect(Array.isArray(parseLinkHeader(text))).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('iceServersFromLinks', () => {
  it('takes ICE servers only, credentials where they are given', () => {
    const links = parseLinkHeader(
      '<stun:a>; rel="ice-server", <https://x/sse>; rel="urn:ietf:params:whep:ext:core:server-sent-events", ' +
        '<http://evil>; rel="ice-server", <turns:b>; rel="other ICE-SERVER"; username="u"; credential="c"',
    );
    expect(iceServersFromLinks(links)).toEqual([
      { urls: 'stun:a' },
      { urls: 'turns:b', username: 'u', credential: 'c' },
    ]);
  });
});
