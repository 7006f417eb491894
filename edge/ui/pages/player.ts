/** The player page: plays a room. */
import { PlayerPage } from '../page/player-page.ts';
import { initialRoom, pageUrl, playUrl, rememberRoom, rememberToken, storedToken } from '../page/preferences.ts';

const room = initialRoom();
rememberRoom(room);
new PlayerPage({
  name: room,
  kind: 'room',
  url: playUrl(room),
  readToken: storedToken,
  rememberToken,
  source: { href: pageUrl('publisher', room), text: 'Publish to this room' },
}).start();
