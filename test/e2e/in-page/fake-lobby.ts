/**
 * A stream lobby inside of the page: takes the place of `fetch` for one stream and answers with peer connections of its
 * own, so that a test decides what the server offers, when, and how often. Bundled by `lobby-client.test.ts`.
 */
import { LobbyClient } from '../../../edge/ui/clients/index.ts';
import type { MemberTrack } from '../../../edge/ui/clients/member-listener.ts';

const PATH = '/space/fake/stream/6f1c1f5e-0000-4000-8000-000000000001';
const SDP = 'application/sdp';

interface Section {
  transceiver: RTCRtpTransceiver;
  streamId: string;
  trackId: string;
  info: string;
}

interface Frame {
  id: number;
  type: number;
  data: { number?: number; sdp?: { type: string; sdp: string }; mid?: string; mute?: boolean };
}

export class FakeLobby {
  /** `POST whip 201` and so on, in order. */
  readonly log: string[] = [];
  /** What came over the signal channel. */
  readonly frames: Frame[] = [];
  whipOffer = '';
  /** Answers the next POST of `whip` with this status. */
  refuse: number | null = null;
  #token = 0;
  #sessions = 0;
  /** Sessions with a number up to this are unknown here. */
  #forgotten = 0;
  #ingress: RTCPeerConnection | null = null;
  #egress: RTCPeerConnection | null = null;
  #channel: RTCDataChannel | null = null;
  #sections: Section[] = [];
  #number = 0;
  #messages = 0;
  #lastOffer: Frame | null = null;

  install(): void {
    const original = globalThis.fetch.bind(globalThis);
    globalThis.fetch = async (input, init) => {
      const url = new URL(String(input), location.href);
      const isOurs = url.pathname.startsWith(PATH) || url.pathname.startsWith('/resource/');
      return isOurs ? this.#answer(url.pathname, init ?? {}) : original(input, init);
    };
  }

  /** Offers the tracks that there are now, and waits for the answer. */
  async offer(changes: { broken?: boolean } = {}): Promise<void> {
    const egress = this.#need(this.#egress);
    const offer = await egress.createOffer();
    if (changes.broken === true) {
      this.sendOffer(++this.#number, 'v=0\r\nnonsense');
      return;
    }
    await egress.setLocalDescription(offer);
    const number = ++this.#number;
    this.sendOffer(number, this.#described(egress));
    const answer = await this.answerTo(number);
    await egress.setRemoteDescription({ type: 'answer', sdp: answer.data.sdp?.sdp ?? '' });
  }

  sendOffer(number: number, sdp: string): void {
    this.#lastOffer = { id: ++this.#messages, type: 1, data: { number, sdp: { type: 'offer', sdp } } };
    this.send(this.#lastOffer);
  }

  /** The last offer under another message id, as a server does that has no answer. */
  repeatOffer(): void {
    this.send({ ...this.#need(this.#lastOffer), id: ++this.#messages });
  }

  get lastOffer(): Frame {
    return this.#need(this.#lastOffer);
  }

  send(frame: unknown): void {
    this.#need(this.#channel).send(new TextEncoder().encode(JSON.stringify(frame)));
  }

  async answerTo(number: number): Promise<Frame> {
    for (;;) {
      const found = this.frames.find((frame) => frame.type === 2 && frame.data.number === number);
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** A member's picture and sound, in sections that are free or new. Returns the mids after the next offer. */
  addMember(name: string, info: string): void {
    const stream = picture();
    for (const track of stream.getTracks()) {
      const ids = { streamId: `stream-${name}`, trackId: `${name}-${track.kind}`, info };
      const free = this.#sections.find(
        ({ transceiver }) => transceiver.direction === 'inactive' && transceiver.receiver.track.kind === track.kind,
      );
      if (free === undefined) {
        const transceiver = this.#need(this.#egress).addTransceiver(track, { direction: 'sendonly' });
        this.#sections.push({ transceiver, ...ids });
      } else {
        Object.assign(free, ids);
        free.transceiver.direction = 'sendonly';
        void free.transceiver.sender.replaceTrack(track);
      }
    }
  }

  removeMember(name: string): void {
    for (const { streamId, transceiver } of this.#sections) {
      if (streamId === `stream-${name}`) transceiver.direction = 'inactive';
    }
  }

  midOf(trackId: string): string {
    return this.#sections.find((section) => section.trackId === trackId)?.transceiver.mid ?? '';
  }

  closeSignal(): void {
    this.#need(this.#channel).close();
  }

  /** All sessions are unknown from now on, as after the death of their node; what they have open stays open. */
  forget(): void {
    this.#forgotten = this.#sessions;
    this.#token += 1;
  }

  async #answer(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    const response = await this.#respond(path, init, headers);
    const name = path.startsWith(PATH) ? path.slice(PATH.length + 1) : path.split('/').at(-1);
    this.log.push(`${init.method ?? 'GET'} ${name} ${response.status}`);
    return response;
  }

  async #respond(path: string, init: RequestInit, headers: Headers): Promise<Response> {
    const call = `${init.method} ${path.startsWith(PATH) ? path.slice(PATH.length) : path}`;
    const body = String(init.body ?? '');
    const session = /\/resource\/[a-z]+(\d+)$/.exec(path)?.[1];
    if (session !== undefined && Number(session) <= this.#forgotten) {
      return Response.json({ error: 'unknown session', code: 'no_session' }, { status: 404 });
    }
    if (call === 'POST /whip') return this.#enter(body);
    if (call.startsWith('PATCH /resource/')) return this.#trickle(body);
    if (call.startsWith('DELETE /resource/')) {
      (call.includes('listener') ? this.#egress : this.#ingress)?.close();
      return new Response(null, { status: 200 });
    }
    if (call.startsWith('GET /resource/')) return new Response(null, { status: 200 });
    if (headers.get('X-Req-Token') !== `T${this.#token}` || init.credentials !== 'include') {
      return Response.json({ error: 'bad request token', code: 'bad_request_token' }, { status: 403 });
    }
    const token = { 'X-Req-Token': `T${++this.#token}` };
    if (call === 'POST /whep') return this.#listen(token);
    if (call === 'PATCH /whep') {
      await this.#need(this.#egress).setRemoteDescription({ type: 'answer', sdp: body });
      return new Response(null, { status: 201, headers: token });
    }
    if (call === 'GET /live') {
      const status = { status: 'offline', state: 'retrying', isLive: true, error: 'refused' };
      return Response.json(status, { headers: token });
    }
    if (call === 'POST /live') return Response.json({ resource: 'live-1' }, { status: 201, headers: token });
    if (call === 'DELETE /live') return Response.json({ error: 'not live' }, { status: 404, headers: token });
    return new Response(null, { status: 404, headers: token });
  }

  async #enter(offer: string): Promise<Response> {
    if (this.refuse !== null) return Response.json({ error: 'refused', code: 'refused' }, { status: this.refuse });
    this.whipOffer = offer;
    const ingress = new RTCPeerConnection();
    this.#ingress = ingress;
    ingress.addEventListener('datachannel', ({ channel }) => {
      this.#channel = channel;
      channel.binaryType = 'arraybuffer';
      channel.addEventListener('message', ({ data }) => {
        this.frames.push(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data as ArrayBuffer)) as Frame);
      });
    });
    await ingress.setRemoteDescription({ type: 'offer', sdp: offer });
    await ingress.setLocalDescription();
    return this.#created(await gathered(ingress), `member${++this.#sessions}`, { 'X-Req-Token': `T${++this.#token}` });
  }

  async #listen(token: Record<string, string>): Promise<Response> {
    const egress = new RTCPeerConnection();
    this.#egress = egress;
    this.#sections = [];
    this.#number = 0;
    egress.createDataChannel('data');
    await egress.setLocalDescription();
    return this.#created(await gathered(egress), `listener${++this.#sessions}`, token);
  }

  async #trickle(fragment: string): Promise<Response> {
    const target = this.#ingress?.connectionState === 'connected' ? this.#egress : this.#ingress;
    for (const candidate of fragment.match(/candidate:.*/g) ?? []) {
      await target?.addIceCandidate({ candidate, sdpMLineIndex: 0 }).catch(() => undefined);
    }
    return new Response(null, { status: 204 });
  }

  #created(sdp: string, resource: string, extra: Record<string, string>): Response {
    const headers = { 'Content-Type': SDP, Location: `/resource/${resource}`, ETag: '"1"', ...extra };
    const response = new Response(sdp, { status: 201, headers });
    Object.defineProperty(response, 'url', { value: location.href });
    return response;
  }

  /** The offer with identities and `i=` lines of our own choice. */
  #described(connection: RTCPeerConnection): string {
    const sections = (connection.localDescription?.sdp ?? '').split(/(?=^m=)/m);
    return sections
      .map((text) => {
        const mid = /^a=mid:(.*)\r$/m.exec(text)?.[1];
        const section = this.#sections.find(({ transceiver }) => transceiver.mid === mid);
        if (section === undefined) return text;
        return text
          .replace(/^a=msid:.*\r\n/gm, '')
          .replace(/^a=ssrc:\d+ msid:.*\r\n/gm, '')
          .replace(/^(m=.*\r\n)/, `$1i=${section.info}\r\n`)
          .replace(/^(a=mid:.*\r\n)/m, `$1a=msid:${section.streamId} ${section.trackId}\r\n`);
      })
      .join('');
  }

  #need<T>(value: T | null): T {
    if (value === null) throw new Error('nothing there yet');
    return value;
  }
}

/** A client of the fake, with what it told. */
export class WatchedClient {
  readonly lobby = new LobbyClient({ space: 'fake', stream: PATH.split('/').at(-1) ?? '', token: 'jwt' });
  readonly events: string[] = [];
  readonly tracks = new Map<string, MemberTrack>();

  constructor() {
    this.lobby.addEventListener('state', ({ detail }) => this.events.push(`state ${detail.state}`));
    this.lobby.addEventListener('member-track', ({ detail }) => {
      this.tracks.set(detail.id, detail);
      this.events.push(
        `track ${detail.id} ${detail.info.purpose} ${detail.info.label}${detail.info.muted ? ' muted' : ''}`,
      );
    });
    this.lobby.addEventListener('track-ended', ({ detail }) => {
      this.tracks.delete(detail.id);
      this.events.push(`ended ${detail.id}`);
    });
    this.lobby.addEventListener('mute', ({ detail }) => this.events.push(`mute ${detail.id} ${detail.muted}`));
    this.lobby.addEventListener('error', ({ detail }) => {
      this.events.push(`error ${detail.error.code}${detail.fatal ? ' fatal' : ''}`);
    });
  }

  async waitFor(text: string, count = 1): Promise<void> {
    while (this.events.filter((event) => event.startsWith(text)).length < count) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Frames decoded per track id. */
  async framesDecoded(trackId: string): Promise<number> {
    const { receive } = this.lobby.connections;
    const receiver = receive?.getReceivers().find(({ track }) => track === this.tracks.get(trackId)?.track);
    const report = await receiver?.getStats();
    return [...(report?.values() ?? [])].find(({ type }) => type === 'inbound-rtp')?.framesDecoded ?? 0;
  }
}

/** Moves, so that there is something to decode; sounds. */
export function picture(): MediaStream {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width: 160, height: 90 });
  const context = canvas.getContext('2d');
  let frame = 0;
  setInterval(() => {
    if (context === null) return;
    context.fillStyle = `hsl(${(frame++ * 7) % 360} 80% 50%)`;
    context.fillRect(0, 0, 160, 90);
  }, 50);
  const sound = new AudioContext().createMediaStreamDestination().stream;
  return new MediaStream([...canvas.captureStream(20).getTracks(), ...sound.getTracks()]);
}

async function gathered(connection: RTCPeerConnection): Promise<string> {
  while (connection.iceGatheringState !== 'complete') await new Promise((resolve) => setTimeout(resolve, 10));
  return connection.localDescription?.sdp ?? '';
}

declare global {
  var fakes: { FakeLobby: typeof FakeLobby; WatchedClient: typeof WatchedClient; picture: typeof picture };
}
globalThis.fakes = { FakeLobby, WatchedClient, picture };
