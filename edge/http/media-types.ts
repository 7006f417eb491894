import { ProblemError } from '../../shared/errors.ts';

export const SDP_TYPE = 'application/sdp';
export const SDPFRAG_TYPE = 'application/trickle-ice-sdpfrag';

/** Type and subtype in lower case without parameters (RFC 9110 §8.3.1); null when the field is absent or empty. */
export function mediaTypeOf(contentType: string | null): string | null {
  const essence = (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  return essence === '' ? null : essence;
}

/** 415 with the field that says what would be understood: `Accept-Post` or `Accept-Patch` (RFC 5789 §2.2). */
export function unsupportedType(field: 'Accept-Post' | 'Accept-Patch', types: string): ProblemError {
  return new ProblemError(415, 'unsupported_media_type', `the body must be ${types.replaceAll(', ', ' or ')}`, {
    headers: { [field]: types },
  });
}
