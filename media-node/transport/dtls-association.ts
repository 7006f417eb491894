/**
 * One DTLS 1.2 association over datagrams that somebody else sends and receives: handshake, retransmission, alerts and
 * application data. It has no timer: `tick` repeats flights while the handshake lasts, and afterwards it costs nothing.
 */
import type { DtlsCertificate } from './certificate.ts';
import { ALERT, ALERT_LEVEL, type AlertDescription, DtlsFailure } from './dtls-alert.ts';
import { ClientHandshake } from './dtls-client-handshake.ts';
import type { FlightItem, Handshake, HandshakeContext } from './dtls-handshake.ts';
import { SRTP_PROFILES, srtpProfiles } from './dtls-hello.ts';
import { fragmentMessage, HandshakeInbox } from './dtls-messages.ts';
import {
  CONTENT,
  type DtlsRecord,
  MAX_DATAGRAM_BYTES,
  PROTECTION_BYTES,
  parseRecords,
  RECORD_HEADER_BYTES,
  RecordLayer,
} from './dtls-records.ts';
import { ServerHandshake } from './dtls-server-handshake.ts';
import { ownBytes } from './own-bytes.ts';
import type { SrtpKeys, SrtpProfile } from './types.ts';

/** RFC 6347 §4.2.4.1 says 1 s, but FFmpeg gives all of ICE and DTLS 5 s, and a repeated flight is one datagram. */
const FIRST_RETRANSMIT_MS = 50;
const MAX_RETRANSMIT_MS = 1_000;
/**
 * Of the client's flight that the server has but to finish. FFmpeg's WHIP muxer (8.1), when anything of DTLS comes after its
 * own handshake, reads its socket as a blocking one from then on, and sends one packet for each that it gets: it must not
 * be sent this twice, however slow its machine is. When this was lost, FFmpeg repeats its own flight after a second.
 * It is waited for twice, the second time from a tick on: a process that stands still while it handles a message takes the
 * time before that for the present one.
 */
const FINISHING_RETRANSMIT_MS = 500;
/** A server that stood still repeats its flight first, then reads ours, and its answer follows. */
const FINISHING_REPEAT_MS = 100;
/** Once it was repeated: who takes that amiss has done so, and what was lost has to come. */
const FINISHING_MORE_MS = 300;
/**
 * A server's flight is repeated so often by itself, then only when the client repeats its own: clients do, and who made us
 * send to somebody else's address must not make us go on for long.
 */
const MAX_SERVER_REPEATS = 7;
/** …nor as often as they like, for the price of a hello: more repetitions than any peer needs that means well. */
const MAX_ASKED_REPEATS = 24;
/** A peer that repeats its flight in many datagrams gets ours once. */
const MIN_REPEAT_MS = 20;
/** Records that overtook the message that brings their keys. */
const MAX_EARLY_RECORDS = 4;
/** A lost close_notify is never repeated, so it is sent twice at once. */
const CLOSE_NOTIFY_COPIES = 2;

export interface DtlsEvents {
  send(datagram: Buffer): void;
  /** The peer proved that it holds the certificate that signalling promised. */
  connected(keys: SrtpKeys): void;
  applicationData(data: Buffer): void;
  /** `failed`: the handshake cannot succeed; `closed`: the peer ended the association. Nothing comes afterwards. */
  ended(reason: 'failed' | 'closed'): void;
}

export interface DtlsOptions {
  role: 'client' | 'server';
  certificate: DtlsCertificate;
  /** SRTP profiles to offer or accept; all that are known when not given. */
  srtpProfiles?: readonly SrtpProfile[];
  acceptsCertificate(der: Buffer): boolean;
  events: DtlsEvents;
}

/**
 * A tick that is so late says that this process stood still, and timers come before what waits in the socket: that is read
 * first. Perhaps the peer stood still as well, and is answering now.
 */
const STOOD_STILL_MS = 150;
/** On a machine where every tick is late things go on all the same. */
const MAX_WAITS = 3;

export class DtlsAssociation {
  readonly #role: 'client' | 'server';
  readonly #events: DtlsEvents;
  readonly #records: RecordLayer;
  readonly #inbox = new HandshakeInbox();
  /** Null once it is done. */
  #handshake: Handshake | null;
  #state: 'new' | 'handshaking' | 'connected' | 'ended' = 'new';
  #flight: readonly FlightItem[] = [];
  #retransmitAtMs = Number.POSITIVE_INFINITY;
  #retransmitMs = FIRST_RETRANSMIT_MS;
  /** Of the present flight, unasked for. */
  #repeats = 0;
  /** …and because the peer repeated its own. */
  #askedRepeats = 0;
  /** How often the present time to wait has been waited for again: the answer may be there, unread. */
  #waits = 0;
  #lastSentMs = Number.NEGATIVE_INFINITY;
  #early: DtlsRecord[] = [];
  /** 1 from our Finished on. */
  #writeEpoch: 0 | 1 = 0;
  #nowMs = 0;

  constructor(options: DtlsOptions) {
    this.#role = options.role;
    this.#events = options.events;
    this.#records = new RecordLayer(options.role);
    const context: HandshakeContext = {
      records: this.#records,
      certificate: options.certificate,
      profiles: options.srtpProfiles === undefined ? SRTP_PROFILES : srtpProfiles(options.srtpProfiles),
      acceptsCertificate: options.acceptsCertificate,
      sendFlight: (items, awaitsAnswer) => this.#sendFlight(items, awaitsAnswer),
    };
    this.#handshake = options.role === 'client' ? new ClientHandshake(context) : new ServerHandshake(context);
  }

  /** Lets a client say hello, once; a server waits. */
  start(nowMs: number): void {
    if (this.#state !== 'new') return;
    this.#nowMs = nowMs;
    this.#state = 'handshaking';
    if (this.#handshake instanceof ClientHandshake) this.#handshake.start();
  }

  /** Takes a datagram in the DTLS range; true when something in it was authenticated. Never throws on what peers send. */
  receive(datagram: Buffer, nowMs: number): boolean {
    this.#nowMs = nowMs;
    let authenticated = false;
    for (const record of parseRecords(datagram)) {
      if (this.#state === 'ended') break;
      if (this.#state === 'new') {
        // A client that has not said hello yet cannot be answered.
        if (this.#role === 'client') break;
        this.#state = 'handshaking';
      }
      if (this.#receiveRecord(record)) authenticated = true;
      // Forged, or all of it was here before: a datagram holds dozens of records, and each try costs.
      else if (record.epoch !== 0 && this.#records.hasKeys) break;
    }
    return authenticated;
  }

  /** When `tick` has something to do. */
  get retransmitAtMs(): number {
    return this.#retransmitAtMs;
  }

  /** Repeats our last flight when its answer is late. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    if (nowMs < this.#retransmitAtMs) return;
    const stoodStill = nowMs - this.#retransmitAtMs >= STOOD_STILL_MS;
    const isPatient = this.#finishes && this.#repeats === 0;
    if (this.#waits < (stoodStill ? MAX_WAITS : Number(isPatient))) {
      this.#waits += 1;
      this.#retransmitAtMs = nowMs + this.#retransmitMs;
      return;
    }
    this.#waits = 0;
    this.#transmit();
    this.#repeats += 1;
    this.#retransmitMs = this.#finishes ? FINISHING_MORE_MS : Math.min(2 * this.#retransmitMs, MAX_RETRANSMIT_MS);
    const isLast = this.#role === 'server' && this.#repeats >= MAX_SERVER_REPEATS;
    this.#retransmitAtMs = isLast ? Number.POSITIVE_INFINITY : nowMs + this.#retransmitMs;
  }

  /** One record of application data (SCTP, RFC 8261); dropped unless connected. */
  sendApplicationData(data: Buffer): void {
    if (this.#state === 'connected') this.#events.send(this.#records.seal(CONTENT.applicationData, 1, data));
  }

  /** Says close_notify when connected, and ends without an event. Idempotent. */
  close(): void {
    if (this.#state === 'connected') this.#sayGoodbye();
    this.#forget();
  }

  #receiveRecord(record: DtlsRecord): boolean {
    if (record.epoch === 0) {
      this.#receivePlain(record);
      return false;
    }
    if (!this.#records.hasKeys) {
      if (this.#early.length < MAX_EARLY_RECORDS) this.#early.push({ ...record, body: Buffer.from(record.body) });
      return false;
    }
    const plain = this.#records.open(record);
    if (plain === null) return false;
    if (record.contentType === CONTENT.handshake) this.#receiveHandshake(plain, 1);
    else if (record.contentType === CONTENT.alert) this.#receiveAlert(plain);
    else if (record.contentType === CONTENT.applicationData && this.#state === 'connected') {
      this.#events.applicationData(plain);
    }
    return true;
  }

  /** Once connected, a plain record can only be a late repetition: never an alert, never data. */
  #receivePlain(record: DtlsRecord): void {
    if (record.contentType === CONTENT.handshake) this.#receiveHandshake(record.body, 0);
    else if (record.contentType === CONTENT.alert && this.#state === 'handshaking') this.#receiveAlert(record.body);
  }

  #receiveHandshake(body: Buffer, epoch: number): void {
    const { repeated } = this.#inbox.push(body, epoch);
    // The peer repeats because our last flight was lost.
    if (repeated && this.#flight.length > 0 && this.#nowMs - this.#lastSentMs >= MIN_REPEAT_MS) this.#repeat();
    this.#advance();
  }

  #repeat(): void {
    if (!this.#finishes) {
      if (this.#askedRepeats < MAX_ASKED_REPEATS) this.#transmit();
      this.#askedRepeats += 1;
      return;
    }
    this.#waits = Math.max(1, this.#waits);
    this.#retransmitAtMs = Math.min(this.#retransmitAtMs, this.#nowMs + FINISHING_REPEAT_MS);
  }

  /** The present flight is a client's last one. */
  get #finishes(): boolean {
    return this.#role === 'client' && this.#writeEpoch === 1;
  }

  #advance(): void {
    for (;;) {
      const handshake = this.#handshake;
      const message = this.#inbox.peek();
      if (handshake === null || message === null) return;
      const hadKeys = this.#records.hasKeys;
      try {
        handshake.handle(message);
      } catch (error) {
        if (error instanceof DtlsFailure) this.#fail(error.alert);
        else this.#inbox.reject();
        return;
      }
      this.#inbox.accept();
      if (handshake.done) this.#connect(handshake);
      if (!hadKeys && this.#records.hasKeys) this.#openEarly();
    }
  }

  #openEarly(): void {
    const early = this.#early;
    this.#early = [];
    for (const record of early) if (this.#state !== 'ended') this.#receiveRecord(record);
  }

  #connect(handshake: Handshake): void {
    this.#state = 'connected';
    this.#handshake = null;
    this.#inbox.close(); // Renegotiation is refused by silence.
    this.#retransmitAtMs = Number.POSITIVE_INFINITY;
    // The server's last flight may still have to be repeated; the client's has been answered.
    if (this.#role === 'client') this.#flight = [];
    else this.#flight = this.#flight.map((item) => ({ ...item, payload: ownBytes(item.payload) }));
    this.#events.connected(handshake.exportSrtpKeys(this.#role));
  }

  #receiveAlert(body: Buffer): void {
    if (body.length < 2) return;
    const level = body.readUInt8(0);
    const description = body.readUInt8(1);
    if (description !== ALERT.closeNotify && level !== ALERT_LEVEL.fatal) return;
    const wasConnected = this.#state === 'connected';
    if (wasConnected && description === ALERT.closeNotify) this.#sayGoodbye();
    this.#forget();
    this.#events.ended(wasConnected ? 'closed' : 'failed');
  }

  #fail(alert: AlertDescription): void {
    this.#sendAlert(ALERT_LEVEL.fatal, alert);
    this.#forget();
    this.#events.ended('failed');
  }

  #sayGoodbye(): void {
    for (let i = 0; i < CLOSE_NOTIFY_COPIES; i++) this.#sendAlert(ALERT_LEVEL.warning, ALERT.closeNotify);
  }

  #sendAlert(level: number, description: AlertDescription): void {
    this.#events.send(this.#records.seal(CONTENT.alert, this.#writeEpoch, Buffer.from([level, description])));
  }

  #forget(): void {
    this.#state = 'ended';
    this.#handshake = null;
    this.#flight = [];
    this.#early = [];
    this.#inbox.close();
    this.#retransmitAtMs = Number.POSITIVE_INFINITY;
  }

  #sendFlight(items: readonly FlightItem[], awaitsAnswer: boolean): void {
    this.#flight = items;
    if (items.some(({ epoch }) => epoch === 1)) this.#writeEpoch = 1;
    this.#transmit();
    this.#repeats = 0;
    this.#askedRepeats = 0;
    this.#waits = 0;
    this.#retransmitMs = this.#finishes ? FINISHING_RETRANSMIT_MS : FIRST_RETRANSMIT_MS;
    this.#retransmitAtMs = awaitsAnswer ? this.#nowMs + this.#retransmitMs : Number.POSITIVE_INFINITY;
  }

  /** Sends the flight in as few datagrams as it fits in, so that loss has as few targets. */
  #transmit(): void {
    this.#lastSentMs = this.#nowMs;
    let waiting: Buffer[] = [];
    let bytes = 0;
    const flush = (): void => {
      if (bytes > 0) this.#events.send(Buffer.concat(waiting));
      waiting = [];
      bytes = 0;
    };
    for (const { contentType, epoch, payload } of this.#flight) {
      const room = MAX_DATAGRAM_BYTES - RECORD_HEADER_BYTES - (epoch === 1 ? PROTECTION_BYTES : 0);
      for (const part of contentType === CONTENT.handshake ? fragmentMessage(payload, room) : [payload]) {
        const record = this.#records.seal(contentType, epoch, part);
        if (bytes + record.length > MAX_DATAGRAM_BYTES) flush();
        waiting.push(record);
        bytes += record.length;
      }
    }
    flush();
  }
}
