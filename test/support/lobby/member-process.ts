/**
 * A member in a process of its own, for those that die. Arguments: URL of the system, path of the stream, the user's
 * token. Says `joined` as a JSON line.
 */
import { LobbyMember } from './lobby-member.ts';

const [url = '', path = '', bearer = ''] = process.argv.slice(2);
const member = await LobbyMember.enterAs({ url, path, bearer, user: 'apart' }, { info: '1 2 Apart' });
await member.listen();
process.stdout.write(`${JSON.stringify({ event: 'joined' })}\n`);
