/** Cameras, microphones and screens, with failures in words for the person in front of them. */

export interface CaptureChoice {
  source: 'camera' | 'screen' | 'pattern';
  cameraId: string;
  /** Empty: the default device; `none`: no microphone. */
  microphoneId: string;
  width: number;
  height: number;
  framesPerSecond: number;
}

export const NO_MICROPHONE = 'none';

/** Camera with microphone. Throws what `getUserMedia` throws; see `describeCaptureError`. */
export async function captureCamera(choice: CaptureChoice): Promise<MediaStream> {
  const stream = await devices().getUserMedia({
    video: {
      ...(choice.cameraId === '' ? {} : { deviceId: { exact: choice.cameraId } }),
      width: { ideal: choice.width },
      height: { ideal: choice.height },
      frameRate: { ideal: choice.framesPerSecond },
    },
    audio: choice.microphoneId === NO_MICROPHONE ? false : microphoneConstraints(choice.microphoneId),
  });
  hint(stream, 'motion');
  return stream;
}

/** Screen with its own sound where the browser shares it, else with the microphone. */
export async function captureScreen(choice: CaptureChoice): Promise<MediaStream> {
  const stream = await devices().getDisplayMedia({
    video: {
      width: { max: choice.width },
      height: { max: choice.height },
      frameRate: { ideal: choice.framesPerSecond },
    },
    audio: true,
  });
  hint(stream, 'detail');
  if (stream.getAudioTracks().length === 0 && choice.microphoneId !== NO_MICROPHONE) {
    // A screen without sound is better than none: a refused microphone does not undo the share.
    const voice = await devices()
      .getUserMedia({ audio: microphoneConstraints(choice.microphoneId) })
      .catch(() => null);
    for (const track of voice?.getAudioTracks() ?? []) stream.addTrack(track);
  }
  return stream;
}

export function stopTracks(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/** Fills the selects with the devices of the machine; names are known only after a permission was given. */
export async function listDevices(cameras: HTMLSelectElement, microphones: HTMLSelectElement): Promise<void> {
  const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  fill(cameras, all, 'videoinput', 'Camera', []);
  fill(microphones, all, 'audioinput', 'Microphone', [new Option('No microphone', NO_MICROPHONE)]);
}

function fill(
  select: HTMLSelectElement,
  all: readonly MediaDeviceInfo[],
  kind: MediaDeviceKind,
  noun: string,
  extra: HTMLOptionElement[],
): void {
  const chosen = select.value;
  const known = all.filter((device) => device.kind === kind && device.deviceId !== '' && device.deviceId !== 'default');
  const options = known.map((device, at) => new Option(device.label || `${noun} ${at + 1}`, device.deviceId));
  select.replaceChildren(new Option(`Default ${noun.toLowerCase()}`, ''), ...options, ...extra);
  select.value = [...select.options].some((option) => option.value === chosen) ? chosen : '';
}

/** One sentence that says what to do. */
export function describeCaptureError(thrown: unknown, source: CaptureChoice['source']): string {
  if (!globalThis.isSecureContext) {
    return 'Browsers give out cameras and screens only over HTTPS or on localhost. The test pattern works everywhere.';
  }
  const name = thrown instanceof DOMException ? thrown.name : '';
  switch (name) {
    case 'NotAllowedError':
      return source === 'screen'
        ? 'No screen was shared. Try again and choose a screen, window or tab.'
        : 'The browser was not allowed to use the camera or microphone. Allow it next to the address, then try again.';
    case 'NotFoundError':
      return 'No camera or microphone was found. Connect one, or use the test pattern.';
    case 'OverconstrainedError':
      return 'The chosen device is not there any more. Choose another one.';
    case 'NotReadableError':
      return 'The camera or microphone is in use by another program.';
    case 'NotSupportedError':
      return 'This browser cannot capture this source. Choose another one.';
    default:
      return thrown instanceof Error ? thrown.message : 'The source could not be opened.';
  }
}

function devices(): MediaDevices {
  // Absent outside secure contexts, whatever the types say.
  const found: MediaDevices | undefined = navigator.mediaDevices;
  if (found === undefined) throw new DOMException('No media devices here', 'NotSupportedError');
  return found;
}

function microphoneConstraints(deviceId: string): MediaTrackConstraints | true {
  return deviceId === '' ? true : { deviceId: { exact: deviceId } };
}

/** Tells the encoder what to keep when bits are short: movement or sharp text. */
function hint(stream: MediaStream, value: 'motion' | 'detail'): void {
  for (const track of stream.getVideoTracks()) track.contentHint = value;
}
