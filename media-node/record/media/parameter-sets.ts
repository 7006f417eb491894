/** `sprop-parameter-sets` of an H.264 format (RFC 6184 §8.1). */
export function spropParameterSets(fmtp: string): Buffer[] {
  const value = fmtp
    .split(';')
    .map((parameter) => parameter.trim())
    .find((parameter) => parameter.startsWith('sprop-parameter-sets='));
  if (value === undefined) return [];
  return value
    .slice(value.indexOf('=') + 1)
    .split(',')
    .map((set) => Buffer.from(set, 'base64'))
    .filter(({ length }) => length > 1);
}
