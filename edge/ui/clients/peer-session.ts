/** One `RTCPeerConnection` and its session resource: opening, trickle, ICE restart and the end of both together. */
import { ClientError } from './errors.ts';
import { buildFragment, type IceCredentials, iceCredentials, parseFragment, withIceRestart } from './sdp.ts';
import { readSessionEvent, type VideoLayer } from './session-events.ts';
import { type EndpointOptions, SessionResource } from './session-resource.ts';

export interface PeerSessionOptions extends EndpointOptions {
  /** Used beside the servers of the 201's `Link` headers. */
  iceServers: RTCIceServer[];
  /** false: gather first and send all candidates with the offer. */
  trickle: boolean;
  /** Adds tracks or transceivers. */
  prepare(connection: RTCPeerConnection): void;
  mungeOffer(sdp: string): string;
  mungeAnswer(sdp: string): string;
  /** Changes the offer only on its way to the server: what browsers do not know and need not apply. */
  annotateOffer?(sdp: string): string;
  /** The server makes the offer (a POST without body) and gets our answer by this. Offers later than that: `answer`. */
  sendAnswer?(answer: string): Promise<void>;
  onState(state: 'connecting' | 'connected' | 'disconnected' | 'failed' | 'ended'): void;
  /** The server asks us to come back by a new session: the node that carries this one is about to leave. */
  onReconnect?(): void;
  /** The layers of the video are others than before; heard only together with `onReconnect`. */
  onLayers?(layers: VideoLayer[]): void;
}

/** The data channel on which the node tells things about the session; servers that know nothing of it refuse it. */
const EVENTS_LABEL = 'vestibule-events';

/** Without trickle, gathering is cut here: a STUN server that does not answer must not hold up the start. */
const GATHER_LIMIT_MS = 2_000;
/** Candidates come in bursts; one PATCH carries a burst. */
const TRICKLE_BATCH_MS = 50;

export class PeerSession {
  readonly connection: RTCPeerConnection;
  readonly #options: PeerSessionOptions;
  #resource: SessionResource | null = null;
  #credentials: IceCredentials | null = null;
  #candidates: string[] = [];
  #endOfCandidates = false;
  #trickleTimer: ReturnType<typeof setTimeout> | null = null;
  #trickleWorks = true;
  /** PATCHes go one after another: the tag of one decides about the next. */
  #patches: Promise<unknown> = Promise.resolve();
  #closed = false;
  #eventsOpened = false;

  constructor(options: PeerSessionOptions) {
    this.#options = options;
    this.connection = new RTCPeerConnection({ iceServers: options.iceServers, bundlePolicy: 'max-bundle' });
    this.connection.addEventListener('connectionstatechange', () => this.#reportState());
    this.connection.addEventListener('icecandidate', (event) => this.#collect(event.candidate));
  }

  /** Null before the 201. */
  get resource(): SessionResource | null {
    return this.#resource;
  }

  /** Absolute URL of the session resource; null before the answer. */
  get resourceUrl(): string | null {
    return this.#resource?.url ?? null;
  }

  /** Offer, POST, answer. Resolves when the answer is applied (or accepted); throws `ClientError`. */
  async open(): Promise<void> {
    this.#options.prepare(this.connection);
    if (this.#options.onReconnect !== undefined) this.#listen(this.#options.onReconnect);
    await (this.#options.sendAnswer === undefined ? this.#offer() : this.#acceptOffer(this.#options.sendAnswer));
    this.#watchDtls();
    this.#scheduleTrickle();
  }

  /** Takes an offer of the server on the running session and returns our answer. Throws what the browser throws. */
  answer(offer: string): Promise<string> {
    const done = this.#patches.then(() => this.#answer(offer));
    this.#patches = done.catch(() => undefined);
    return done;
  }

  async #offer(): Promise<void> {
    const { connection } = this;
    const annotate = this.#options.annotateOffer ?? ((sdp) => sdp);
    const created = await connection.createOffer();
    const offer = this.#options.mungeOffer(created.sdp ?? '');
    if (this.#options.trickle) {
      // Posted before it is applied: gathering begins with setLocalDescription and shall know the servers of the 201.
      this.#adopt(await SessionResource.create(this.#options, annotate(offer)));
      await connection.setLocalDescription({ type: 'offer', sdp: offer });
    } else {
      await connection.setLocalDescription({ type: 'offer', sdp: offer });
      await gathered(connection);
      this.#candidates = [];
      const complete = annotate(connection.localDescription?.sdp ?? offer);
      this.#adopt(await SessionResource.create(this.#options, complete));
    }
    this.#credentials = iceCredentials(offer);
    const answer = this.#options.mungeAnswer(this.#resource?.description ?? '');
    await connection.setRemoteDescription({ type: 'answer', sdp: answer });
  }

  async #acceptOffer(sendAnswer: (answer: string) => Promise<void>): Promise<void> {
    const resource = await SessionResource.create(this.#options, '');
    this.#adopt(resource);
    const answer = await this.answer(resource.description);
    this.#credentials = iceCredentials(answer);
    await sendAnswer(answer);
  }

  async #answer(offer: string): Promise<string> {
    const { connection } = this;
    await connection.setRemoteDescription({ type: 'offer', sdp: offer });
    const created = await connection.createAnswer();
    const answer = this.#options.mungeAnswer(created.sdp ?? '');
    await connection.setLocalDescription({ type: 'answer', sdp: answer });
    return answer;
  }

  /** ICE restart on the running session: media stops for a round trip at most. Throws `ClientError`; ICE is then as before. */
  restart(): Promise<void> {
    const done = this.#patches.then(() => this.#restart());
    this.#patches = done.catch(() => undefined);
    return done;
  }

  /** Status of the session resource: 404 when the server has forgotten it; null when the server cannot be reached. */
  async probe(): Promise<number | null> {
    return (await this.#resource?.probe().catch(() => null)) ?? null;
  }

  /** The server can move sessions: a new one may say which one's place it takes. Others may not know what to make of that. */
  get canBeReplaced(): boolean {
    return this.#resource !== null && this.#eventsOpened;
  }

  /** Ends our side only: the server keeps the session for the one that takes its place. `close` ends it after all. */
  hangUp(): void {
    if (this.#trickleTimer !== null) clearTimeout(this.#trickleTimer);
    this.connection.close();
  }

  /** Ends both sides; a POST that is still under way is undone when its answer comes. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#trickleTimer !== null) clearTimeout(this.#trickleTimer);
    this.connection.close();
    await this.#resource?.delete();
  }

  /** Before the offer is made, so that the channel is in it. */
  #listen(onReconnect: () => void): void {
    const channel = this.connection.createDataChannel(EVENTS_LABEL);
    channel.addEventListener('open', () => {
      this.#eventsOpened = true;
    });
    channel.addEventListener('message', ({ data }) => {
      const event = this.#closed ? null : readSessionEvent(data);
      if (event?.type === 'reconnect') onReconnect();
      if (event?.type === 'layers') this.#options.onLayers?.(event.layers);
    });
  }

  #adopt(resource: SessionResource): void {
    this.#resource = resource;
    if (this.#closed) {
      void resource.delete();
      throw new ClientError('Stopped', { code: 'stopped' });
    }
    if (resource.iceServers.length > 0 && this.#options.trickle) {
      this.connection.setConfiguration({
        ...this.connection.getConfiguration(),
        iceServers: [...this.#options.iceServers, ...resource.iceServers],
      });
    }
  }

  async #restart(): Promise<void> {
    const { connection } = this;
    const resource = this.#resource;
    if (resource === null || this.#closed || connection.signalingState !== 'stable') {
      throw new ClientError('Nothing to restart', { code: 'not_open' });
    }
    const created = await connection.createOffer({ iceRestart: true });
    const offer = this.#options.mungeOffer(created.sdp ?? '');
    const credentials = iceCredentials(offer);
    const before = connection.remoteDescription?.sdp ?? '';
    if (credentials === null) throw new ClientError('The browser made an offer without ICE', { code: 'internal' });
    this.#candidates = [];
    this.#endOfCandidates = false;
    try {
      await connection.setLocalDescription({ type: 'offer', sdp: offer });
      const body = buildFragment(offer, { ...credentials, candidates: [], endOfCandidates: false });
      const fragment = parseFragment(await resource.restart(body));
      if (fragment === null) throw new ClientError('The server restarted without credentials', { code: 'bad_answer' });
      await connection.setRemoteDescription({ type: 'answer', sdp: withIceRestart(before, fragment) });
    } catch (thrown) {
      // Back to the running ICE session; refused when the offer was not applied or the connection is closed, both fine.
      await connection.setLocalDescription({ type: 'rollback' }).catch(() => undefined);
      throw ClientError.fromUnknown(thrown);
    }
    this.#credentials = credentials;
    this.#scheduleTrickle();
  }

  #collect(candidate: RTCIceCandidate | null): void {
    if (candidate === null || candidate.candidate === '') this.#endOfCandidates = true;
    else this.#candidates.push(candidate.candidate);
    this.#scheduleTrickle();
  }

  #scheduleTrickle(): void {
    const ready = this.#options.trickle && this.#trickleWorks && this.#resource !== null && !this.#closed;
    if (!ready || this.#trickleTimer !== null) return;
    this.#trickleTimer = setTimeout(() => {
      this.#trickleTimer = null;
      this.#patches = this.#patches.then(() => this.#sendCandidates()).catch(() => undefined);
    }, TRICKLE_BATCH_MS);
  }

  async #sendCandidates(): Promise<void> {
    const { connection } = this;
    if (this.#closed || this.#credentials === null || connection.signalingState !== 'stable') return;
    const candidates = this.#candidates;
    this.#candidates = [];
    // With a path found already (a reachable server learns ours from the first check) the server needs no more of them.
    if (connection.connectionState === 'connected' || (candidates.length === 0 && !this.#endOfCandidates)) return;
    const body = buildFragment(connection.localDescription?.sdp ?? '', {
      ...this.#credentials,
      candidates,
      endOfCandidates: this.#endOfCandidates,
    });
    this.#endOfCandidates = false;
    try {
      await this.#resource?.trickle(body);
    } catch (thrown) {
      const { status } = ClientError.fromUnknown(thrown);
      // A server that learns our addresses from our checks may well connect without them: not an error yet.
      if (status !== null && [405, 422, 501].includes(status)) this.#trickleWorks = false;
    }
  }

  #reportState(): void {
    const state = this.connection.connectionState;
    if (this.#closed || state === 'new') return;
    this.#options.onState(state === 'closed' ? 'ended' : state);
  }

  /** The server's close_notify shows on the DTLS transport only; `connectionState` may stay "connected". */
  #watchDtls(): void {
    const { connection } = this;
    const ends = [...connection.getSenders(), ...connection.getReceivers(), connection.sctp];
    const transports = new Set(ends.flatMap((end) => end?.transport ?? []));
    for (const transport of transports) {
      transport.addEventListener('statechange', () => {
        if (!this.#closed && transport.state === 'closed') this.#options.onState('ended');
      });
    }
  }
}

async function gathered(connection: RTCPeerConnection): Promise<void> {
  if (connection.iceGatheringState === 'complete') return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, GATHER_LIMIT_MS);
    connection.addEventListener('icegatheringstatechange', () => {
      if (connection.iceGatheringState !== 'complete') return;
      clearTimeout(timer);
      resolve();
    });
  });
}
