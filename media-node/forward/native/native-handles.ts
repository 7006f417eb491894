/** What JavaScript knows of the things that live in the addon: their handles, and what it does itself for peers without a route. */
import type { SinkMapping } from '../fanout-engine.ts';
import type { SendDatagram } from '../types.ts';

export interface Peer {
  readonly native: number;
  readonly send: SendDatagram;
  /** Whether the addon sends by itself; decided when the peer is opened. */
  routed: boolean;
  open: boolean;
}

export interface Sink {
  readonly native: number;
  readonly peer: Peer;
  readonly hasRtx: boolean;
  /** Only of a sink whose peer has no route: the addon knows the others. */
  group: Group | null;
  mapping: SinkMapping;
}

export interface Group {
  readonly native: number;
  hasLog: boolean;
  /** Sinks whose datagrams go through JavaScript. */
  readonly handed: Sink[];
}
