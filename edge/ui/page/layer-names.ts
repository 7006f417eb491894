import type { VideoLayer } from '../clients/session-events.ts';

/** What people call each layer, by rid: its height, or what the publisher calls it when that says too little. */
export function layerNames(layers: readonly VideoLayer[]): Map<string, string> {
  const heights = layers.map(({ height }) => height).filter((height) => height !== null);
  return new Map(
    layers.map(({ rid, height }) => {
      if (height === null) return [rid, rid];
      const isOnlyOne = heights.filter((other) => other === height).length === 1;
      return [rid, isOnlyOne ? `${height}p` : `${height}p ${rid}`];
    }),
  );
}
