/** The lite ICE agent of one transport on the shared sockets: runs the ICE machine, and the one that decides where media goes. */
import type { IceCredentials } from '../negotiate/plan.ts';
import { ConsentedPath } from './consented-path.ts';
import type { DatagramMember, Demultiplexer } from './demultiplexer.ts';
import { type IceEvent, type IceState, openIce, type PeerAddress, sameAddress, step } from './ice-lite-machine.ts';
import type { BindingRequest } from './stun.ts';

export interface AgentEvents {
  /** The peer authenticated something. */
  onAlive(nowMs: number): void;
  /** The peer nominated a pair, or another one. */
  onNominated(nowMs: number): void;
  /** `path` is another. */
  onMoved(): void;
}

export class LiteIceAgent<T extends DatagramMember> {
  readonly #network: Demultiplexer<T>;
  readonly #owner: T;
  readonly #events: AgentEvents;
  readonly #path: ConsentedPath;
  #ice: IceState;
  #followsNominations = false;

  /** @param owner whom datagrams of the peer are for */
  constructor(network: Demultiplexer<T>, owner: T, local: IceCredentials, events: AgentEvents) {
    this.#network = network;
    this.#owner = owner;
    this.#events = events;
    this.#ice = openIce(local);
    this.#path = new ConsentedPath({
      send: (datagram, to) => network.send(datagram, to),
      onMoved: () => events.onMoved(),
    });
    network.openUfrag(local.ufrag, owner);
  }

  /** Where media goes; null: nowhere yet. */
  get path(): PeerAddress | null {
    return this.#path.current;
  }

  get nominated(): PeerAddress | null {
    return this.#ice.nominated;
  }

  /** Where the peer was last, for what needs no more than that: before there is media. */
  get lastProven(): PeerAddress | null {
    return this.#ice.nominated ?? this.#ice.proven.at(-1) ?? null;
  }

  /** When `tick` has something to do. */
  get nextTickMs(): number {
    return this.#path.nextTickMs;
  }

  /** The peer's credentials, once its answer is there. */
  setRemote(remote: IceCredentials): void {
    this.#path.addRemote(remote);
  }

  restart(local: IceCredentials, remote: IceCredentials, nowMs: number): void {
    // The pair in use belongs to the older ones, as our own do.
    const isRestarting = this.#ice.previous !== null;
    this.#step({ type: 'restart', local }, nowMs);
    this.#path.addRemote(remote, isRestarting);
  }

  receiveCheck(request: BindingRequest, from: PeerAddress, nowMs: number): void {
    if (!this.#step({ type: 'check', request, from, inUse: this.path }, nowMs)) return;
    this.#path.noteUsername(request.username ?? '');
    const { nominated } = this.#ice;
    if (!this.#followsNominations) return;
    if (nominated !== null && sameAddress(nominated, from)) this.#path.nominate(from, nowMs);
    else this.#path.check(from, nowMs);
  }

  receiveAnswer(datagram: Buffer, from: PeerAddress, nowMs: number): void {
    if (this.#path.receiveAnswer(datagram, from, nowMs)) this.#events.onAlive(nowMs);
  }

  /**
   * The handshake is done: media goes where the peer has shown to be, and from now on, where it nominates. Before that
   * there is nothing to send, and the handshake shows where it is without any question.
   *
   * libwebrtc nominates a lite agent's pair only with the check after the one that proved it, 50 ms later, but it shakes
   * hands on that pair at once: media that waited for the nomination would make every viewer wait. Firefox nominates all
   * pairs that it tries, the best one first, and uses that one: where its handshake came from says more than what it
   * nominated last, which it may never check again.
   * @param shown where the peer certainly is; null: it could not be told
   * @param from where its handshake came from
   */
  begin(shown: PeerAddress | null, from: PeerAddress | null, nowMs: number): void {
    this.#followsNominations = true;
    if (shown !== null) this.#path.reach(shown, nowMs);
    const wanted = from ?? this.#ice.nominated;
    if (wanted !== null) this.#path.nominate(wanted, nowMs);
  }

  /** Says to the sockets anew whose the peer's addresses are: the owner's keyring has changed. */
  claimAll(): void {
    for (const address of this.#ice.proven) this.#network.claim(address, this.#owner);
  }

  tick(nowMs: number): void {
    this.#path.tick(nowMs);
  }

  /** Gives everything back to the demultiplexer; nothing may be called afterwards. */
  close(): void {
    const { proven, current, previous } = this.#ice;
    for (const address of proven) this.#network.release(address, this.#owner);
    for (const credentials of [current, previous]) {
      if (credentials !== null) this.#network.closeUfrag(credentials.ufrag, this.#owner);
    }
  }

  /** True when the peer proved an address. */
  #step(event: IceEvent, nowMs: number): boolean {
    const { state, effects } = step(this.#ice, event);
    this.#ice = state;
    let proved = false;
    for (const effect of effects) {
      switch (effect.type) {
        case 'reply':
          this.#network.send(effect.datagram, effect.to);
          break;
        case 'proved':
          proved = true;
          // Each time, not only the first: another transport may have had the address since.
          this.#network.claim(effect.address, this.#owner);
          this.#events.onAlive(nowMs);
          break;
        case 'forgotten':
          this.#network.release(effect.address, this.#owner);
          this.#path.forget(effect.address, nowMs);
          break;
        case 'nominated':
          this.#events.onNominated(nowMs);
          break;
        case 'opened':
          this.#network.openUfrag(effect.ufrag, this.#owner);
          break;
        case 'retired':
          this.#network.closeUfrag(effect.ufrag, this.#owner);
          break;
      }
    }
    return proved;
  }
}
