/**
 * A member that does its worst, in a process of its own. Arguments: what it does, URL of the system, path of the stream,
 * its user's token. Says `joined`, and starts at a line on its standard input; says `sent` with a count once a second.
 *
 *   junk      10 000 frames a second that mean nothing        big       frames of 1 MB, as fast as they are taken
 *   mutes     10 000 mutes a second                           channels  a hundred data channels, all talking
 */
import { once } from 'node:events';
import { RTCPeerConnection } from 'werift';
import { LobbyMember, postOffer } from './lobby-member.ts';

const MIB = 1024 * 1024;
const PER_MS = 10;
/** More than that is not handed over at once: the association would only queue it here. */
const MAX_BUFFERED_BYTES = 4 * MIB;
const CHANNELS = 100;

const [kind = '', url = '', path = '', bearer = ''] = process.argv.slice(2);
const entry = { url, path, bearer, user: 'hostile' };
let sent = 0;

function tell(event: string): void {
  process.stdout.write(`${JSON.stringify({ event, sent })}\n`);
}

async function begin(): Promise<void> {
  tell('joined');
  await once(process.stdin, 'data');
  setInterval(() => tell('sent'), 1_000);
}

/** Calls `send` as often as it should be called since the last time. */
function pour(send: () => boolean): void {
  let lastMs = performance.now();
  setInterval(() => {
    const nowMs = performance.now();
    const due = Math.min(10 * PER_MS, Math.round((nowMs - lastMs) * PER_MS));
    lastMs = nowMs;
    for (let at = 0; at < due && send(); at += 1) sent += 1;
  }, 1);
}

/** libwebrtc sends no frame of that length, whatever it is told; werift does. */
async function sendBig(): Promise<void> {
  const connection = new RTCPeerConnection({ iceServers: [] });
  const channel = connection.createDataChannel('whip');
  await connection.setLocalDescription(await connection.createOffer());
  const created = await postOffer(entry, connection.localDescription?.sdp ?? '');
  if (created.status !== 201) throw new Error(`POST whip: ${created.status} ${created.body}`);
  const sdp = created.body.replace(/^(a=max-message-size:).*$/m, `$1${MAX_BUFFERED_BYTES}`);
  await connection.setRemoteDescription({ type: 'answer', sdp });
  if (channel.readyState !== 'open') await channel.stateChanged.watch((state) => state === 'open');
  await begin();
  const frame = Buffer.alloc(MIB, 97);
  setInterval(() => {
    if (channel.readyState !== 'open' || channel.bufferedAmount > MAX_BUFFERED_BYTES) return;
    channel.send(frame);
    sent += 1;
  }, 20);
}

async function sendSmall(): Promise<void> {
  const member = await LobbyMember.enterAs(entry, { sends: 'quiet', info: '1 2 Hostile' });
  await member.listen();
  const channels = [member.channel];
  if (kind === 'channels') {
    while (channels.length < CHANNELS) channels.push(member.ingress.createDataChannel(`whip${channels.length}`));
  }
  await begin();
  const mutes = [true, false].map((mute) =>
    Buffer.from(JSON.stringify({ id: 0, type: 3, data: { mid: member.midOf('audio'), mute } })),
  );
  const frames = kind === 'mutes' ? mutes : [Buffer.from('{"id":1,"type":9,"data":null}'), Buffer.from('junk')];
  pour(() => {
    const channel = channels[sent % channels.length];
    const frame = frames[sent % frames.length];
    if (channel?.readyState !== 'open' || frame === undefined) return kind === 'channels';
    if (channel.bufferedAmount > MAX_BUFFERED_BYTES) return false;
    channel.send(frame);
    return true;
  });
}

await (kind === 'big' ? sendBig() : sendSmall());
