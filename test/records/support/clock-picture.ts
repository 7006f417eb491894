/** A picture that says when it was taken: squares, white for 1, which survive any encoder. */

export const COLUMNS = 4;
export const BITS = 16;
/** Of a square, in pixels. */
export const CELL = 32;
export const WIDTH = COLUMNS * CELL;
export const HEIGHT = (BITS / COLUMNS) * CELL;
/** What the number counts; it begins anew after 11 minutes. */
export const TICK_MS = 10;
const MIDDLE_GREY = 128;

/** Milliseconds of the page's clock. @param luma of the whole picture, `stride` bytes a row */
export function readClockMs(luma: Uint8Array, stride: number): number {
  let ticks = 0;
  for (let bit = 0; bit < BITS; bit++) {
    const x = ((bit % COLUMNS) + 0.5) * CELL;
    const y = (Math.floor(bit / COLUMNS) + 0.5) * CELL;
    if ((luma[y * stride + x] ?? 0) > MIDDLE_GREY) ticks += 2 ** bit;
  }
  return ticks * TICK_MS;
}
