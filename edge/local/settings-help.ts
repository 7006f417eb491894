/** The settings of the embedded edge, in words. */
import type { SettingHelp } from '../../shared/node-settings.ts';

const GENERATED = 'made up and kept';

export const LAUNCHER_SETTINGS: readonly SettingHelp[] = [
  { name: 'HOST', fallback: '127.0.0.1', help: 'address that the edge listens on; 0.0.0.0 opens it to your network' },
  { name: 'PORT', fallback: '8080', help: 'its TCP port; 0 picks a free one' },
  { name: 'VESTIBULE_STATE', fallback: '.vestibule', help: 'directory for state and made-up secrets' },
  { name: 'VESTIBULE_READY', fallback: '', help: 'json: say so in JSON lines on standard output when it is up' },
];

export const EDGE_SETTINGS: readonly SettingHelp[] = [
  { name: 'PUBLIC_URL', fallback: 'as requested', help: 'how clients reach the edge behind a proxy' },
  { name: 'ALLOWED_ORIGIN', fallback: '*', help: 'which web pages may use the API: * or origins, by commas' },
  { name: 'AUTH_TOKEN', fallback: '', help: 'one token to publish and play in all rooms' },
  { name: 'ROOM_TOKENS', fallback: '', help: 'a token for single rooms: room:token;room2:token2' },
  { name: 'ADMIN_TOKEN', fallback: GENERATED, help: 'opens the admin API' },
  {
    name: 'JWT_SECRET',
    fallback: '',
    help: 'accepts JWTs signed with it (HS256, HS384, HS512); 16 characters or more, better 32',
  },
  { name: 'JWT_AUDIENCE', fallback: '', help: 'the aud that a JWT must have' },
  { name: 'JWKS_URL', fallback: '', help: "accepts members' JWTs signed with a key of this set" },
  { name: 'REGISTER_TOKEN', fallback: GENERATED, help: 'opens POST /authenticate to your application' },
  { name: 'SESSION_SECRET', fallback: GENERATED, help: 'keys the unguessable session URLs' },
  { name: 'NODE_TOKEN', fallback: GENERATED, help: 'media nodes show it to the edge' },
  { name: 'STUN_URLS', fallback: '', help: 'stun: URLs for clients, by commas' },
  { name: 'TURN_URLS', fallback: '', help: 'turn: and turns: URLs for clients, by commas' },
  { name: 'TURN_USERNAME', fallback: '', help: 'the name for them' },
  { name: 'TURN_PASSWORD', fallback: '', help: 'and the password' },
  { name: 'MAX_SUBS_PER_ROOM', fallback: '0', help: 'viewers that a room may have; 0: no limit' },
  { name: 'RATE_LIMIT_RPS', fallback: '0', help: 'requests per second and client; 0: no limit' },
  { name: 'RATE_LIMIT_BURST', fallback: "one second's worth", help: 'how many of them may come at once' },
  {
    name: 'CLIENT_IP_HEADER',
    fallback: 'none',
    help: 'the header in which your proxy names the client',
  },
  { name: 'CLIENT_PLACE_HEADER', fallback: 'none', help: 'the one in which it says where the client is' },
  { name: 'PUBLISHER_GRACE_MS', fallback: '15000', help: 'how long viewers wait for a publisher who was lost' },
  { name: 'MEMBER_GRACE_MS', fallback: '15000', help: 'how long a member of a lobby may be out of reach' },
  {
    name: 'LIVE_ALLOWED_HOSTS',
    fallback: 'every public host',
    help: 'servers that lobbies may be pushed to, by commas',
  },
  { name: 'RECORD_ENABLED', fallback: 'false', help: 'record every room and lobby' },
  { name: 'RECORD_FORMAT', fallback: 'mp4', help: 'mp4 (VP8 becomes webm), webm or raw' },
  { name: 'RECORD_RETENTION_DAYS', fallback: '0', help: 'delete recordings after so many days; 0: never' },
  { name: 'UPLOAD_RECORDINGS', fallback: 'true', help: 'nodes upload recordings while they grow' },
  { name: 'S3_ENDPOINT', fallback: '', help: 'an S3 store for recordings: its URL' },
  { name: 'S3_REGION', fallback: 'auto', help: 'its region' },
  { name: 'S3_BUCKET', fallback: '', help: 'the bucket' },
  { name: 'S3_ACCESS_KEY', fallback: '', help: 'the access key' },
  { name: 'S3_SECRET_KEY', fallback: '', help: 'and its secret' },
  { name: 'S3_PREFIX', fallback: '', help: 'what the names of all files begin with' },
  { name: 'S3_PATH_STYLE', fallback: 'true', help: 'the bucket is in the path, not in the host name' },
  { name: 'STRICT_PRECONDITIONS', fallback: 'false', help: 'refuses a PATCH without If-Match' },
];
