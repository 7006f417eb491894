/** The lobby page: sign in, look at yourself, meet the others, and, as the owner, go live. */
import { ClientError } from '../clients/errors.ts';
import { LobbyClient, type LobbyState } from '../clients/lobby-client.ts';
import type { StreamDetails } from '../page/api.ts';
import { describeCaptureError, listDevices } from '../page/capture.ts';
import { create, expose, find, setPageState, setText } from '../page/dom.ts';
import { LivePanel } from '../page/live-panel.ts';
import { LobbyForm } from '../page/lobby-form.ts';
import { LobbySources } from '../page/lobby-sources.ts';
import { LobbyTiles } from '../page/lobby-tiles.ts';
import { ToggleButton } from '../page/toggle-button.ts';

const form = new LobbyForm();
const live = new LivePanel();
const sources = new LobbySources();
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
  micToggle.show(sources.tracks('audio').length > 0);
  cameraToggle.show(sources.tracks('video').length > 0);
  const canShare = typeof navigator.mediaDevices?.getDisplayMedia === 'function';
  screenToggle.show(canShare && lobby !== null);
}

function showOwn(): void {
  tiles.setOwn(sources.tiles(form.info));
  previewButton.hidden = form.source === 'none';
  showToggles();
}

/** Opens what the form says. False when it cannot be had. */
async function openSource(): Promise<boolean> {
  showError('');
  const chosen = form.source;
  try {
    const choice = chosen === 'none' ? null : form.capture(chosen);
    const old = await sources.open(choice, (kind) => !(kind === 'audio' ? micToggle : cameraToggle).pressed);
    if (old === null) return false;
    showOwn();
    await listDevices(form.cameraSelect, form.microphoneSelect);
    await sendAnew();
    old.stop();
    return true;
  } catch (thrown) {
    showError(describeCaptureError(thrown, 'camera'));
    return false;
  }
}

/** Brings what is sent in line with what we have. Does nothing outside of the lobby. */
function sendAnew(): Promise<void> {
  changing = changing.then(async () => {
    if (lobby === null) return;
    const current = lobby;
    try {
      await current.changeDevice(sources.streams(form.info));
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
    await sources.openScreen(form.capture('screen'), stopScreen);
    showOwn();
    await sendAnew();
  } catch (thrown) {
    screenToggle.set(false);
    showError(describeCaptureError(thrown, 'screen'));
  }
}

function stopScreen(): void {
  const old = sources.takeScreen();
  screenToggle.set(false);
  showOwn();
  void sendAnew().then(() => old?.stop());
}

function mute(kind: 'audio' | 'video', muted: boolean): void {
  for (const track of sources.tracks(kind)) {
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
    const { isOwner } = await readStream();
    setState('connecting', 'Opening the source');
    if (!sources.hasCamera && !(await openSource())) {
      setState('error', 'Not in the lobby');
      return;
    }
    const next = createLobby(isOwner);
    setState('connecting', 'Joining');
    await next.join(sources.streams(form.info));
  } catch (thrown) {
    const error = ClientError.fromUnknown(thrown);
    if (error.code !== 'stopped') ended(error);
  }
}

async function readStream(): Promise<StreamDetails> {
  const details = await form.readStream();
  document.title = `${details.title} · Vestibule`;
  setText(find('title', HTMLElement), details.title);
  showOwn();
  return details;
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
  if (sources.isSharing) stopScreen();
  setState(error === null ? 'idle' : 'error', 'Not in the lobby');
  if (error === null) {
    sources.stop();
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
    if (sources.hasCamera || lobby !== null) void openSource();
  });
  addEventListener('pagehide', () => sources.stop());
  navigator.mediaDevices?.addEventListener('devicechange', () => {
    void listDevices(form.cameraSelect, form.microphoneSelect);
  });
  void listDevices(form.cameraSelect, form.microphoneSelect);
  // Whoever comes by a link sees where it leads; what is wrong with it is told when they join.
  if (form.isComplete) readStream().catch(() => undefined);
}

prepare();
