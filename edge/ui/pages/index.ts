/** The front page: choose a room, see what is live, learn the addresses for encoders. */
import type { RoomSummary } from '../../fleet/rpc.ts';
import { ClientError } from '../clients/errors.ts';
import { fetchBootstrap, fetchRooms } from '../page/api.ts';
import { enableCopyButtons } from '../page/copy-button.ts';
import { create, expose, find, setPageState, setText } from '../page/dom.ts';
import { formatAudience } from '../page/format.ts';
import {
  initialRoom,
  isRoomName,
  pageUrl,
  publishUrl,
  rememberRoom,
  rememberToken,
  storedToken,
} from '../page/preferences.ts';

const REFRESH_MS = 3_000;

const form = find('room-form', HTMLFormElement);
const roomInput = find('room', HTMLInputElement);
const tokenInput = find('token', HTMLInputElement);
const roomList = find('rooms', HTMLUListElement);
const roomsStatus = find('rooms-status', HTMLElement);
const roomsPanel = find('rooms-panel', HTMLElement);
const obsUrl = find('obs-url', HTMLElement);
const obsToken = find('obs-token', HTMLElement);
const ffmpegCommand = find('ffmpeg-command', HTMLElement);

let rooms: RoomSummary[] = [];
let refreshTimer: ReturnType<typeof setTimeout> | undefined;
let authEnabled = false;

function showAddresses(): void {
  const room = isRoomName(roomInput.value) ? roomInput.value : 'live';
  const url = publishUrl(room);
  const token = tokenInput.value;
  setText(obsUrl, url);
  setText(obsToken, token === '' ? (authEnabled ? 'your token' : 'leave empty') : 'the token you entered above');
  // The token itself stays out of what people copy into chats and screenshots.
  const authorization = authEnabled || token !== '' ? ' -authorization "$TOKEN"' : '';
  setText(
    ffmpegCommand,
    `ffmpeg -re -i in.mp4 -c:v libx264 -preset veryfast -tune zerolatency -bf 0 -g 60 -pix_fmt yuv420p -c:a libopus -ar 48000 -ac 2 -f whip${authorization} ${url}`,
  );
}

function showRooms(next: RoomSummary[]): void {
  const sorted = [...next].sort((a, b) => a.name.localeCompare(b.name));
  if (JSON.stringify(sorted) === JSON.stringify(rooms) && roomList.childElementCount === sorted.length) return;
  const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.key : undefined;
  rooms = sorted;
  roomList.replaceChildren(...sorted.map(roomRow));
  // Rebuilt under the keyboard user's fingers: put the focus back where it was.
  if (focused !== undefined) roomList.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function roomRow(room: RoomSummary): HTMLLIElement {
  const note = room.hasPublisher ? formatAudience(room.subscribers) : 'publisher away';
  const name = create('span', { className: 'room-name', textContent: room.name });
  const detail = create('span', { className: 'room-note', textContent: note });
  const watch = create('a', { className: 'button small', href: pageUrl('player', room.name), textContent: 'Watch' });
  watch.setAttribute('aria-label', `Watch ${room.name}`);
  watch.dataset.key = `watch-${room.name}`;
  const publish = create('a', { className: 'button small quiet', textContent: 'Publish' });
  publish.href = pageUrl('publisher', room.name);
  publish.setAttribute('aria-label', `Publish to ${room.name}`);
  publish.dataset.key = `publish-${room.name}`;
  const actions = create('span', { className: 'room-actions' }, publish, watch);
  const dot = create('span', { className: room.hasPublisher ? 'dot live' : 'dot' });
  const row = create('li', {}, dot, create('span', { className: 'room-text' }, name, detail), actions);
  row.dataset.testid = `room-${room.name}`;
  return row;
}

async function refresh(): Promise<void> {
  clearTimeout(refreshTimer);
  if (document.visibilityState !== 'visible') return;
  let delayMs = REFRESH_MS;
  try {
    showRooms(await fetchRooms());
    const live = rooms.filter((room) => room.hasPublisher).length;
    setText(roomsStatus, live === 0 ? 'Nothing is live yet' : `${live} ${live === 1 ? 'room' : 'rooms'} live`);
    roomsPanel.dataset.empty = String(rooms.length === 0);
    setPageState('ready');
  } catch (thrown) {
    const error = ClientError.fromUnknown(thrown);
    delayMs = Math.max(REFRESH_MS * 2, error.retryAfterMs ?? 0);
    setText(roomsStatus, error.message);
    setPageState('error');
  }
  clearTimeout(refreshTimer);
  refreshTimer = setTimeout(() => void refresh(), delayMs);
}

async function start(): Promise<void> {
  roomInput.value = initialRoom();
  tokenInput.value = storedToken();
  enableCopyButtons();
  showAddresses();
  expose({ rooms: () => rooms, refresh });
  form.addEventListener('input', () => {
    rememberToken(tokenInput.value);
    showAddresses();
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const publish = event.submitter instanceof HTMLButtonElement && event.submitter.value === 'publisher';
    rememberRoom(roomInput.value);
    location.assign(pageUrl(publish ? 'publisher' : 'player', roomInput.value));
  });
  document.addEventListener('visibilitychange', () => void refresh());
  const bootstrap = await fetchBootstrap().catch(() => ({ authEnabled: false, roomsListed: true }));
  authEnabled = bootstrap.authEnabled;
  find('token-field', HTMLElement).hidden = !authEnabled;
  roomsPanel.hidden = !bootstrap.roomsListed;
  showAddresses();
  if (bootstrap.roomsListed) await refresh();
  else setPageState('ready');
}

void start();
