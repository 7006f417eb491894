/** The player page: plays a room. */
import { showDeadEnd } from '../page/dead-end.ts';
import { PlayerPage } from '../page/player-page.ts';
import {
  initialRoom,
  isRoomName,
  pageUrl,
  playUrl,
  rememberRoom,
  rememberToken,
  storedToken,
} from '../page/preferences.ts';

const asked = new URLSearchParams(location.search).get('room');
if (asked !== null && asked !== '' && !isRoomName(asked)) {
  // Another room than the one in the link would be a surprise.
  showDeadEnd('Room', 'No room can have this name', 'Names of rooms have up to 64 letters, digits, - and _.');
} else {
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
}
