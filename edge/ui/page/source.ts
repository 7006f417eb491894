/** One thing to publish, whatever it is made of. */
import { type CaptureChoice, captureCamera, captureScreen, stopTracks } from './capture.ts';
import { startTestPattern } from './test-pattern.ts';

export interface Source {
  stream: MediaStream;
  /** Gives camera, screen and microphone back. */
  stop(): void;
}

/** Throws what the browser throws; `describeCaptureError` words it. */
export async function acquireSource(choice: CaptureChoice): Promise<Source> {
  if (choice.source === 'pattern') return startTestPattern(choice);
  const stream = choice.source === 'screen' ? await captureScreen(choice) : await captureCamera(choice);
  return { stream, stop: () => stopTracks(stream) };
}
