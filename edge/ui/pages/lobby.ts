/** The lobby page: sign in, look at yourself, meet the others, and, as the owner, go live. */
import { ClientError } from '../clients/errors.ts';
import { LobbyClient, type LobbyState } from '../clients/lobby-client.ts';
import type { LocalStream } from '../clients/own-media.ts';
import { describeCaptureError, listDevices } from '../page/capture.ts';
import { create, expose, find, setPageState, setText } from '../page/dom.ts';
import { LivePanel } from '../page/live-panel.ts';
import { LobbyForm } from '../page/lobby-form.ts';
import { LobbyTiles, type OwnTile } from '../page/lobby-tiles.ts';
import { acquireSource, type Source } from '../page/source.ts';
import { ToggleButton } from '../page/toggle-button.ts';

/** H.264 first: what goes on air need not be encoded again then. */
const CODECS = ['H264', 'VP8', 'VP9', 'AV1'];
const MAX_BITRATE_BPS = 1_800_000;
const MAX_SCREEN_BITRATE_BPS = 2_500_000;

const form = new LobbyForm();
const live = new LivePanel();
const joinButton = find('join', HTMLButtonElement);
const leaveButton = find('leave', HTMLButtonElement);
const previewButton = create('button', { className: 'button small', type: 'button', textContent: 'Look at yourself' });
const statusText = find('status', HTMLElement);
const errorText = find('error', HTMLElement);
const news = find('news', HTMLElement);
const tiles = new LobbyTiles(find('tiles', HTMLUListElement), vacantTile());
const micToggle = new ToggleButton('mute-mic', ['Mute', 'mic'], ['Unmute', 'mic-off'], (muted) => mute('audio', muted));
const cameraToggle = new ToggleButton('mute-camera', ['Hide', 'camera'], ['Show', 'camera-off'], (muted) =>
  mute('video', muted),
);
const screenToggle = new ToggleButton('share-screen', ['Share screen', 'screen'], ['Stop sharing', 'screen'], (on) =>
  on ? void shareScreen() : stopScreen(),
);

let lobby: LobbyClient | null = null;
let source: Source | null = null;
let screen: Source | null = null;
/** Captures run one after another; only the last one asked for is kept. */
let acquisition = 0;
/** Changes of what is sent go one after another: each leaves the lobby and joins it again. */
let changing: Promise<void> = Promise.resolve();

const handle = { lobby: null as LobbyClient | null };

function vacantTile(): HTMLLIElement {
  const tile = create(
    'li',
    { className: 'tile vacant' },
    create('p', { textContent: 'Nobody sees you.' }),
    previewButton,
  );
  tile.dataset.testid = 'vacant';
  previewButton.dataset.testid = 'preview-button';
  return tile;
}

function showError(message: string): void {
  setText(errorText, message);
  errorText.hidden = message === '';
}

function setState(state: 'idle' | 'connecting' | 'live' | 'reconnecting' | 'error', status: string): void {
  setPageState(state);
  setText(statusText, status);
  const inside = state === 'live' || state === 'reconnecting' || state === 'connecting';
  const focused = document.activeElement === (inside ? joinButton : leaveButton);
  joinButton.hidden = inside;
  leaveButton.hidden = !inside;
  if (focused) (inside ? leaveButton : joinButton).focus();
  form.lock(inside);
  showToggles();
}

function showToggles(): void {
  const has = (kind: string) => source?.stream.getTracks().some((track) => track.kind === kind) === true;
  micToggle.show(has('audio'));
  cameraToggle.show(has('video'));
  const canShare = typeof navigator.mediaDevices?.getDisplayMedia === 'function';
  screenToggle.show(canShare && lobby !== null);
}

function ownStreams(): LocalStream[] {
  const { info } = form;
  const codecPreferences = CODECS;
  return [
    ...(source === null ? [] : [{ stream: source.stream, info, codecPreferences, maxBitrateBps: MAX_BITRATE_BPS }]),
    ...(screen === null
      ? []
      : [{ stream: screen.stream, info, codecPreferences, maxBitrateBps: MAX_SCREEN_BITRATE_BPS }]),
  ];
}

function showOwn(): void {
  const { info } = form;
  const own: OwnTile[] = [];
  if (source !== null) own.push({ stream: source.stream, info, mirrored: form.source === 'camera', suffix: ' (you)' });
  if (screen !== null) own.push({ stream: screen.stream, info, mirrored: false, suffix: ' (your screen)' });
  tiles.setOwn(own);
  previewButton.hidden = form.source === 'none';
  showToggles();
}

/** Opens what the form says. False when it cannot be had. */
async function openSource(): Promise<boolean> {
  const turn = ++acquisition;
  const chosen = form.source;
  showError('');
  let next: Source | null = null;
  try {
    if (chosen !== 'none') next = await acquireSource(form.capture(chosen));
  } catch (thrown) {
    if (turn === acquisition) showError(describeCaptureError(thrown, 'camera'));
    return false;
  }
  if (turn !== acquisition) {
    next?.stop();
    return false;
  }
  const old = source;
  source = next;
  for (const track of next?.stream.getTracks() ?? []) {
    track.enabled = !(track.kind === 'audio' ? micToggle : cameraToggle).pressed;
  }
  showOwn();
  await listDevices(form.cameraSelect, form.microphoneSelect);
  await sendAnew();
  old?.stop();
  return true;
}

/** Brings what is sent in line with what we have. Does nothing outside of the lobby. */
function sendAnew(): Promise<void> {
  changing = changing.then(async () => {
    if (lobby === null) return;
    const current = lobby;
    try {
      await current.changeDevice(ownStreams());
    } catch (thrown) {
      const error = ClientError.fromUnknown(thrown);
      if (lobby === current && error.code !== 'stopped') ended(error);
    }
  });
  return changing;
}

async function shareScreen(): Promise<void> {
  showError('');
  try {
    // Our voice is with the camera already.
    const opened = await acquireSource({ ...form.capture('screen'), microphoneId: 'none', width: 1920, height: 1080 });
    screen = opened;
    // The browser has a button of its own for this.
    opened.stream.getVideoTracks()[0]?.addEventListener('ended', () => {
      if (screen === opened) stopScreen();
    });
    screenToggle.set(true);
    showOwn();
    await sendAnew();
  } catch (thrown) {
    screenToggle.set(false);
    showError(describeCaptureError(thrown, 'screen'));
  }
}

function stopScreen(): void {
  const old = screen;
  screen = null;
  screenToggle.set(false);
  showOwn();
  void sendAnew().then(() => old?.stop());
}

function mute(kind: 'audio' | 'video', muted: boolean): void {
  for (const track of source?.stream.getTracks() ?? []) {
    if (track.kind !== kind) continue;
    track.enabled = !muted;
    lobby?.setMuted(track, muted);
  }
  showOwn();
}

async function join(): Promise<void> {
  if (lobby !== null) return;
  showError('');
  setState('connecting', 'Signing in');
  try {
    await form.signIn();
    const { title, isOwner } = await form.readStream();
    document.title = `${title} · Vestibule`;
    setText(find('title', HTMLElement), title);
    setState('connecting', 'Opening the source');
    if (source === null && !(await openSource())) {
      setState('error', 'Not in the lobby');
      return;
    }
    // The owner may have become main just now.
    showOwn();
    const next = createLobby(isOwner);
    setState('connecting', 'Joining');
    await next.join(ownStreams());
  } catch (thrown) {
    const error = ClientError.fromUnknown(thrown);
    if (error.code !== 'stopped') ended(error);
  }
}

function createLobby(isOwner: boolean): LobbyClient {
  const next = new LobbyClient({ ...form.choice, token: form.token });
  lobby = next;
  handle.lobby = next;
  next.addEventListener('state', ({ detail: { state } }) => {
    if (lobby !== next) return;
    onLobbyState(state);
    if (state === 'joined') live.follow(next, isOwner);
  });
  next.addEventListener('member-track', ({ detail }) => {
    const name = tiles.add(detail);
    if (name !== null) announce(`${name} is here`);
  });
  next.addEventListener('track-ended', ({ detail }) => {
    const name = tiles.remove(detail.id);
    if (name !== null) announce(`${name} has left`);
  });
  next.addEventListener('mute', ({ detail }) => tiles.setMuted(detail.id));
  next.addEventListener('error', ({ detail: { error, fatal } }) => {
    if (lobby !== next) return;
    // One during a join rejects it and is told there.
    if (fatal && document.documentElement.dataset.state !== 'connecting') ended(error);
    else if (!fatal) setText(statusText, `Reconnecting: ${error.message}`);
  });
  return next;
}

function onLobbyState(state: LobbyState): void {
  if (state === 'joined') {
    showError('');
    setState('live', describeCompany());
  } else if (state === 'reconnecting') {
    setState('reconnecting', 'Connection lost, reconnecting');
  } else if (state === 'joining') {
    setState('connecting', 'Joining');
  }
}

function announce(text: string): void {
  setText(news, text);
  if (lobby?.state === 'joined') setText(statusText, describeCompany());
}

function describeCompany(): string {
  const others = new Set(tiles.names).size;
  return others === 0 ? 'Nobody else is here' : `${others + 1} people`;
}

async function leave(): Promise<void> {
  const left = lobby;
  ended(null);
  await left?.leave();
}

/** We are out of the lobby, `error` says why when it was not our wish. */
function ended(error: ClientError | null): void {
  const left = lobby;
  lobby = null;
  live.follow(null, false);
  tiles.clearOthers();
  if (screen !== null) stopScreen();
  setState(error === null ? 'idle' : 'error', 'Not in the lobby');
  if (error === null) {
    acquisition++;
    source?.stop();
    source = null;
    showOwn();
    return;
  }
  void left?.leave();
  showError(describeJoinError(error));
  if (error.status === 401 || error.status === 403) form.focusToken();
}

function describeJoinError(error: ClientError): string {
  switch (error.status) {
    case 401:
      return 'The lobby needs a valid token. Enter the one you were given and join again.';
    case 403:
      return 'This token is not for this stream: only its owner and guests may enter.';
    case 404:
      return 'There is no such stream. Check space and stream.';
    case 409:
      return 'You are in this lobby already, in another tab or on another device. Leave there, or wait some seconds.';
    case 429:
      return 'Too many attempts. Wait a moment and join again.';
    case 503:
      return 'No media node is available right now. Join again in a few seconds.';
    default:
      return `${error.message}.`.replace(/([.?!])\.$/, '$1');
  }
}

function prepare(): void {
  expose(handle);
  setState('idle', 'Not in the lobby');
  showOwn();
  form.element.addEventListener('submit', (event) => {
    event.preventDefault();
    void join();
  });
  leaveButton.addEventListener('click', () => void leave());
  previewButton.addEventListener('click', () => void openSource());
  form.element.addEventListener('change', () => showOwn());
  form.onSourceChange(() => {
    // A source of another kind is opened at once when it is being looked at; else when Preview or Join is pressed.
    if (source !== null || lobby !== null) void openSource();
  });
  addEventListener('pagehide', () => {
    source?.stop();
    screen?.stop();
  });
  navigator.mediaDevices?.addEventListener('devicechange', () => {
    void listDevices(form.cameraSelect, form.microphoneSelect);
  });
  void listDevices(form.cameraSelect, form.microphoneSelect);
}

prepare();
