/**
 * Our data channels and, as their peer, werift's SCTP over a wire in memory: it sends what it is told to, whatever was
 * announced. Our end's clock stands still unless a test moves it.
 */
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import type * as SctpModule from '../../../node_modules/werift/lib/sctp/src/sctp.js';
import { AssociationChannels } from '../data-channels.ts';
import type { DataChannel } from '../types.ts';
import { eventually } from './eventually.ts';

const require = createRequire(import.meta.url);
const { SCTP } = require(resolve(dirname(require.resolve('werift')), '../../sctp/src/sctp.js')) as typeof SctpModule;

export const PPID = { dcep: 50, text: 51, binary: 53 } as const;

export interface Heard {
  label: string;
  data: Buffer;
  isBinary: boolean;
}

export class SctpPair {
  readonly channels: AssociationChannels;
  readonly client = SCTP.client({
    send: async (packet: Buffer) => {
      this.sent.push(packet);
      if (this.connected) setImmediate(() => this.deliver(packet));
    },
    close() {},
  });
  /** What the client sent, what we sent. */
  readonly sent: Buffer[] = [];
  readonly replies: Buffer[] = [];
  readonly opened: DataChannel[] = [];
  readonly heard: Heard[] = [];
  readonly closed: string[] = [];
  /** What the client got: stream, protocol, data. */
  readonly clientHeard: [number, number, Buffer][] = [];
  connected = true;
  nowMs = 0;
  /** Most that was kept of the client's data at any time. */
  peakHeldBytes = 0;

  constructor() {
    this.channels = new AssociationChannels(
      {
        remotePort: 5000,
        maxMessageBytes: 256 * 1024,
        events: {
          onChannel: (channel) => {
            this.opened.push(channel);
            channel.onMessage = (data, isBinary) => void this.heard.push({ label: channel.label, data, isBinary });
            channel.onClose = () => void this.closed.push(channel.label);
          },
        },
      },
      {
        dtlsRole: () => 'server',
        send: (packet) => {
          this.replies.push(packet);
          if (this.connected) setImmediate(() => void this.client.transport.onData?.(packet));
        },
        now: () => this.nowMs,
      },
    );
    this.client.onReceive.subscribe((...message) => void this.clientHeard.push(message));
  }

  deliver(packet: Buffer): void {
    this.channels.receive(packet, this.nowMs);
    this.peakHeldBytes = Math.max(this.peakHeldBytes, this.channels.heldBytes);
  }

  async start(): Promise<this> {
    await this.client.start(5000);
    await eventually(() => {
      if (this.client.state !== 'connected') throw new Error(this.client.state);
    });
    return this;
  }

  /** Not awaited: the client waits for acknowledgements that may never come. */
  send(stream: number, protocol: number, data: Buffer | string): void {
    void this.client.send(stream, protocol, Buffer.from(data as string));
  }

  openChannel(stream: number, label: string): void {
    const open = Buffer.alloc(12 + label.length);
    open.writeUInt8(3, 0);
    open.writeUInt16BE(label.length, 8);
    open.write(label, 12);
    this.send(stream, PPID.dcep, open);
  }

  async close(): Promise<void> {
    this.channels.close();
    await this.client.stop();
  }
}
