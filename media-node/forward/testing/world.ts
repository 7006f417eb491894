/** A forwarder with test clients around it, in a time that the test owns. */
import type { EgressTrackPlan, IngressTrackPlan } from '../../negotiate/plan.ts';
import type { SrtpProfile } from '../../transport/types.ts';
import type { FanoutEngine } from '../fanout-engine.ts';
import { createForwarder } from '../forwarder.ts';
import type { EgressMedia, Forwarder, IngressMedia, SourceTrack } from '../types.ts';
import { keyPair } from './keys.ts';
import { RtpSource, type RtpSourceOptions } from './rtp-source.ts';
import { TestPeer } from './test-peer.ts';

/** What the node's clock shows, in Unix milliseconds, at time 0 of a test. */
export const EPOCH_MS = 1_790_000_000_000;
const TICK_MS = 10;

export interface TestPublisher {
  media: IngressMedia;
  peer: TestPeer;
  authenticated: number;
  source(options: RtpSourceOptions): RtpSource;
  track(mid: string): SourceTrack;
}

export interface TestViewer {
  media: EgressMedia;
  peer: TestPeer;
  authenticated: number;
  plans: readonly EgressTrackPlan[];
  /** What the node sends is given to this instead of to `peer` at once, when set. */
  link: ((datagram: Buffer) => void) | null;
}

export class World {
  nowMs = 1000;
  readonly forwarder: Forwarder;
  #sessions = 0;

  constructor(options: { keyframeCache?: boolean; keyframeCacheBytes?: number } = {}, engine?: FanoutEngine) {
    const { keyframeCache = true, keyframeCacheBytes = 2_000_000 } = options;
    this.forwarder = createForwarder(
      { keyframeCache, keyframeCacheBytes },
      { epochOffsetMs: EPOCH_MS, ...(engine === undefined ? {} : { engine }) },
    );
  }

  publisher(tracks: readonly IngressTrackPlan[], profile?: SrtpProfile): TestPublisher {
    const keys = keyPair(this.#sessions++ * 2, profile);
    const peer = new TestPeer(keys.peer);
    const publisher: TestPublisher = {
      peer,
      authenticated: 0,
      source: (options) => new RtpSource(options, peer.sender),
      track: (mid) => {
        const track = publisher.media.tracks.find((candidate) => candidate.mid === mid);
        if (track === undefined) throw new RangeError(`no track ${mid}`);
        return track;
      },
      media: this.forwarder.openIngress(
        {
          tracks,
          keys: keys.node,
          send: (datagram) => peer.receive(Buffer.from(datagram)),
          onAuthenticated: () => publisher.authenticated++,
        },
        this.nowMs,
      ),
    };
    return publisher;
  }

  viewer(plans: readonly EgressTrackPlan[], profile?: SrtpProfile): TestViewer {
    const keys = keyPair(this.#sessions++ * 2, profile);
    const peer = new TestPeer(keys.peer);
    const viewer: TestViewer = {
      peer,
      authenticated: 0,
      plans,
      link: null,
      media: this.forwarder.openEgress(
        {
          tracks: plans,
          keys: keys.node,
          send: (datagram) => {
            const copy = Buffer.from(datagram);
            if (viewer.link === null) peer.receive(copy);
            else viewer.link(copy);
          },
          onAuthenticated: () => viewer.authenticated++,
        },
        this.nowMs,
      ),
    };
    return viewer;
  }

  /** Lets time pass, with a tick every 10 ms. */
  pass(ms: number): void {
    const end = this.nowMs + ms;
    while (this.nowMs + TICK_MS <= end) {
      this.nowMs += TICK_MS;
      this.forwarder.tick(this.nowMs);
    }
    this.nowMs = end;
  }

  /** Sends the next frame of `source` (30 per second) and lets its time pass. */
  frame(publisher: TestPublisher, source: RtpSource, keyframe = false, packets = 3, payloadBytes = 200): void {
    for (const { datagram } of source.frame(keyframe, packets, payloadBytes))
      publisher.media.receive(datagram, this.nowMs);
    source.timestamp += 3000;
    this.pass(1000 / 30);
  }
}
