const encoder = new TextEncoder();

/**
 * Are the two secrets equal? Both are hashed first, so neither their lengths nor the place where they first differ can
 * be read from the time this takes. (`crypto.subtle.timingSafeEqual` exists in workerd only.)
 */
export async function secretsEqual(left: string, right: string): Promise<boolean> {
  const [a, b] = await Promise.all([digest(left), digest(right)]);
  return bytesEqual(a, b);
}

/** Compares byte strings of public length in constant time. */
export function bytesEqual(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let index = 0; index < left.length; index++) difference |= (left[index] ?? 0) ^ (right[index] ?? 0);
  return difference === 0;
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', encoder.encode(text)));
}
