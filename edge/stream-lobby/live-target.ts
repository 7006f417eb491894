/** Where a stream goes live: the body of `POST P/live`, and the URL that the media node pushes to. */
import { z } from 'zod';
import { ProblemError } from '../../shared/errors.ts';
import { canonicalHost, isAllowedHost } from './public-host.ts';

const MAX_URL_CHARS = 1024;
const MAX_KEY_CHARS = 512;

/** Printable ASCII without blanks: FFmpeg splits and escapes nothing in that. */
const url = z.string().min(1).max(MAX_URL_CHARS);
const key = z
  .string()
  .max(MAX_KEY_CHARS)
  .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without blanks');

/** Two spellings of the same, never mixed; unknown members are refused. */
export const liveBodySchema = z
  .union(
    [
      z
        .strictObject({ rtmpUrl: url, streamKey: key })
        .transform((body) => ({ base: body.rtmpUrl, key: body.streamKey })),
      z
        .strictObject({ rtmpEndpoint: url, rtmpKey: key })
        .transform((body) => ({ base: body.rtmpEndpoint, key: body.rtmpKey })),
    ],
    { error: 'must be {rtmpUrl, streamKey} or {rtmpEndpoint, rtmpKey}' },
  )
  .meta({ examples: [{ rtmpUrl: 'rtmp://a.rtmp.example.com/live2', streamKey: 'abcd-1234' }] });

/**
 * The URL to push to, put together anew from its parsed parts, so that nobody reads another host in it than was checked
 * here.
 * @throws ProblemError 400 `bad_live_target`, 400 `live_host_not_allowed`
 */
export function liveTarget(body: z.output<typeof liveBodySchema>, allowedHosts: readonly string[]): string {
  const parts = /^(rtmps?):\/\/(\[[0-9a-f:.]+\]|[^\s/?#@:[\]\\]+)(?::(\d{1,5}))?(\/[\x21-\x7e]*)?$/i.exec(body.base);
  const [, scheme = '', written = '', port, path = ''] = parts ?? [];
  if (parts === null)
    throw badTarget(
      'the target must be an rtmp:// or rtmps:// URL without user and password, such as rtmp://a.rtmp.example.com/live2',
    );
  const host = canonicalHost(written);
  if (host === null || /[#\\]/.test(path)) throw badTarget('the target must have a host, and no # or \\ behind it');
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535))
    throw badTarget('the port of the target must be a number from 1 to 65535');
  if (!isAllowedHost(host, allowedHosts)) {
    throw new ProblemError(
      400,
      'live_host_not_allowed',
      'streams may not go live to this host: it is not public, or LIVE_ALLOWED_HOSTS names others only',
    );
  }
  const authority = port === undefined ? host : `${host}:${Number(port)}`;
  return `${scheme.toLowerCase()}://${authority}${path.replace(/\/+$/, '')}/${body.key}`;
}

function badTarget(detail: string): ProblemError {
  return new ProblemError(400, 'bad_live_target', detail);
}
