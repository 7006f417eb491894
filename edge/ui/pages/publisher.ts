/** The publisher page: choose a source, go live, see how it goes. */
import { ClientError } from '../clients/errors.ts';
import { createSendMeter, type SendSummary, type StatsEntry } from '../clients/stats.ts';
import { WhipClient, type WhipState } from '../clients/whip-client.ts';
import { fetchBootstrap } from '../page/api.ts';
import { describeCaptureError, listDevices, stopTracks } from '../page/capture.ts';
import { enableCopyButtons } from '../page/copy-button.ts';
import { expose, find, setPageState, setText } from '../page/dom.ts';
import { formatBitrate, formatCodecs, formatCount, formatMs, formatShare, formatSize } from '../page/format.ts';
import { buildMeterView } from '../page/meter-view.ts';
import {
  initialRoom,
  isRoomName,
  pageUrl,
  publishUrl,
  rememberRoom,
  rememberToken,
  storedToken,
} from '../page/preferences.ts';
import { PublisherForm } from '../page/publisher-form.ts';
import { acquireSource, type Source } from '../page/source.ts';

const STATS_INTERVAL_MS = 1_000;

type PageState = 'idle' | 'connecting' | 'live' | 'error';

const form = new PublisherForm();
const preview = find('preview', HTMLVideoElement);
const placeholder = find('placeholder', HTMLElement);
const startButton = find('start', HTMLButtonElement);
const stopButton = find('stop', HTMLButtonElement);
const muteButton = find('mute-mic', HTMLButtonElement);
const statusText = find('status', HTMLElement);
const errorText = find('error', HTMLElement);
const watchLink = find('watch-link', HTMLAnchorElement);
const showStats = buildMeterView<SendSummary>(find('stats', HTMLDListElement), [
  { key: 'bitrate', label: 'Bitrate', format: (s) => formatBitrate(s.bitrateBps) },
  { key: 'resolution', label: 'Picture', format: (s) => formatSize(s.width, s.height) },
  { key: 'fps', label: 'Frames/s', format: (s) => formatCount(s.framesPerSecond) },
  { key: 'codec', label: 'Codec', format: (s) => formatCodecs(s.videoCodec, s.audioCodec) },
  { key: 'rtt', label: 'Round trip', format: (s) => formatMs(s.roundTripMs) },
  { key: 'loss', label: 'Loss', format: (s) => formatShare(s.lossRatio) },
  { key: 'limitation', label: 'Limited by', format: (s) => describeLimitation(s.limitation) },
  { key: 'layers', label: 'Layers', format: (s) => formatCount(s.activeLayers) },
]);

let source: Source | null = null;
let client: WhipClient | null = null;
let statsTimer: ReturnType<typeof setInterval> | undefined;
/** Captures run one after another; only the last one asked for is kept. */
let acquisition = 0;

const handle = { client: null as WhipClient | null, stats: null as SendSummary | null };

function setState(state: PageState, status: string): void {
  setPageState(state);
  setText(statusText, status);
  const busy = state === 'connecting' || state === 'live';
  const focused = document.activeElement === (busy ? startButton : stopButton);
  startButton.hidden = busy;
  stopButton.hidden = !busy;
  if (focused) (busy ? stopButton : startButton).focus();
  form.lock(busy);
}

function showError(message: string): void {
  setText(errorText, message);
  errorText.hidden = message === '';
}

/** Opens the chosen source for the preview; swaps it into a running session. Returns null when that failed. */
async function openSource(): Promise<Source | null> {
  const turn = ++acquisition;
  const choice = form.capture();
  showError('');
  try {
    const next = await acquireSource(choice);
    if (turn !== acquisition) {
      next.stop();
      return null;
    }
    const old = source;
    source = next;
    preview.srcObject = next.stream;
    preview.dataset.source = choice.source;
    placeholder.hidden = true;
    for (const track of next.stream.getTracks()) {
      track.addEventListener('ended', () => sourceEnded(next, track.kind));
      if (client !== null) await client.replaceTrack(track);
    }
    old?.stop();
    showMicrophone();
    await listDevices(form.cameraSelect, form.microphoneSelect);
    return next;
  } catch (thrown) {
    if (turn === acquisition) showError(describeCaptureError(thrown, choice.source));
    return null;
  }
}

function closeSource(): void {
  acquisition++;
  source?.stop();
  source = null;
  preview.srcObject = null;
  placeholder.hidden = false;
  muteButton.hidden = true;
}

/** The user ended the share in the browser's own bar, or pulled a plug. */
function sourceEnded(ended: Source, kind: string): void {
  if (source !== ended || kind === 'audio') return;
  void stop();
  closeSource();
  showError('The source ended. Choose another one and start again.');
}

async function start(): Promise<void> {
  const room = form.roomInput.value;
  showError('');
  if (!isRoomName(room)) {
    form.roomInput.reportValidity();
    return;
  }
  rememberRoom(room);
  rememberToken(form.tokenInput.value);
  setState('connecting', 'Opening the source');
  const opened = source ?? (await openSource());
  if (opened === null) {
    setState('error', 'Not live');
    return;
  }
  if (document.documentElement.dataset.state !== 'connecting') return;
  const { codec, ...publishOptions } = form.encoding();
  const next = new WhipClient({ url: publishUrl(room), token: form.tokenInput.value });
  client = next;
  handle.client = next;
  setState('connecting', 'Connecting');
  next.addEventListener('state', ({ detail }) => {
    if (client === next) onClientState(detail.state, room);
  });
  next.addEventListener('error', ({ detail }) => {
    if (client === next && !detail.fatal) setText(statusText, `Reconnecting: ${detail.error.message}`);
  });
  try {
    await next.publish(opened.stream, { ...publishOptions, ...(codec === '' ? {} : { codecPreferences: [codec] }) });
  } catch (thrown) {
    if (client === next) failed(ClientError.fromUnknown(thrown), room);
  }
}

function onClientState(state: WhipState, room: string): void {
  if (state === 'live') {
    setState('live', `Live in “${room}”`);
    showError('');
    startStats();
  } else if (state === 'reconnecting') {
    setState('connecting', 'Connection lost, reconnecting');
  } else if (state === 'failed') {
    // A failure before the first frame rejects publish(), which words it; this one came later.
    if (statsTimer !== undefined) failed(new ClientError('The server ended this session', { code: 'ended' }), room);
  } else if (state === 'stopped') {
    ended('Not live');
  }
}

function failed(error: ClientError, room: string): void {
  ended('Not live');
  setState('error', 'Not live');
  showError(describePublishError(error, room));
  if (error.status === 401 || error.status === 403) {
    form.showToken(true);
    form.tokenInput.focus();
  }
}

function ended(status: string): void {
  clearInterval(statsTimer);
  statsTimer = undefined;
  client = null;
  showStats(null);
  setState('idle', status);
}

async function stop(): Promise<void> {
  const running = client;
  ended('Not live');
  await running?.stop();
}

function startStats(): void {
  clearInterval(statsTimer);
  const meter = createSendMeter();
  const refresh = async () => {
    const report = await client?.connection?.getStats();
    if (report === undefined || client === null) return;
    handle.stats = meter.update(report.values() as Iterable<StatsEntry>);
    showStats(handle.stats);
  };
  statsTimer = setInterval(() => void refresh(), STATS_INTERVAL_MS);
  void refresh();
}

function describePublishError(error: ClientError, room: string): string {
  switch (error.status) {
    case 401:
      return 'This room needs a token, or the token is not valid. Enter it and start again.';
    case 403:
      return `The token does not allow publishing to ${room}.`;
    case 409:
      return `Somebody else is live in ${room}. Choose another room, or start again when they have stopped.`;
    case 422:
      return `The server cannot take this stream: ${error.message}. Try another codec.`;
    case 429:
      return 'Too many attempts. Wait a moment and start again.';
    case 503:
      return 'No media node is available right now. Start again in a few seconds.';
    default:
      return `${error.message}.`.replace(/([.?!])\.$/, '$1');
  }
}

function describeLimitation(limitation: string | null): string {
  if (limitation === null) return '–';
  return { none: 'nothing', cpu: 'processor', bandwidth: 'network' }[limitation] ?? limitation;
}

function showMicrophone(): void {
  const track = source?.stream.getAudioTracks()[0];
  muteButton.hidden = track === undefined;
  if (track !== undefined) track.enabled = muteButton.getAttribute('aria-pressed') !== 'true';
}

function showWatchLink(): void {
  const url = pageUrl('player', isRoomName(form.roomInput.value) ? form.roomInput.value : 'live');
  watchLink.href = url;
  setText(watchLink, url);
}

async function prepare(): Promise<void> {
  form.roomInput.value = initialRoom();
  form.tokenInput.value = storedToken();
  form.fillCodecs();
  showWatchLink();
  enableCopyButtons();
  expose(handle);
  setState('idle', 'Not live');

  startButton.addEventListener('click', () => void start());
  stopButton.addEventListener('click', () => void stop());
  find('preview-button', HTMLButtonElement).addEventListener('click', () => void openSource());
  form.roomInput.addEventListener('input', showWatchLink);
  form.onSourceChange(() => {
    // A source of another kind is opened at once when it is being looked at; else when Preview or Start is pressed.
    if (source !== null) void openSource();
  });
  muteButton.addEventListener('click', () => {
    const muted = muteButton.getAttribute('aria-pressed') !== 'true';
    muteButton.setAttribute('aria-pressed', String(muted));
    setText(muteButton, muted ? 'Sound is off' : 'Mute sound');
    showMicrophone();
  });
  addEventListener('pagehide', () => stopTracks(source?.stream ?? null));
  navigator.mediaDevices?.addEventListener('devicechange', () => {
    void listDevices(form.cameraSelect, form.microphoneSelect);
  });
  void listDevices(form.cameraSelect, form.microphoneSelect);
  const bootstrap = await fetchBootstrap().catch(() => null);
  form.showToken(bootstrap?.authEnabled === true || form.tokenInput.value !== '');
}

void prepare();
