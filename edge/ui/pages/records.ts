/** The recordings page: what was recorded, how its upload goes, a player, download and deletion. For operators. */
import { ClientError } from '../clients/errors.ts';
import { deleteRecord, fetchRecords, type RecordPage, type RecordSummary } from '../page/api.ts';
import { create, expose, find, setPageState, setText } from '../page/dom.ts';
import { formatBytes, formatCodec, formatDuration, formatWhen } from '../page/format.ts';
import { isRoomName, rememberToken, storedToken } from '../page/preferences.ts';

const REFRESH_MS = 3_000;
const TYPING_MS = 300;
/** Links are good for an hour; those on the page are replaced by newer ones in good time. */
const LINKS_MS = 600_000;
const UNAUTHORIZED = new Set([401, 403]);

const signIn = find('sign-in', HTMLFormElement);
const tokenInput = find('token', HTMLInputElement);
const status = find('status', HTMLElement);
const errorText = find('error', HTMLElement);
const player = find('player', HTMLElement);
const video = find('video', HTMLVideoElement);
const playing = find('playing', HTMLElement);
const list = find('list', HTMLElement);
const roomInput = find('room', HTMLInputElement);
const rows = find('records', HTMLUListElement);
const empty = find('empty', HTMLElement);
const moreButton = find('more', HTMLButtonElement);

/** The newest page, which is asked for again and again, and the older ones behind it. */
let newest: RecordPage = { records: [], next: null };
let older: RecordPage = { records: [], next: null };
let current: string | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
/** The rows, by the name of the recording, and what they show. */
const shown = new Map<string, { content: string; element: HTMLLIElement }>();
/** Answers to earlier questions are dropped. */
let turn = 0;

function allRecords(): RecordSummary[] {
  const known = new Set(newest.records.map(({ name }) => name));
  return [...newest.records, ...older.records.filter(({ name }) => !known.has(name))];
}

function show(): void {
  const records = allRecords();
  showRows(records);
  empty.hidden = records.length > 0;
  moreButton.hidden = (older.records.length > 0 ? older.next : newest.next) === null;
  const busy = records.filter(({ state }) => state !== 'ready' && state !== 'failed').length;
  setText(status, busy === 0 ? countOf(records.length) : `${countOf(records.length)}, ${busy} in the making`);
}

/**
 * Each answer has new links, and says of those in the making how far they are. A row that shows the same stays, and so does
 * its button under the pointer, whatever grows beside it.
 */
function showRows(records: readonly RecordSummary[]): void {
  const links = Math.floor(Date.now() / LINKS_MS);
  const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.key : undefined;
  const known = new Map(shown);
  shown.clear();
  for (const record of records) {
    const { url, ...facts } = record;
    const content = JSON.stringify([links, record.name === current, url !== null, facts]);
    const before = known.get(record.name);
    shown.set(record.name, before?.content === content ? before : { content, element: row(record) });
  }
  const wanted = [...shown.values()].map(({ element }) => element);
  for (const element of [...rows.children]) if (!wanted.some((other) => other === element)) element.remove();
  for (const [at, element] of wanted.entries()) {
    if (rows.children[at] !== element) rows.insertBefore(element, rows.children[at] ?? null);
  }
  // Rebuilt under the keyboard user's fingers: put the focus back where it was.
  if (focused === undefined) return;
  const target = rows.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`);
  if (target !== document.activeElement) target?.focus();
}

function countOf(count: number): string {
  return count === 1 ? '1 recording' : `${count} recordings`;
}

function row(record: RecordSummary): HTMLLIElement {
  const { name, state, url } = record;
  const note = create('div', {
    className: state === 'failed' ? 'record-note failed' : 'record-note',
    textContent: noteOf(record),
  });
  const title = create('div', { className: 'record-name', textContent: titleOf(record) });
  const file = create('div', { className: 'record-file', textContent: name });
  const text = create('div', { className: 'record-text' }, title, note, file);
  const actions = create('div', { className: 'record-actions' });
  if (url !== null) {
    const play = action('Play', `play-${name}`, () => playRecord(record));
    const download = create('a', {
      className: 'button small quiet',
      href: `${url}&download=1`,
      textContent: 'Download',
    });
    download.dataset.key = `download-${name}`;
    actions.append(play, download);
  }
  if (state === 'ready' || state === 'failed') {
    actions.append(action('Delete', `delete-${name}`, () => void remove(record)));
  }
  const item = create('li', { className: 'record' }, text, actions);
  const isLeaving = state === 'uploading' || (state !== 'failed' && record.uploadedBytes > 0);
  if (state !== 'ready' && isLeaving && record.size > 0) {
    const progress = create('progress', { max: record.size, value: record.uploadedBytes });
    progress.setAttribute('aria-label', `Upload of ${name}`);
    item.append(progress);
  }
  if (name === current) item.setAttribute('aria-current', 'true');
  item.dataset.testid = `record-${name}`;
  item.dataset.state = state;
  return item;
}

function titleOf({ room, stream }: RecordSummary): string {
  return room ?? (stream === null ? 'A lobby' : `Lobby ${stream.space}/${stream.stream}`);
}

function action(label: string, key: string, act: () => void): HTMLButtonElement {
  const button = create('button', { type: 'button', className: 'button small', textContent: label, onclick: act });
  button.dataset.key = key;
  button.dataset.testid = key;
  return button;
}

const STATES: Readonly<Record<RecordSummary['state'], string>> = {
  recording: 'Recording now',
  finalising: 'Finishing the file',
  uploading: 'Uploading',
  ready: '',
  failed: 'Failed',
};

function noteOf({ state, error, size, uploadedBytes, durationMs, codecs, startedAt }: RecordSummary): string {
  const share = state === 'uploading' && size > 0 ? ` ${Math.floor((uploadedBytes / size) * 100)} %` : '';
  // Its finished parts leave while it is being made.
  const ahead = state === 'recording' && uploadedBytes > 0 ? `${formatBytes(uploadedBytes)} of it uploaded` : '';
  const parts = [
    `${STATES[state]}${share}${error === null ? '' : `: ${error}`}`,
    formatWhen(startedAt),
    formatDuration(durationMs),
    formatBytes(size),
    ahead,
    codecs.map(formatCodec).join(' + '),
  ];
  return parts.filter((part) => part !== '').join(' · ');
}

function playRecord({ name, url }: RecordSummary): void {
  if (url === null) return;
  current = name;
  player.hidden = false;
  setText(playing, name);
  video.src = url;
  void video.play().catch(() => undefined);
  player.scrollIntoView({ block: 'nearest' });
  show();
}

async function remove({ name }: RecordSummary): Promise<void> {
  if (!confirm(`Delete ${name}? This cannot be undone.`)) return;
  try {
    await deleteRecord(name, tokenInput.value);
    if (current === name) {
      current = null;
      player.hidden = true;
      video.removeAttribute('src');
      video.load();
    }
    older = { ...older, records: older.records.filter((record) => record.name !== name) };
    await refresh();
  } catch (thrown) {
    showError(ClientError.fromUnknown(thrown).message);
  }
}

function showError(message: string): void {
  setText(errorText, message);
  errorText.hidden = message === '';
}

async function refresh(): Promise<void> {
  clearTimeout(timer);
  if (document.visibilityState !== 'visible') return;
  const mine = ++turn;
  let delayMs = REFRESH_MS;
  try {
    const page = await fetchRecords({ token: tokenInput.value, room: chosenRoom() });
    if (mine !== turn) return;
    newest = page;
    signIn.hidden = true;
    list.hidden = false;
    showError('');
    show();
    setPageState('ready');
  } catch (thrown) {
    if (mine !== turn) return;
    const error = ClientError.fromUnknown(thrown);
    delayMs = Math.max(REFRESH_MS * 2, error.retryAfterMs ?? 0);
    if (UNAUTHORIZED.has(error.status ?? 0)) return askForToken();
    showError(error.message);
    setPageState('error');
  }
  clearTimeout(timer);
  timer = setTimeout(() => void refresh(), delayMs);
}

/** Nothing is asked again until a token is entered. */
function askForToken(): void {
  showError(tokenInput.value === '' ? '' : 'This token does not open the recordings.');
  signIn.hidden = false;
  list.hidden = true;
  player.hidden = true;
  setText(status, 'Sign in');
  setPageState('signed-out');
  tokenInput.focus();
}

async function showOlder(): Promise<void> {
  const next = older.records.length > 0 ? older.next : newest.next;
  const room = chosenRoom();
  if (next === null) return;
  try {
    const page = await fetchRecords({ token: tokenInput.value, room, next });
    // Another room was chosen meanwhile.
    if (chosenRoom() !== room) return;
    older = { records: [...older.records, ...page.records], next: page.next };
    show();
  } catch (thrown) {
    showError(ClientError.fromUnknown(thrown).message);
  }
}

function chosenRoom(): string | null {
  return isRoomName(roomInput.value) ? roomInput.value : null;
}

function start(): void {
  tokenInput.value = storedToken();
  roomInput.value = new URLSearchParams(location.search).get('room') ?? '';
  expose({ records: allRecords, refresh });
  signIn.addEventListener('submit', (event) => {
    event.preventDefault();
    rememberToken(tokenInput.value);
    void refresh();
  });
  let typing: ReturnType<typeof setTimeout> | undefined;
  roomInput.addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      older = { records: [], next: null };
      void refresh();
    }, TYPING_MS);
  });
  find('filter', HTMLFormElement).addEventListener('submit', (event) => event.preventDefault());
  moreButton.addEventListener('click', () => void showOlder());
  document.addEventListener('visibilitychange', () => void refresh());
  void refresh();
}

start();
