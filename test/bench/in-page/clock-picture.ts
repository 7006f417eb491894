/**
 * A clock as a picture: milliseconds in blocks of black and white, each bit once as it is and once inverted, so that a
 * picture that was decoded wrongly is told from a right one.
 */
export const WIDTH = 640;
export const HEIGHT = 360;
const COLUMNS = 12;
const BITS = 24;
const MODULUS = 2 ** BITS;
const BLOCK_WIDTH = WIDTH / COLUMNS;
const BLOCK_HEIGHT = HEIGHT / ((2 * BITS) / COLUMNS);
const HALF_BRIGHT = 128;
const BYTES_PER_PIXEL = 4;

/** Milliseconds that all pages of a machine share. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

export function drawClock(canvas: CanvasRenderingContext2D): void {
  const value = Math.round(nowMs()) % MODULUS;
  for (let block = 0; block < 2 * BITS; block++) {
    const bit = Math.floor(value / 2 ** (block % BITS)) % 2;
    const isWhite = (bit === 1) === block < BITS;
    canvas.fillStyle = isWhite ? '#fff' : '#000';
    canvas.fillRect(
      (block % COLUMNS) * BLOCK_WIDTH,
      Math.floor(block / COLUMNS) * BLOCK_HEIGHT,
      BLOCK_WIDTH,
      BLOCK_HEIGHT,
    );
  }
}

/** How old the clock in the picture was at `atMs`; null when the picture is no clock. */
export function clockAgeMs(canvas: CanvasRenderingContext2D, atMs: number): number | null {
  const { data } = canvas.getImageData(0, 0, WIDTH, HEIGHT);
  let value = 0;
  for (let block = 0; block < 2 * BITS; block++) {
    const x = Math.floor(((block % COLUMNS) + 0.5) * BLOCK_WIDTH);
    const y = Math.floor((Math.floor(block / COLUMNS) + 0.5) * BLOCK_HEIGHT);
    const isWhite = (data[(y * WIDTH + x) * BYTES_PER_PIXEL] ?? 0) >= HALF_BRIGHT;
    const bit = isWhite === block < BITS ? 1 : 0;
    if (block < BITS) value += bit * 2 ** block;
    else if (Math.floor(value / 2 ** (block - BITS)) % 2 !== bit) return null;
  }
  const age = (Math.round(atMs) - value) % MODULUS;
  return age < 0 ? age + MODULUS : age;
}
