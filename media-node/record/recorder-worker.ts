/** The recorder's thread: a slow disk, a checksum or an upload holds up nobody who watches. */
import { getPriority, setPriority } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import type { RecordFile } from './record-file.ts';
import { RecordStore } from './record-store.ts';
import { Recorder } from './recorder.ts';
import type { FromRecorder, OpenRecording, RecorderSettings, ToRecorder } from './worker-messages.ts';

/** Beyond this a recording takes no more, until the disk has some of it. */
const MAX_PENDING_BYTES = 16 * 1024 * 1024;
const TICK_MS = 200;
/** At the end of the process: for the last parts of files that the store has nearly. */
const LAST_PARTS_MS = 1_000;
/** Above that of the process, which may have been started with one. */
const THREAD_NICENESS = 10;
const MAX_NICENESS = 19;

interface Running {
  recorder: Recorder;
  /** Of batches that were taken and not acknowledged: the disk is behind. */
  owedBytes: number;
  closing: boolean;
}

const port = parentPort;
if (port === null) throw new Error('this is a worker');
const settings = workerData as RecorderSettings;
const say = (message: FromRecorder): void => port.postMessage(message);
const log = (message: string): void => say({ type: 'log', message });
const running = new Map<number, Running>();
let opened = 0;
/** As it was said last. */
let left = '';
giveWay();
const store = new RecordStore(settings, log, (file) => settle(file));

/** On Linux each thread has a priority of its own, and 0 is the one that asks: who forwards packets goes first. */
function giveWay(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(0, Math.min(MAX_NICENESS, getPriority(0) + THREAD_NICENESS));
  } catch (error) {
    // A container may forbid it. Recordings are worth more than their manners.
    log(`the recorder's thread keeps the priority of the others: ${error instanceof Error ? error.message : error}`);
  }
}

/** Some bytes reached the disk, or a file failed. */
function settle(_file: RecordFile): void {
  for (const [recording, entry] of running) settleOne(recording, entry);
}

function settleOne(recording: number, entry: Running): void {
  const { recorder, owedBytes } = entry;
  if (recorder.failed) void end(recording, entry);
  if (owedBytes === 0 || (recorder.pendingBytes > MAX_PENDING_BYTES && !recorder.failed)) return;
  say({ type: 'taken', recording, bytes: owedBytes });
  entry.owedBytes = 0;
}

function open(message: OpenRecording): void {
  const { recording } = message;
  opened++;
  const recorder = new Recorder(message, settings.maxFileBytes, {
    create: (file) => store.create(message, file),
    requestKeyframe: (track) => say({ type: 'keyframe', recording, track }),
    log,
  });
  running.set(recording, { recorder, owedBytes: 0, closing: false });
}

/** What one publisher sends must not end the recordings of the others. */
function guarded(recording: number, entry: Running, work: () => void): void {
  try {
    work();
  } catch (error) {
    log(`a recording stopped: ${error instanceof Error ? error.stack : error}`);
    entry.recorder.fail(`what was sent cannot be written: ${error instanceof Error ? error.message : error}`);
    void end(recording, entry);
  }
}

async function end(recording: number, entry: Running): Promise<void> {
  if (entry.closing) return;
  entry.closing = true;
  let error: string | null = entry.recorder.failed ? 'the file failed' : null;
  try {
    await entry.recorder.close();
  } catch (reason) {
    error = reason instanceof Error ? reason.message : String(reason);
    log(`a recording did not end well: ${error}`);
  }
  running.delete(recording);
  say({ type: 'ended', recording, error });
}

port.on('message', (message: ToRecorder) => {
  switch (message.type) {
    case 'open':
      open(message);
      break;
    case 'batch': {
      const entry = running.get(message.recording);
      if (entry === undefined || entry.closing) {
        say({ type: 'taken', recording: message.recording, bytes: message.bytes });
        break;
      }
      guarded(message.recording, entry, () => {
        entry.recorder.batch(Buffer.from(message.data, 0, message.bytes), message.gap);
      });
      entry.owedBytes += message.bytes;
      settleOne(message.recording, entry);
      break;
    }
    case 'close': {
      const entry = running.get(message.recording);
      if (entry !== undefined) void end(message.recording, entry);
      break;
    }
    case 'stop':
      void stop();
      break;
  }
});

const timer = setInterval(() => {
  const nowMs = performance.timeOrigin + performance.now();
  for (const [recording, entry] of running) {
    if (!entry.closing) guarded(recording, entry, () => entry.recorder.tick(nowMs));
    settleOne(recording, entry);
  }
  sayWhatIsLeft();
}, TICK_MS);

function sayWhatIsLeft(): void {
  const files = running.size + store.left;
  const now = `${opened} ${files}`;
  if (now !== left) say({ type: 'left', opened, files });
  left = now;
}

async function stop(): Promise<void> {
  clearInterval(timer);
  await Promise.all(
    [...running].map(([recording, entry]) => (entry.closing ? entry.recorder.close() : end(recording, entry))),
  );
  await Promise.race([store.settled(), delay(LAST_PARTS_MS)]);
  await store.stop();
  say({ type: 'stopped' });
}

void store.recover();
