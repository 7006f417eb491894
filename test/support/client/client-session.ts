/** One WHIP or WHEP session of a synthetic client: offer, answer, transport, restart and the ways to end. */
import { parseFragment, printFragment } from '../../../shared/sdpfrag.ts';
import type { ClientTransport, TransportOptions } from './client-transport.ts';
import { type OfferedSection, printOffer } from './offer.ts';
import { type RemoteAnswer, readRemoteAnswer } from './remote-answer.ts';
import { type Signalling, signallingOf, type Target } from './signalling.ts';

export type SessionOptions = Target &
  TransportOptions & {
    /** DTLS role that is offered; `actpass` by default. */
    setup?: 'actpass' | 'active' | 'passive';
    /** False: the offer names no candidate. */
    candidates?: boolean;
  };

export class ClientSession {
  readonly offer: string;
  readonly answer: RemoteAnswer;
  readonly transport: ClientTransport;
  readonly signalling: Signalling;
  etag: string;

  constructor(fields: {
    offer: string;
    answer: RemoteAnswer;
    transport: ClientTransport;
    signalling: Signalling;
    etag: string;
  }) {
    this.offer = fields.offer;
    this.answer = fields.answer;
    this.transport = fields.transport;
    this.signalling = fields.signalling;
    this.etag = fields.etag;
  }

  /** Offers, and connects with what was answered. Closes the transport when that fails. */
  static async open(
    options: SessionOptions,
    transport: ClientTransport,
    sections: readonly OfferedSection[],
    onAnswer: (answer: RemoteAnswer) => void = () => {},
  ): Promise<ClientSession> {
    const signalling = signallingOf(options);
    try {
      const offer = printOffer(sections, {
        ice: transport.local,
        fingerprint: transport.certificate.fingerprint,
        setup: options.setup ?? 'actpass',
        candidate: options.candidates === false ? null : transport.candidate,
      });
      const opened = await signalling.open(offer);
      const answer = readRemoteAnswer(opened.sdp, transport.address);
      onAnswer(answer);
      await transport.connect(answer);
      return new ClientSession({ offer, answer, transport, signalling, etag: opened.etag });
    } catch (error) {
      await transport.close();
      throw error;
    }
  }

  /** New credentials on both sides; resolves when the server's are in use. */
  async restartIce(): Promise<void> {
    const { ufrag, pwd } = this.transport.renewCredentials();
    const fragment = printFragment({
      ice: { ufrag, pwd },
      iceLite: false,
      iceOptions: ['trickle'],
      mids: this.answer.tracks.map(({ mid }) => mid),
      candidates: [this.transport.candidate],
    });
    const restarted = await this.signalling.restart(fragment, this.etag);
    this.etag = restarted.etag;
    const { ice } = parseFragment(restarted.fragment);
    if (ice === null) throw new Error(`the answer to a restart has no credentials:\n${restarted.fragment}`);
    this.transport.restartIce(ice);
  }

  /** DELETE, then close_notify. Idempotent; a session that the server ended already is no error. */
  async close(): Promise<void> {
    await Promise.allSettled([this.signalling.close()]);
    await this.transport.close();
  }

  /** Only close_notify. */
  async leave(): Promise<void> {
    await this.transport.close();
  }

  /** Says nothing any more. */
  async abandon(): Promise<void> {
    await this.transport.close(true);
  }
}
