import { describe, expect, test } from 'vitest';
import { fc } from '../../../shared/test-support/properties.ts';
import { compareTracks, labelOf, type OfferedTrack, offeredTracks, withTrackInfo } from './member-tracks.ts';

const SESSION = ['v=0', 'o=- 7 1 IN IP4 127.0.0.1', 's=-', 'i=About the session', 't=0 0'];
const DATA = ['m=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'c=IN IP4 0.0.0.0', 'a=mid:0', 'a=sctp-port:5000'];

function section(kind: string, mid: string, ...lines: string[]): string[] {
  return [`m=${kind} 9 UDP/TLS/RTP/SAVPF 96`, `a=mid:${mid}`, ...lines];
}

function sdp(...sections: string[][]): string {
  return `${[...SESSION, ...sections.flat()].join('\r\n')}\r\n`;
}

describe('tracks in an offer', () => {
  test('are the sections in which the server sends, with what their members say of them', () => {
    const camera = section('video', '2', 'a=msid:s1 t2', 'a=vestibule-track:3fG_x-', 'a=sendonly');
    camera.splice(1, 0, 'i=2 1 Ada_Lovelace');
    const offer = sdp(DATA, section('audio', '1', 'i=1 2 Ben', 'a=msid:s1 t1', 'a=sendrecv'), camera);

    expect(offeredTracks(offer)).toEqual([
      {
        mid: '1',
        kind: 'audio',
        streamId: 's1',
        trackId: 't1',
        name: null,
        info: { purpose: 'guest', muted: false, label: 'Ben' },
      },
      {
        mid: '2',
        kind: 'video',
        streamId: 's1',
        trackId: 't2',
        name: '3fG_x-',
        info: { purpose: 'main', muted: true, label: 'Ada_Lovelace' },
      },
    ]);
  });

  test.each([
    ['inactive', section('video', '1', 'a=msid:s t', 'a=inactive')],
    ['received by the server', section('video', '1', 'a=msid:s t', 'a=recvonly')],
    ['rejected', ['m=video 0 UDP/TLS/RTP/SAVPF 96', 'a=mid:1', 'a=msid:s t', 'a=sendonly']],
    ['without a mid', ['m=video 9 UDP/TLS/RTP/SAVPF 96', 'a=msid:s t', 'a=sendonly']],
  ])('a section that is %s is none', (_name, lines) => {
    expect(offeredTracks(sdp(DATA, lines))).toEqual([]);
  });

  test('without msid or i= line they have a name all the same, and share no stream', () => {
    const tracks = offeredTracks(
      sdp(section('audio', '1', 'a=sendonly'), section('video', '2', 'a=msid:- t2', 'a=sendonly')),
    );

    expect(tracks.map(({ streamId, trackId }) => [streamId, trackId])).toEqual([
      ['-1', '1'],
      ['-2', 't2'],
    ]);
    expect(tracks[0]?.info).toEqual({ purpose: 'guest', muted: false, label: 'Guest' });
  });

  test('any text is read without an exception', () => {
    fc.assert(fc.property(fc.string(), (text) => Array.isArray(offeredTracks(`m=audio 9 x\n${text}`))));
  });
});

describe('from one offer to the next', () => {
  const track = (mid: string, trackId: string): OfferedTrack => ({
    mid,
    trackId,
    kind: 'audio',
    name: null,
    streamId: 's',
    info: { purpose: 'guest', muted: false, label: 'Guest' },
  });

  test('tracks come, stay and go', () => {
    const { gone, added, kept } = compareTracks([track('1', 'a'), track('2', 'b')], [track('2', 'b'), track('3', 'c')]);

    expect([gone, kept, added].map((tracks) => tracks.map(({ trackId }) => trackId))).toEqual([['a'], ['b'], ['c']]);
  });

  test('a section that carries another track now is one gone and one more', () => {
    const { gone, added, kept } = compareTracks([track('1', 'a')], [track('1', 'b')]);

    expect([gone.length, added.length, kept.length]).toEqual([1, 1, 0]);
  });
});

describe('our own offer', () => {
  const own = sdp(section('audio', '0', 'a=sendonly'), section('video', '1', 'a=sendonly'), DATA);

  test('says of each track what it is, right behind its m-line', () => {
    const described = withTrackInfo(own, [
      { purpose: 'main', muted: false, label: 'Ada' },
      { purpose: 'main', muted: true, label: 'Ada' },
    ]);

    expect(described.split('\r\n').filter((line) => /^[mi]=/.test(line))).toEqual([
      'i=About the session',
      'm=audio 9 UDP/TLS/RTP/SAVPF 96',
      'i=2 2 Ada',
      'm=video 9 UDP/TLS/RTP/SAVPF 96',
      'i=2 1 Ada',
      'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    ]);
    expect(described.replace(/i=[12] [12] Ada\r\n/g, '')).toBe(own);
  });

  test('is what it was when there is nothing to say', () => {
    expect(withTrackInfo(own, [])).toBe(own);
  });
});

test.each([
  ['Ada', 'Ada'],
  ['  Ada   Lovelace\t', 'Ada_Lovelace'],
  ['', 'Guest'],
  [' \u00a0\u2003', 'Guest'],
  ['x'.repeat(80), 'x'.repeat(64)],
])('the label of %j is %j', (name, label) => {
  expect(labelOf(name)).toBe(label);
});
