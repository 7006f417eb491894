/** How large a picture may grow while it is put together: a publisher may go on for ever. */

/** A keyframe of 4K video takes two million. */
export const MAX_PICTURE_BYTES = 8 * 1024 * 1024;
/** Slices and tiles of the largest levels are fewer; in memory each costs more than its bytes, which may be one. */
export const MAX_UNITS = 4_096;
