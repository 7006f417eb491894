import { describe, expect, it } from 'vitest';
import { corsHeaders, isPreflight } from './cors.ts';

describe('CORS headers', () => {
  it('#39 lets every origin read when the setting is *', () => {
    const headers = corsHeaders('*', 'https://a.example', false);

    expect(headers['Access-Control-Allow-Origin']).toBe('*');
    expect(headers['Access-Control-Allow-Credentials']).toBeUndefined();
  });

  it('names a listed origin, with credentials, and varies by it', () => {
    const headers = corsHeaders(['https://a.example', 'https://b.example'], 'https://b.example', false);

    expect(headers['Access-Control-Allow-Origin']).toBe('https://b.example');
    expect(headers['Access-Control-Allow-Credentials']).toBe('true');
    expect(headers.Vary).toBe('Origin');
  });

  it.each([['https://evil.example'], ['https://a.example.evil'], ['null'], [null]])('does not name %s', (origin) => {
    const headers = corsHeaders(['https://a.example'], origin, true);

    expect(headers['Access-Control-Allow-Origin']).toBeUndefined();
    expect(headers.Vary).toBe('Origin');
  });

  it('#34 tells a preflight from a real OPTIONS', () => {
    const request = (headers: Record<string, string>, method = 'OPTIONS') => ({
      method,
      headers: new Headers(headers),
    });
    const origin = { Origin: 'https://a.example' };
    const asked = { 'Access-Control-Request-Method': 'POST' };

    // Node's `Request` would drop the forbidden `Origin` field, so the two members that matter are given as they are.
    const check = (it: { method: string; headers: Headers }) => isPreflight(it as Request);
    expect(check(request({ ...origin, ...asked }))).toBe(true);
    expect(check(request(origin))).toBe(false);
    expect(check(request(asked))).toBe(false);
    expect(check(request({ ...origin, ...asked }, 'POST'))).toBe(false);
  });
});
