/** Brings a node that has just linked and all lobbies concerned to one mind. */
import type { LobbyId } from '../../shared/ids.ts';
import {
  CONTROL_PROTOCOL_VERSION,
  type DesiredLobby,
  type DesiredStream,
  type Hello,
  type Welcome,
} from '../../shared/protocol/control.ts';
import type { LobbyTable } from './lobby-table.ts';
import { byLobby, NO_WORDS, type Reporter } from './reporter.ts';

/** Lobbies asked at the same time: a node with thousands of them shall not stall the others' calls. */
const LOBBIES_AT_ONCE = 32;

/**
 * Asks every lobby that the node names or that is remembered to have something there. Throws when one cannot be asked:
 * a welcome that leaves it out would end its sessions.
 */
export async function welcomeFor(hello: Hello, table: LobbyTable, reporter: Reporter): Promise<Welcome> {
  const { node, boot } = hello;
  const carried = byLobby(hello);
  const named = new Set<LobbyId>([...table.lobbies, ...carried.keys(), ...hello.lobbies.map((load) => load.lobby)]);
  const todo = [...named];
  const desired: DesiredLobby[] = [];
  const streams: DesiredStream[] = [];
  const ask = async () => {
    for (let lobby = todo.pop(); lobby !== undefined; lobby = todo.pop()) {
      const known = table.revisionOf(lobby);
      const wanted = await reporter.reconcile(lobby, {
        node,
        boot,
        ...(carried.get(lobby) ?? NO_WORDS),
      });
      if (wanted !== null) {
        if ('members' in wanted) streams.push(wanted);
        else desired.push(wanted);
        table.remember(lobby, wanted.revision);
      } else if (known !== null) {
        table.forget(lobby, known);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(LOBBIES_AT_ONCE, named.size) }, ask));
  return { type: 'welcome', protocol: Math.min(hello.protocol, CONTROL_PROTOCOL_VERSION), desired, streams };
}
