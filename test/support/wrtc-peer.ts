/** A WHIP publisher and a WHEP viewer in Node, on libwebrtc (@roamhq/wrtc). */
import { testSources, type WrtcConnection, wrtc } from './wrtc.ts';

const CONNECT_DEADLINE_MS = 30_000;
const POLL_MS = 50;
const CHECKED_STATES = ['failed', 'closed'];

export interface WrtcOptions {
  /** The WHIP or WHEP endpoint. */
  url: string;
  token?: string;
  /** What a viewer asks for; both when not given. libwebrtc has no H264 here: audio is all it can have of FFmpeg. */
  kinds?: readonly ('audio' | 'video')[];
  /** Offer this video codec only; otherwise libwebrtc's own order. */
  codec?: 'VP8' | 'VP9' | 'AV1';
  /** Changes the answer before libwebrtc sees it, e.g. `proxy.rewrite`. */
  rewriteAnswer?: (sdp: string) => string;
}

/** Sums over all RTP streams of the connection. */
export interface Counters {
  packetsSent: number;
  packetsReceived: number;
  packetsLost: number;
  framesEncoded: number;
  framesDecoded: number;
  nackCount: number;
  pliCount: number;
  retransmittedPacketsSent: number;
}

const COUNTER_NAMES = [
  'packetsSent',
  'packetsReceived',
  'packetsLost',
  'framesEncoded',
  'framesDecoded',
  'nackCount',
  'pliCount',
  'retransmittedPacketsSent',
] as const satisfies (keyof Counters)[];

export class WrtcPeer implements AsyncDisposable {
  readonly connection: WrtcConnection;
  /** The session resource. */
  readonly resource: string;
  /** The 201's SDP as it came. */
  readonly answer: string;
  #etag: string | null;
  readonly #endSources: () => void;

  private constructor(
    connection: WrtcConnection,
    session: { resource: string; answer: string; etag: string | null },
    endSources: () => void,
  ) {
    this.connection = connection;
    this.resource = session.resource;
    this.answer = session.answer;
    this.#etag = session.etag;
    this.#endSources = endSources;
  }

  /** Offers, posts, and resolves when the connection is up. Throws with status and body when the server refuses. */
  static async open(direction: 'publish' | 'play', options: WrtcOptions): Promise<WrtcPeer> {
    const connection = new wrtc.RTCPeerConnection();
    const sources = direction === 'publish' ? testSources() : null;
    try {
      if (sources === null) {
        for (const kind of options.kinds ?? ['audio', 'video']) {
          connection.addTransceiver(kind, { direction: 'recvonly' });
        }
      }
      for (const track of sources?.tracks ?? []) connection.addTransceiver(track, { direction: 'sendonly' });
      const offer = await connection.createOffer();
      const sdp = options.codec === undefined ? offer.sdp : withVideoCodec(offer.sdp, options.codec);
      await connection.setLocalDescription({ type: 'offer', sdp });
      await until(() => connection.iceGatheringState === 'complete', 'gathering', CONNECT_DEADLINE_MS);
      const session = await post(options, connection.localDescription?.sdp ?? '');
      const answer = options.rewriteAnswer?.(session.answer) ?? session.answer;
      await connection.setRemoteDescription({ type: 'answer', sdp: answer });
      const peer = new WrtcPeer(connection, session, () => sources?.stop());
      await peer.connected();
      return peer;
    } catch (error) {
      sources?.stop();
      connection.close();
      throw error;
    }
  }

  /** Entity-tag of the present ICE session. */
  get etag(): string | null {
    return this.#etag;
  }

  async connected(deadlineMs = CONNECT_DEADLINE_MS): Promise<void> {
    await until(
      () => {
        const state = this.connection.connectionState;
        if (CHECKED_STATES.includes(state)) throw new Error(`the connection is ${state}`);
        return state === 'connected';
      },
      'the connection',
      deadlineMs,
    );
  }

  async counters(): Promise<Counters> {
    const sums = Object.fromEntries(COUNTER_NAMES.map((name) => [name, 0])) as unknown as Counters;
    for (const stat of (await this.connection.getStats()).values()) {
      if (stat.type !== 'inbound-rtp' && stat.type !== 'outbound-rtp') continue;
      for (const name of COUNTER_NAMES) sums[name] += Number(stat[name] ?? 0);
    }
    return sums;
  }

  /** Resolves with the counters when `name` has grown by `by` from now on. */
  async grown(name: keyof Counters, by: number, deadlineMs = CONNECT_DEADLINE_MS): Promise<Counters> {
    const before = (await this.counters())[name];
    let counters = await this.counters();
    await until(
      async () => {
        counters = await this.counters();
        return counters[name] >= before + by;
      },
      `${name} + ${by}`,
      deadlineMs,
    );
    return counters;
  }

  /** Ends the session as a client should: DELETE, then close. Resolves with the DELETE's status. */
  async stop(): Promise<number> {
    const response = await fetch(this.resource, { method: 'DELETE' });
    await response.body?.cancel();
    this.kill();
    return response.status;
  }

  /** Vanishes without a DELETE (libwebrtc still says goodbye in DTLS). */
  kill(): void {
    this.#endSources();
    this.connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
  }
}

export function publishWithWrtc(options: WrtcOptions): Promise<WrtcPeer> {
  return WrtcPeer.open('publish', options);
}

export function playWithWrtc(options: WrtcOptions): Promise<WrtcPeer> {
  return WrtcPeer.open('play', options);
}

async function post(
  options: WrtcOptions,
  offer: string,
): Promise<{ resource: string; answer: string; etag: string | null }> {
  const response = await fetch(options.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/sdp',
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
    },
    body: offer,
  });
  const answer = await response.text();
  const location = response.headers.get('location');
  if (response.status !== 201 || location === null) throw new Error(`${response.status} ${answer}`);
  return { resource: new URL(location, options.url).href, answer, etag: response.headers.get('etag') };
}

async function until(done: () => boolean | Promise<boolean>, what: string, deadlineMs: number): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await done())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Leaves one codec and its retransmission format in the video section: libwebrtc has no `setCodecPreferences` here. */
export function withVideoCodec(sdp: string, codec: string): string {
  const start = sdp.indexOf('m=video');
  if (start < 0) return sdp;
  const next = sdp.indexOf('\r\nm=', start + 1);
  const end = next < 0 ? sdp.length : next + 2;
  const lines = sdp.slice(start, end).split('\r\n');
  const kept = new Set<string>();
  for (const line of lines) {
    const format = /^a=rtpmap:(\d+) ([^/]+)\//.exec(line);
    if (format?.[1] !== undefined && format[2]?.toUpperCase() === codec) kept.add(format[1]);
  }
  for (const line of lines) {
    const retransmission = /^a=fmtp:(\d+) apt=(\d+)$/.exec(line);
    if (retransmission?.[1] !== undefined && kept.has(retransmission[2] ?? '')) kept.add(retransmission[1]);
  }
  const section = lines.flatMap((line) => {
    if (line.startsWith('m=')) return [[...line.split(' ').slice(0, 3), ...kept].join(' ')];
    const payloadType = /^a=(?:rtpmap|fmtp|rtcp-fb):(\d+)/.exec(line)?.[1];
    return payloadType === undefined || kept.has(payloadType) ? [line] : [];
  });
  return sdp.slice(0, start) + section.join('\r\n') + sdp.slice(end);
}
