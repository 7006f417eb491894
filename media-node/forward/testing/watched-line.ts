/** A publisher with picture and sound, and a viewer behind a line of its own; in the time of a test. */
import { Bottleneck, type BottleneckOptions } from './bottleneck.ts';
import { seededRandom } from './keys.ts';
import { audioEgress, audioIngress, videoEgress, videoIngress } from './plans.ts';
import { Player } from './player.ts';
import type { RtpSource } from './rtp-source.ts';
import { type TestPublisher, type TestViewer, World } from './world.ts';

const STEP_MS = 5;
const STEPS_PER_FRAME = 7;
const STEPS_PER_SOUND = 4;
const STEPS_PER_TICK = 2;
const STEPS_PER_TURN_OF_PLAYER = 4;
const PACKETS_PER_FRAME = 8;
const PACKETS_PER_KEYFRAME = 24;
const FRAMES_PER_KEYFRAME = 60;
const PAYLOAD_BYTES = 1_000;
const SOUND_BYTES = 120;
/** 90 and 48 kHz. */
const UNITS_PER_FRAME = STEP_MS * STEPS_PER_FRAME * 90;
const UNITS_PER_SOUND = STEP_MS * STEPS_PER_SOUND * 48;
const [VIDEO_SSRC, RTX_SSRC, SOUND_SSRC] = [0x5000, 0x5001, 0x6000];
/** A player waits so long for what is missing of a picture. */
const IN_TIME_MS = 1_000;
const BITS_PER_BYTE = 8;

/** All shares are from 0 to 1. */
export interface Seen {
  /** Pictures that were whole in time. */
  whole: number;
  /** The same, and all before them since a keyframe. */
  decoded: number;
  /** Packets of the sound that arrived. */
  sound: number;
  /** Packets that were sent again, for each packet of the picture. */
  repairs: number;
  /** Of the picture, each packet once. */
  usefulBps: number;
}

/**
 * 2 Mb/s of picture, headers included, with a keyframe every two seconds: the publisher does not answer requests, as OBS does
 * not; and a little sound, which nobody sends again.
 */
export class WatchedLine {
  /** To the viewer. May be changed at any time. */
  readonly line: BottleneckOptions = { rateBps: Number.POSITIVE_INFINITY, queueMs: 100, delayMs: 20, loss: 0 };
  readonly #world = new World();
  readonly #publisher: TestPublisher;
  readonly #viewer: TestViewer;
  readonly #picture: RtpSource;
  readonly #sound: RtpSource;
  readonly #player: Player;
  readonly #down: Bottleneck;
  readonly #up: Bottleneck;
  /** When each frame was sent. */
  readonly #sentMs: number[] = [];
  #sounds = 0;
  #steps = 0;

  constructor(seed: number, withRtx: boolean) {
    const world = this.#world;
    const random = seededRandom(seed);
    this.#publisher = world.publisher([videoIngress(), audioIngress()]);
    this.#picture = this.#publisher.source({ ssrc: 0x1000, payloadType: 96 });
    this.#sound = this.#publisher.source({ ssrc: 0x2000, payloadType: 111 });
    const viewer = world.viewer([videoEgress(withRtx ? {} : { rtxSsrc: null, rtxPayloadType: null }), audioEgress()]);
    this.#viewer = viewer;
    this.#down = new Bottleneck(this.line, random, (datagram) => viewer.peer.receive(datagram));
    this.#up = new Bottleneck({ ...this.line }, random, (datagram) => viewer.media.receive(datagram, world.nowMs));
    viewer.link = (datagram) => this.#down.send(datagram, world.nowMs);
    this.#player = new Player({
      ssrc: VIDEO_SSRC,
      rtxSsrc: withRtx ? RTX_SSRC : null,
      soundSsrc: SOUND_SSRC,
      peer: viewer.peer,
      say: (datagram) => this.#up.send(datagram, world.nowMs),
    });
    viewer.media.attach('v', this.#publisher.track('1'), world.nowMs);
    viewer.media.attach('a', this.#publisher.track('0'), world.nowMs);
  }

  /** Lets that many seconds pass. */
  play(seconds: number): Seen {
    const first = this.#sentMs.length;
    const before = this.#counts();
    for (let left = (seconds * 1_000) / STEP_MS; left > 0; left--, this.#steps++) this.#step();
    const after = this.#counts();
    const { whole, decoded } = this.#player.shown(first, this.#sentMs, IN_TIME_MS);
    const resent = after.resent - before.resent;
    return {
      whole,
      decoded,
      sound: (after.soundsHeard - before.soundsHeard) / (after.sounds - before.sounds),
      repairs: resent / (after.packets - before.packets),
      usefulBps: Math.round(((after.usefulBytes - before.usefulBytes) * BITS_PER_BYTE) / seconds),
    };
  }

  #counts() {
    const { usefulBytes, sounds: soundsHeard } = this.#player;
    const [picture] = this.#viewer.media.stats(this.#world.nowMs);
    return {
      packets: this.#picture.sequence,
      resent: picture?.retransmitted ?? 0,
      sounds: this.#sounds,
      soundsHeard,
      usefulBytes,
    };
  }

  #step(): void {
    const world = this.#world;
    if (this.#steps % STEPS_PER_SOUND === 0) this.#speak();
    if (this.#steps % STEPS_PER_FRAME === 0) this.#show();
    world.nowMs += STEP_MS;
    this.#down.run(world.nowMs);
    this.#up.run(world.nowMs);
    if (this.#steps % STEPS_PER_TICK === 0) world.forwarder.tick(world.nowMs);
    if (this.#steps % STEPS_PER_TURN_OF_PLAYER === 0) this.#player.run(world.nowMs);
  }

  #speak(): void {
    this.#sounds++;
    this.#publisher.media.receive(this.#sound.packet(Buffer.alloc(SOUND_BYTES)).datagram, this.#world.nowMs);
    this.#sound.timestamp += UNITS_PER_SOUND;
  }

  #show(): void {
    const isKeyframe = this.#picture.frames % FRAMES_PER_KEYFRAME === 0;
    const packets = isKeyframe ? PACKETS_PER_KEYFRAME : PACKETS_PER_FRAME;
    this.#sentMs.push(this.#world.nowMs);
    for (const { datagram } of this.#picture.frame(isKeyframe, packets, PAYLOAD_BYTES)) {
      this.#publisher.media.receive(datagram, this.#world.nowMs);
    }
    this.#picture.timestamp += UNITS_PER_FRAME;
  }
}
