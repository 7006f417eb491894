/** The audience page: plays what a stream lobby has on air. The player page, with another thing to play. */
import { showDeadEnd } from '../page/dead-end.ts';
import { PlayerPage } from '../page/player-page.ts';
import {
  initialStream,
  isStream,
  lobbyUrl,
  rememberMemberToken,
  storedMemberToken,
  streamPath,
} from '../page/stream-preferences.ts';

/** One markup for both pages: the player's body is this page's. */
async function borrowStage(): Promise<void> {
  const response = await fetch('/web/player.html');
  const player = new DOMParser().parseFromString(await response.text(), 'text/html');
  document.body.replaceChildren(...player.body.childNodes);
}

await borrowStage();
const stream = initialStream();
if (isStream(stream)) {
  new PlayerPage({
    name: stream.space,
    kind: 'stream',
    url: new URL(`${streamPath(stream)}/static/whep`, location.href).href,
    readToken: storedMemberToken,
    rememberToken: rememberMemberToken,
    source: { href: lobbyUrl(stream), text: 'Enter the lobby' },
  }).start();
} else {
  showDeadEnd('Audience', 'No stream was named', 'The address of this page has to end with ?space=…&stream=…');
}
