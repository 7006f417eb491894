/** The settings of the publisher page. */
import type { PublishOptions } from '../clients/whip-client.ts';
import type { CaptureChoice } from './capture.ts';
import { find } from './dom.ts';

interface Quality {
  width: number;
  height: number;
  framesPerSecond: number;
  /** Enough for the fastest codec-independent motion at this size. */
  maxBitrateBps: number;
}

const DEFAULT_QUALITY = '720p30';
const QUALITIES: Readonly<Record<string, Quality>> = {
  '1080p60': { width: 1920, height: 1080, framesPerSecond: 60, maxBitrateBps: 8_000_000 },
  '1080p30': { width: 1920, height: 1080, framesPerSecond: 30, maxBitrateBps: 5_000_000 },
  '720p30': { width: 1280, height: 720, framesPerSecond: 30, maxBitrateBps: 2_500_000 },
  '480p30': { width: 854, height: 480, framesPerSecond: 30, maxBitrateBps: 1_200_000 },
  '360p30': { width: 640, height: 360, framesPerSecond: 30, maxBitrateBps: 700_000 },
};
/** Codecs that the server forwards and browsers can encode. */
const CODECS = ['H264', 'VP8', 'VP9', 'AV1', 'H265'];

export class PublisherForm {
  readonly roomInput = find('room', HTMLInputElement);
  readonly tokenInput = find('token', HTMLInputElement);
  readonly cameraSelect = find('camera-select', HTMLSelectElement);
  readonly microphoneSelect = find('mic-select', HTMLSelectElement);
  readonly #codecSelect = find('codec-select', HTMLSelectElement);
  readonly #qualitySelect = find('quality-select', HTMLSelectElement);
  readonly #bitrateSelect = find('bitrate-select', HTMLSelectElement);
  readonly #simulcast = find('simulcast', HTMLInputElement);
  readonly #sources = [...document.querySelectorAll<HTMLInputElement>('input[name="source"]')];
  /** What cannot change while live: it is negotiated, or names the session. */
  readonly #fixed = find('fixed-settings', HTMLFieldSetElement);

  constructor() {
    for (const radio of this.#sources) radio.addEventListener('change', () => this.#showDevices());
    this.#showDevices();
  }

  capture(): CaptureChoice {
    const { width, height, framesPerSecond } = this.#quality();
    const source = this.#sources.find((radio) => radio.checked)?.value;
    return {
      source: source === 'screen' || source === 'pattern' ? source : 'camera',
      cameraId: this.cameraSelect.value,
      microphoneId: this.microphoneSelect.value,
      width,
      height,
      framesPerSecond,
    };
  }

  /** `codec` is empty for the browser's own choice. */
  encoding(): PublishOptions & { codec: string } {
    const chosenBps = Number(this.#bitrateSelect.value);
    return {
      codec: this.#codecSelect.value,
      simulcast: this.#simulcast.checked,
      maxBitrateBps: chosenBps > 0 ? chosenBps : this.#quality().maxBitrateBps,
    };
  }

  /** Offers only what this browser can encode. */
  fillCodecs(): void {
    const codecs = globalThis.RTCRtpSender?.getCapabilities('video')?.codecs ?? [];
    const known = new Set(codecs.map((codec) => codec.mimeType.toUpperCase()));
    const options = CODECS.filter((name) => known.has(`VIDEO/${name}`)).map((name) => new Option(name, name));
    this.#codecSelect.replaceChildren(new Option('Automatic', ''), ...options);
  }

  showToken(visible: boolean): void {
    find('token-field', HTMLElement).hidden = !visible;
  }

  lock(locked: boolean): void {
    this.#fixed.disabled = locked;
  }

  /** Another source, device or size was chosen. */
  onSourceChange(changed: () => void): void {
    for (const control of [...this.#sources, this.cameraSelect, this.microphoneSelect, this.#qualitySelect]) {
      control.addEventListener('change', changed);
    }
  }

  #quality(): Quality {
    return QUALITIES[this.#qualitySelect.value] ?? (QUALITIES[DEFAULT_QUALITY] as Quality);
  }

  #showDevices(): void {
    const { source } = this.capture();
    find('camera-field', HTMLElement).hidden = source !== 'camera';
    find('mic-field', HTMLElement).hidden = source === 'pattern';
  }
}
