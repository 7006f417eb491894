/**
 * Runs in a page: a member of a lobby whose picture costs next to nothing, with the project's own client, and a `<video>`
 * for each stream of the others, made and removed as the README of the clients shows. Bundled by `member-pages.ts`.
 */
import { LobbyClient } from '../../edge/ui/clients/lobby-client.ts';
import { HEIGHT, movingPicture, WIDTH } from './moving-picture.ts';

const BITRATE_BPS = 60_000;
const LOOK_INTERVAL_MS = 10;

export interface MemberReport {
  /** Of the others who are shown now: who they are, and the frames that were shown of each since they came. */
  frames: Record<string, number>;
  /** Those who are muted, by their sound. */
  silent: string[];
  /** Media addresses of the nodes that it sends to and receives from; '' without a connection. */
  addresses: string[];
  /** Since `watch`: the longest time between two frames of anybody, in ms. */
  longestMs: number;
  /** How many videos there were at least, and at most. */
  fewest: number;
  most: number;
  /** Somebody had no sound or no picture, or a video that was made anew. */
  odd: string[];
  /** `state …`, `member-track`, `track-ended`, `error …`. */
  events: string[];
  /** The longest time that the page itself had for nothing, in ms. */
  pageStallMs: number;
}

interface Tile {
  readonly video: HTMLVideoElement;
  readonly name: string;
  /** There is one before `watch`. */
  known: boolean;
  frames: number;
  lastMs: number;
}

const tiles = new Map<MediaStream, Tile>();
let lobby: LobbyClient | null = null;
let seen = nothing();
let lookedMs = performance.now();

function nothing() {
  return {
    longestMs: 0,
    fewest: tiles.size,
    most: tiles.size,
    odd: new Set<string>(),
    events: [] as string[],
    pageStallMs: 0,
  };
}

setInterval(() => {
  const nowMs = performance.now();
  seen.pageStallMs = Math.max(seen.pageStallMs, nowMs - lookedMs - LOOK_INTERVAL_MS);
  lookedMs = nowMs;
  seen.fewest = Math.min(seen.fewest, tiles.size);
  seen.most = Math.max(seen.most, tiles.size);
  for (const [stream, { name, known }] of tiles) {
    if (!known) seen.odd.add(`${name} has another video`);
    const kinds = new Set(stream.getTracks().flatMap(({ kind, readyState }) => (readyState === 'live' ? [kind] : [])));
    if (kinds.size < 2) seen.odd.add(`of ${name} there is only ${[...kinds]}`);
  }
}, LOOK_INTERVAL_MS);

function picture(): MediaStream {
  const audio = new AudioContext();
  const sound = audio.createMediaStreamDestination();
  const tone = audio.createOscillator();
  tone.connect(sound);
  tone.start();
  return new MediaStream([...movingPicture().getTracks(), ...sound.stream.getTracks()]);
}

async function enter(space: string, stream: string, token: string, label: string): Promise<void> {
  const client = new LobbyClient({ space, stream, token });
  lobby = client;
  client.addEventListener('state', ({ detail }) => seen.events.push(`state ${detail.state}`));
  client.addEventListener('error', ({ detail }) => seen.events.push(`error ${detail.error.code}`));
  client.addEventListener('member-track', ({ detail: { stream: shown, info } }) => {
    seen.events.push('member-track');
    if (!tiles.has(shown)) tiles.set(shown, show(shown, info.label));
  });
  client.addEventListener('track-ended', () => {
    seen.events.push('track-ended');
    const present = new Set(client.tracks.map((track) => track.stream));
    for (const [shown, { video }] of tiles) {
      if (present.has(shown)) continue;
      video.remove();
      tiles.delete(shown);
    }
  });
  await client.join([
    { stream: picture(), info: { purpose: 'main', label }, codecPreferences: ['VP8'], maxBitrateBps: BITRATE_BPS },
  ]);
}

function show(stream: MediaStream, name: string): Tile {
  const video = document.createElement('video');
  Object.assign(video, {
    autoplay: true,
    muted: true,
    playsInline: true,
    width: WIDTH,
    height: HEIGHT,
    srcObject: stream,
  });
  document.body.append(video);
  const tile: Tile = { video, name, known: false, frames: 0, lastMs: performance.now() };
  const onFrame = (shownMs: number): void => {
    if (tile.frames > 0) seen.longestMs = Math.max(seen.longestMs, shownMs - tile.lastMs);
    tile.lastMs = shownMs;
    tile.frames += 1;
    video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
  return tile;
}

/** From now on. */
function watch(): void {
  seen = nothing();
  for (const tile of tiles.values()) Object.assign(tile, { known: true, lastMs: performance.now() });
}

function report(): MemberReport {
  const nowMs = performance.now();
  const { send = null, receive = null } = lobby?.connections ?? {};
  const lasting = [...tiles.values()].map(({ lastMs }) => nowMs - lastMs);
  const muted = (lobby?.tracks ?? []).filter(({ track, info }) => track.kind === 'audio' && info.muted);
  return {
    ...seen,
    odd: [...seen.odd],
    longestMs: Math.max(seen.longestMs, ...lasting),
    frames: Object.fromEntries([...tiles.values()].map(({ name, frames }) => [name, frames])),
    silent: muted.map(({ info }) => info.label),
    addresses: [send, receive].map(addressOf),
  };
}

function addressOf(connection: RTCPeerConnection | null): string {
  return /^a=candidate:\S+ \d+ \S+ \d+ (\S+) /m.exec(connection?.remoteDescription?.sdp ?? '')?.[1] ?? '';
}

declare global {
  var member: {
    enter: typeof enter;
    watch: typeof watch;
    report: typeof report;
    mute(muted: boolean): void;
    goLive(rtmpUrl: string, streamKey: string): Promise<unknown>;
    isLive(): Promise<boolean>;
    leave(): Promise<void>;
  };
}
globalThis.member = {
  enter,
  watch,
  report,
  mute: (muted) => lobby?.setMuted('audio', muted),
  goLive: async (rtmpUrl, streamKey) => lobby?.startLive({ rtmpUrl, streamKey }),
  isLive: async () => (await lobby?.liveStatus())?.isLive === true,
  leave: async () => lobby?.leave(),
};
