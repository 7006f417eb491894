/** Transports without a network: what they are told is kept, and what a peer would do is called by the test. */
import type { RemoteTransport } from '../../negotiate/plan.ts';
import type {
  DataChannel,
  DataChannels,
  DataChannelsOptions,
  DialOptions,
  MediaEndpoint,
  PeerTransport,
  PeerTransportOptions,
  SrtpKeys,
} from '../../transport/types.ts';

const KEYS: SrtpKeys = {
  profile: 'AEAD_AES_128_GCM',
  localKey: Buffer.alloc(16, 1),
  localSalt: Buffer.alloc(12, 2),
  remoteKey: Buffer.alloc(16, 3),
  remoteSalt: Buffer.alloc(12, 4),
};

export class FakeChannel implements DataChannel {
  readonly label: string;
  readonly protocol = '';
  readonly ordered = true;
  readonly bufferedBytes = 0;
  open = true;
  onOpen: DataChannel['onOpen'] = null;
  onMessage: DataChannel['onMessage'] = null;
  onClose: DataChannel['onClose'] = null;
  readonly sent: Buffer[] = [];
  readonly texts: string[] = [];

  constructor(label = 'any') {
    this.label = label;
  }

  sendText(text: string): boolean {
    if (this.open) this.texts.push(text);
    return this.open;
  }

  send(data: Uint8Array): boolean {
    if (this.open) this.sent.push(Buffer.from(data));
    return this.open;
  }

  close(): void {
    this.open = false;
  }

  /** The peer closes it. */
  lose(): void {
    this.open = false;
    this.onClose?.();
  }
}

export class FakeTransport implements PeerTransport {
  readonly remoteAddress = null;
  readonly options: PeerTransportOptions;
  remote: RemoteTransport | null = null;
  closed = false;
  dropped = 0;
  #channels: DataChannelsOptions | null = null;

  constructor(options: PeerTransportOptions) {
    this.options = options;
  }

  connect(): void {
    this.options.events.onConnected(KEYS);
  }

  openChannel(label?: string): FakeChannel {
    const channel = new FakeChannel(label);
    if (this.#channels === null) throw new Error('no data channels were negotiated');
    this.#channels.events.onChannel(channel);
    return channel;
  }

  openDataChannels(options: DataChannelsOptions): DataChannels {
    const transport = this;
    this.#channels = options;
    return {
      open: () => null,
      channels: [],
      get dropped() {
        return transport.dropped;
      },
      close() {},
    };
  }

  setRemote(remote: RemoteTransport): void {
    this.remote = remote;
  }

  restartIce(): void {}
  send(): void {}
  watchRoute(): void {}
  noteAuthenticated(): void {}

  close(): void {
    this.closed = true;
  }
}

export class FakeEndpoint implements MediaEndpoint {
  readonly candidates = [{ address: '192.0.2.1', port: 8840, family: 4 }] as const;
  readonly fingerprint = { algorithm: 'sha-256', value: Array(32).fill('AB').join(':') };
  readonly transports: FakeTransport[] = [];

  createTransport(options: PeerTransportOptions): FakeTransport {
    const transport = new FakeTransport(options);
    this.transports.push(transport);
    return transport;
  }

  dialTransport(options: DialOptions): FakeTransport {
    return this.createTransport(options);
  }

  get transportCount(): number {
    return this.transports.filter(({ closed }) => !closed).length;
  }

  /** The one whose credentials are in `sdp`. */
  transportOf(sdp: string): FakeTransport {
    const transport = this.transports.find(({ options }) => sdp.includes(`a=ice-ufrag:${options.local.ufrag}\r\n`));
    if (transport === undefined) throw new Error('no transport was opened for this description');
    return transport;
  }

  async close(): Promise<void> {}
}
