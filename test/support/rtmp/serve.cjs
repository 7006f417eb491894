/**
 * An RTMP server: node-media-server, in a process of its own because its configuration is one per process. Arguments: RTMP
 * port, HTTP port, a folder; environment: RTMP_REFUSE=1 (every publisher is refused). Says as JSON lines: `ready`;
 * `publish` and `gone` with the stream's path; `media` once what arrives is known: codecs, size,
 * rates; `bytes` now and then with all that came.
 */
const NodeMediaServer = require('node-media-server');
const Context = require('node-media-server/src/core/context.js');
const logger = require('node-media-server/src/core/logger.js');

const [rtmpPort, httpPort, folder] = process.argv.slice(2);
const server = new NodeMediaServer({
  bind: '127.0.0.1',
  rtmp: { port: Number(rtmpPort) },
  http: { port: Number(httpPort) },
  auth: process.env.RTMP_REFUSE === '1' ? { publish: true, secret: 'nobody-knows' } : {},
  store: { path: `${folder}/data` },
});
logger.level = 'error';
server.run();

const known = new Map();
setInterval(() => {
  const present = new Set();
  for (const session of Context.sessions.values()) {
    if (!session.isPublisher || session.socket?.destroyed) continue;
    present.add(session);
    if (!known.has(session)) {
      known.set(session, { media: false, bytes: 0 });
      tell({ event: 'publish', path: session.streamPath });
    }
    const { videoCodec, videoWidth, videoHeight, audioCodec, audioSamplerate, audioChannels, inBytes } = session;
    const state = known.get(session);
    if (session.inBytes - state.bytes > 50_000) {
      state.bytes = session.inBytes;
      tell({ event: 'bytes', path: session.streamPath, bytes: state.bytes });
    }
    if (state.media || (videoCodec === 0 && audioCodec === 0) || inBytes < 40_000) continue;
    state.media = true;
    tell({
      event: 'media',
      path: session.streamPath,
      videoCodec,
      videoWidth,
      videoHeight,
      audioCodec,
      audioSamplerate,
      audioChannels,
    });
  }
  for (const session of known.keys()) {
    if (present.has(session)) continue;
    known.delete(session);
    tell({ event: 'gone', path: session.streamPath });
  }
}, 50);
tell({ event: 'ready' });

function tell(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
