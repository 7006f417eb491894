import { describe, expect, it } from 'vitest';
import { iceServers, linkField } from './ice-servers.ts';

const settings = {
  stunUrls: ['stun:s.example:3478'],
  turnUrls: [
    'turns:t.example:5349?transport=tcp',
    'turn:t.example:3478?transport=tcp',
    'turn:t.example:3478?transport=udp',
  ],
  turnUsername: 'u',
  turnPassword: 'p',
};

describe('ice servers', () => {
  it('#10 #147 writes the links in the exact form, TURN over UDP first', () => {
    const secret = 'rel="ice-server"; username="u"; credential="p"; credential-type="password"';

    expect(linkField(iceServers(settings, true), 'Mozilla/5.0')).toBe(
      [
        `<turn:t.example:3478?transport=udp>; ${secret}`,
        `<turn:t.example:3478?transport=tcp>; ${secret}`,
        `<turns:t.example:5349?transport=tcp>; ${secret}`,
        '<stun:s.example:3478>; rel="ice-server"',
      ].join(', '),
    );
  });

  it('#147 joins them for OBS without a blank', () => {
    const field = linkField(iceServers(settings, true), 'Mozilla/5.0 (OBS-Studio/32.0.1; Linux x86_64; en-US)');

    expect(field?.split(',')).toHaveLength(4);
    for (const part of field?.split(',') ?? []) expect(part).toMatch(/^<(stun|turns?):/);
  });

  it('#10 escapes quotes and backslashes, and drops what a field cannot hold', () => {
    const field = linkField(iceServers({ ...settings, turnUsername: 'a"b\\c', turnPassword: 'x\r\ny' }, true), null);

    expect(field).toContain(String.raw`username="a\"b\\c"; credential="xy"`);
  });

  it('keeps what needs a credential from the anonymous', () => {
    expect(iceServers(settings, false)).toEqual([{ urls: 'stun:s.example:3478' }]);
  });

  it('shows a TURN server without credentials to all', () => {
    const open = { ...settings, turnUsername: null, turnPassword: null };

    expect(iceServers(open, false)).toHaveLength(4);
    expect(linkField(iceServers(open, false), null)).not.toContain('credential');
  });

  it('says nothing when there are none', () => {
    expect(linkField([], null)).toBeNull();
  });
});
