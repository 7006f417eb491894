/** What a node says of itself on its status port: totals since the start, by the names in `media-node/status/metrics.ts`. */

const LINE = /^vestibule_node_(\w+)_total\{[^}]*\} (\S+)$/gm;

/**
 * @param status `host:port`
 * @throws {Error} when nothing answers there
 */
export async function nodeTotals(status: string): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`http://${status}/metrics`)).text();
  return new Map([...text.matchAll(LINE)].map(([, name = '', value]) => [name, Number(value)]));
}
