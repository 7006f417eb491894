/** Runs in a page: a picture that moves and costs next to nothing. */

export const WIDTH = 64;
export const HEIGHT = 36;
const FRAMES_PER_SECOND = 15;

export function movingPicture(): MediaStream {
  const canvas = Object.assign(document.createElement('canvas'), { width: WIDTH, height: HEIGHT });
  const context = canvas.getContext('2d', { alpha: false });
  let frame = 0;
  setInterval(() => {
    if (context === null) return;
    frame += 1;
    context.fillStyle = frame % 2 === 0 ? '#345' : '#543';
    context.fillRect((frame * 3) % WIDTH, 0, 8, HEIGHT);
  }, 1_000 / FRAMES_PER_SECOND);
  return canvas.captureStream(FRAMES_PER_SECOND);
}
