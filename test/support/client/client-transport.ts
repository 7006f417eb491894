/** ICE, DTLS and SRTP of one client: everything below RTP. */
import { parseRtpHeader, RtpHeader } from '../../../media-node/forward/rtp-header.ts';
import { deriveSessionKeys } from '../../../media-node/forward/srtp/session-keys.ts';
import { SrtpReceiver } from '../../../media-node/forward/srtp/srtp-receiver.ts';
import { SRTP_OVERHEAD, SrtpSender } from '../../../media-node/forward/srtp/srtp-sender.ts';
import { createCertificate, type DtlsCertificate, readCertificate } from '../../../media-node/transport/certificate.ts';
import { DtlsAssociation } from '../../../media-node/transport/dtls-association.ts';
import { matchesFingerprint } from '../../../media-node/transport/dtls-crypto.ts';
import type { SrtpProfile } from '../../../media-node/transport/types.ts';
import { randomBase32 } from '../../../shared/ids.ts';
import { type ClientDatagrams, ClientSocket, type OnDatagram } from './client-socket.ts';
import { ControllingIce, type Credentials } from './controlling-ice.ts';
import { type Impairments, isMedia, isRtcpDatagram } from './impairment.ts';
import type { RemoteAnswer } from './remote-answer.ts';
import { everyTick } from './ticker.ts';

const LOOPBACK = '127.0.0.1';
const CONNECT_DEADLINE_MS = 20_000;
const MAX_DATAGRAM_BYTES = 2048;

export interface TransportOptions {
  /** Offered or accepted in DTLS; both by default. */
  srtpProfiles?: readonly SrtpProfile[];
  /** As FFmpeg 8.0: checks without PRIORITY and ICE-CONTROLLING, no STUN after set-up. */
  quirk?: 'ffmpeg8';
  /** Nominate this long after the pair works, as libwebrtc does against lite agents (50 ms); at once by default. */
  nominateAfterMs?: number;
  impair?: Impairments;
  /** The IPv4 address to send from; loopback by default. */
  address?: string;
  /** Count media only: neither check nor open it. For load. */
  cheap?: boolean;
  /** In place of `node:dgram`: for load, sockets that are not read in JavaScript. */
  openSocket?: (address: string, onDatagram: OnDatagram) => ClientDatagrams;
}

export interface TransportEvents {
  /** An authentic packet, or with `cheap` the protected one. Header and packet are only valid during the call. */
  onRtp(packet: Buffer, length: number, header: RtpHeader, nowMs: number): void;
  /** An authentic compound packet; never with `cheap`. Only valid during the call. */
  onRtcp(packet: Buffer, length: number, nowMs: number): void;
  onTick(nowMs: number): void;
}

/** Shared by all clients of the process: only in use within one call. */
const header = new RtpHeader();
const plaintext = Buffer.alloc(MAX_DATAGRAM_BYTES);

let certificate: Promise<DtlsCertificate> | null = null;

export class ClientTransport {
  local: Credentials = mintCredentials();
  readonly certificate: DtlsCertificate;
  readonly socket: ClientDatagrams;
  /** How the association ended: by the peer's close_notify, or with a failed handshake. */
  readonly ended: Promise<'closed' | 'failed'>;
  /** Set once `ended` is settled. */
  endReason: 'closed' | 'failed' | null = null;
  /** Media datagrams that did not authenticate. */
  rejected = 0;
  ice: ControllingIce | null = null;
  srtpProfile: SrtpProfile | null = null;
  readonly #options: TransportOptions;
  readonly #events: TransportEvents;
  readonly #stopTicking: () => void;
  readonly #settleEnded: (reason: 'closed' | 'failed') => void;
  #dtls: DtlsAssociation | null = null;
  #dtlsRole: 'client' | 'server' = 'client';
  #peer: RemoteAnswer['candidate'] = { address: LOOPBACK, port: 0 };
  #sender: SrtpSender | null = null;
  #receiver: SrtpReceiver | null = null;
  #onConnected: () => void = () => {};
  #closed = false;

  constructor(
    socket: (onDatagram: OnDatagram) => ClientDatagrams,
    ownCertificate: DtlsCertificate,
    options: TransportOptions,
    events: TransportEvents,
  ) {
    this.#options = options;
    this.#events = events;
    this.certificate = ownCertificate;
    const ended = Promise.withResolvers<'closed' | 'failed'>();
    this.ended = ended.promise;
    this.#settleEnded = ended.resolve;
    this.socket = socket((datagram, atMs) => this.#receive(datagram, atMs));
    this.#stopTicking = everyTick((nowMs) => this.#tick(nowMs));
  }

  static async open(options: TransportOptions, events: TransportEvents): Promise<ClientTransport> {
    certificate ??= createCertificate().then(readCertificate);
    let receive: OnDatagram = () => {};
    const address = options.address ?? LOOPBACK;
    const onDatagram: OnDatagram = (datagram, atMs) => receive(datagram, atMs);
    const socket =
      options.openSocket?.(address, onDatagram) ?? (await ClientSocket.open(address, options.impair ?? {}, onDatagram));
    const take = (receiver: OnDatagram): ClientDatagrams => {
      receive = receiver;
      return socket;
    };
    return new ClientTransport(take, await certificate, options, events);
  }

  /** Where we send from. */
  get address(): string {
    return this.#options.address ?? LOOPBACK;
  }

  /** The value of our one `a=candidate`. */
  get candidate(): string {
    return `1 1 udp 2130706431 ${this.address} ${this.socket.port} typ host`;
  }

  get connected(): boolean {
    return this.#sender !== null;
  }

  /**
   * ICE and DTLS with the peer of `answer`; resolves when media may flow.
   * @throws when the handshake fails or takes longer than 10 s
   */
  async connect(answer: RemoteAnswer): Promise<void> {
    this.#peer = answer.candidate;
    this.socket.connectTo(answer.candidate.address, answer.candidate.port);
    this.#dtlsRole = answer.setup === 'active' ? 'server' : 'client';
    const connected = new Promise<'connected'>((resolve) => {
      this.#onConnected = () => resolve('connected');
    });
    this.#dtls = new DtlsAssociation({
      role: this.#dtlsRole,
      certificate: this.certificate,
      ...(this.#options.srtpProfiles === undefined ? {} : { srtpProfiles: this.#options.srtpProfiles }),
      acceptsCertificate: (der) => matchesFingerprint(der, answer.fingerprints),
      events: {
        send: (datagram) => this.socket.send(datagram),
        connected: (keys) => {
          this.srtpProfile = keys.profile;
          this.#sender = new SrtpSender(deriveSessionKeys(keys.profile, keys.localKey, keys.localSalt));
          this.#receiver = new SrtpReceiver(deriveSessionKeys(keys.profile, keys.remoteKey, keys.remoteSalt));
          this.#onConnected();
        },
        applicationData: () => {},
        ended: (reason) => {
          this.endReason = reason;
          this.#settleEnded(reason);
        },
      },
    });
    this.#startIce(answer.ice);
    const deadline = Promise.withResolvers<'late'>();
    const timer = setTimeout(() => deadline.resolve('late'), CONNECT_DEADLINE_MS);
    const outcome = await Promise.race([connected, this.ended, deadline.promise]);
    clearTimeout(timer);
    if (outcome === 'connected') return;
    await this.close();
    throw new Error(`the client did not connect: ${outcome}; ICE nominated: ${this.ice?.nominated}`);
  }

  /** Switches to the peer's new credentials; ours were renewed by `renewCredentials` before they were sent. */
  restartIce(remote: Credentials): void {
    this.#startIce(remote);
  }

  renewCredentials(): Credentials {
    this.local = mintCredentials();
    return this.local;
  }

  /** Goes on from another port and tells the peer by a check. */
  async rebind(): Promise<void> {
    await this.socket.rebind();
    this.ice?.check();
  }

  /**
   * Protects and sends the packet whose header (with extensions) fills the first `headerLength` bytes of `out`; `out`
   * needs room for the payload and the tag. Dropped before the connection.
   */
  sendRtp(out: Buffer, headerLength: number, payload: Buffer, rolloverCounter: number): void {
    if (this.#sender === null || this.#closed) return;
    const length = this.#sender.protectRtp(out, headerLength, payload, rolloverCounter);
    this.socket.send(out.subarray(0, length));
  }

  /** Protects and sends the compound packet in the first `length` bytes, in place; needs `RTCP_TAIL_BYTES` of room. */
  sendRtcp(buffer: Buffer, length: number): void {
    if (this.#sender === null || this.#closed || length === 0) return;
    this.socket.send(buffer.subarray(0, this.#sender.protectRtcp(buffer, length)));
  }

  /** @param silently without close_notify, as a process that was killed. Idempotent. */
  async close(silently = false): Promise<void> {
    if (this.#closed) return;
    this.#stopTicking();
    if (!silently) this.#dtls?.close();
    this.#closed = true;
    await this.socket.close();
  }

  #startIce(remote: Credentials): void {
    const ice = new ControllingIce({
      local: this.local,
      remote,
      peer: this.#peer,
      bare: this.#options.quirk === 'ffmpeg8',
      nominateAfterMs: this.#options.nominateAfterMs ?? 0,
      send: (datagram) => this.socket.send(datagram),
      onWorking: () => {
        if (this.#dtlsRole === 'client') this.#dtls?.start(performance.now());
      },
    });
    this.ice = ice;
    ice.tick(performance.now());
  }

  #tick(nowMs: number): void {
    this.ice?.tick(nowMs);
    if (this.#sender === null) this.#dtls?.tick(nowMs);
    else this.#events.onTick(nowMs);
  }

  #receive(datagram: Buffer, atMs: number): void {
    const first = datagram[0] ?? 0xff;
    if (isMedia(datagram)) this.#receiveMedia(datagram, atMs);
    else if (first <= 3) this.ice?.receive(datagram);
    else if (first >= 20 && first <= 63) this.#dtls?.receive(datagram, performance.now());
  }

  #receiveMedia(datagram: Buffer, nowMs: number): void {
    const receiver = this.#receiver;
    if (receiver === null || this.#closed) return;
    const isRtcp = isRtcpDatagram(datagram);
    if (this.#options.cheap === true) {
      if (isRtcp || !parseRtpHeader(datagram, datagram.length, header)) return;
      this.#events.onRtp(datagram, datagram.length, header, nowMs);
      return;
    }
    if (isRtcp) {
      const length = receiver.unprotectRtcp(datagram, plaintext);
      if (length < 0) this.rejected += 1;
      else this.#events.onRtcp(plaintext, length, nowMs);
      return;
    }
    const length = parseRtpHeader(datagram, datagram.length, header)
      ? receiver.unprotectRtp(datagram, header, plaintext)
      : -1;
    if (length < 0) this.rejected += 1;
    else this.#events.onRtp(plaintext, length, header, nowMs);
  }
}

/** Room behind an RTCP packet for index and tag. */
export const RTCP_TAIL_BYTES = SRTP_OVERHEAD;

function mintCredentials(): Credentials {
  return { ufrag: randomBase32(3), pwd: randomBase32(15) };
}
