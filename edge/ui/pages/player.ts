/** The player page: plays a room, waits for it, comes back to it, and says what it is doing. */
import { ClientError } from '../clients/errors.ts';
import { WhepClient } from '../clients/whep-client.ts';
import { expose, find, setPageState, setText } from '../page/dom.ts';
import { PlayerControls } from '../page/player-controls.ts';
import { PlayerStats } from '../page/player-stats.ts';
import { initialRoom, pageUrl, playUrl, rememberRoom, rememberToken, storedToken } from '../page/preferences.ts';

type PageState = 'connecting' | 'waiting' | 'playing' | 'reconnecting' | 'error';

const room = initialRoom();
const video = find('video', HTMLVideoElement);
const title = find('status', HTMLElement);
const hint = find('hint', HTMLElement);
const chip = find('chip', HTMLElement);
const tokenForm = find('token-form', HTMLFormElement);
const tokenInput = find('token', HTMLInputElement);
const retryButton = find('retry', HTMLButtonElement);

let client: WhepClient = createClient();
/** The stream in the video element has shown a frame (or sounded, when it has no picture). */
let shown = false;
let lastError: ClientError | null = null;

const stats = new PlayerStats(video);
const controls = new PlayerControls(video, { toggleStats: () => stats.toggle() });

function createClient(): WhepClient {
  const next = new WhepClient({ url: playUrl(room), token: storedToken() });
  next.addEventListener('stream', ({ detail }) => {
    if (client === next) adopt(detail.stream);
  });
  next.addEventListener('error', ({ detail }) => {
    if (client !== next) return;
    lastError = detail.error;
    render();
  });
  next.addEventListener('state', ({ detail }) => {
    if (client !== next) return;
    // Nothing to come back to: drop the last picture. A publisher that may return keeps it under the veil.
    if (detail.state === 'waiting' && next.connection === null) show(null);
    if (detail.state === 'live') lastError = null;
    render();
  });
  return next;
}

/** The last picture stays until the new stream has something to show. */
function adopt(stream: MediaStream): void {
  if (video.srcObject === null) {
    show(stream);
    return;
  }
  for (const track of stream.getTracks()) {
    track.addEventListener('unmute', () => {
      if (client.stream === stream && video.srcObject !== stream) show(stream);
    });
  }
}

function show(stream: MediaStream | null): void {
  shown = false;
  video.srcObject = stream;
  // Refused only while the page is in the background or when sound is not allowed yet; the controls show both.
  if (stream !== null) video.play().catch(() => undefined);
  controls.update();
  render();
}

function pageState(): PageState {
  switch (client.state) {
    case 'live':
      return shown ? 'playing' : 'connecting';
    case 'waiting':
    case 'reconnecting':
      return client.state;
    case 'failed':
      return 'error';
    default:
      return 'connecting';
  }
}

function render(): void {
  const state = pageState();
  const refused = state === 'error' && (lastError?.status === 401 || lastError?.status === 403);
  setPageState(state);
  const [headline, explanation] = describe(state);
  setText(title, headline);
  setText(hint, explanation);
  setText(
    chip,
    { playing: 'Live', connecting: 'Connecting', waiting: 'Waiting', reconnecting: 'Reconnecting', error: 'Stopped' }[
      state
    ],
  );
  document.documentElement.dataset.picture = String(shown);
  tokenForm.hidden = !refused;
  retryButton.hidden = state !== 'error' || refused;
}

function describe(state: PageState): [string, string] {
  switch (state) {
    case 'playing':
      return [`Playing ${room}`, ''];
    case 'connecting':
      return [`Connecting to ${room}`, lastError?.message ?? ''];
    case 'waiting':
      return client.connection === null
        ? ['Waiting for the publisher', 'It starts by itself as soon as somebody is live here.']
        : ['The publisher is away', 'It goes on by itself when the signal is back.'];
    case 'reconnecting':
      return ['Reconnecting', lastError?.message ?? 'The connection was lost and is being repaired.'];
    case 'error':
      return describeError();
  }
}

function describeError(): [string, string] {
  switch (lastError?.status) {
    case 401:
      return ['This room needs a token', 'Enter the token you were given.'];
    case 403:
      return lastError.code === 'subscriber_limit'
        ? ['This room is full', 'Try again later.']
        : ['No access', `${lastError.message}. Enter another token.`];
    default:
      return ['Cannot play this room', lastError?.message ?? ''];
  }
}

function restart(): void {
  const old = client;
  lastError = null;
  client = createClient();
  handle.client = client;
  void old.stop();
  show(null);
  client.start();
}

const handle = {
  client,
  get stats() {
    return stats.summary;
  },
};

function start(): void {
  rememberRoom(room);
  document.title = `${room} · Vestibule`;
  setText(find('room-name', HTMLElement), room);
  find('publish-link', HTMLAnchorElement).href = pageUrl('publisher', room);
  tokenInput.value = storedToken();
  expose(handle);
  const onFrame = () => {
    if (video.srcObject !== client.stream) return;
    shown = true;
    document.documentElement.dataset.audioOnly = String(video.videoWidth === 0);
    render();
  };
  video.addEventListener('playing', onFrame);
  video.addEventListener('resize', onFrame);
  tokenForm.addEventListener('submit', (event) => {
    event.preventDefault();
    rememberToken(tokenInput.value.trim());
    restart();
  });
  retryButton.addEventListener('click', restart);
  // A page restored from the back/forward cache has ended its session when it left.
  addEventListener('pageshow', (event) => {
    if (event.persisted) restart();
  });
  stats.follow(() => client.connection);
  render();
  if (globalThis.RTCPeerConnection === undefined) {
    lastError = new ClientError('This browser has no WebRTC.', { code: 'unsupported' });
    setPageState('error');
    setText(title, 'Cannot play this room');
    setText(hint, lastError.message);
    return;
  }
  client.start();
}

start();
