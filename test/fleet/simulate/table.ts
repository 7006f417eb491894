/** The results for people. */
import type { EveningOptions } from './evening.ts';
import type { EveningResult, Quantiles } from './result.ts';
import { type Busiest, COST_US, type StormResult } from './storm.ts';

export function tableOf(said: {
  options: EveningOptions;
  evening: EveningResult;
  storm: StormResult;
  tookMs: number;
}): string {
  const { options, evening, storm, tookMs } = said;
  const { viewers, distanceKm, detourKm, peak, work, end } = evening;
  const lines = [
    `An evening of ${options.hours} h, ${options.nodes} nodes, ${options.locations} places, seed ${options.seed}`,
    '',
    row('viewers', `${viewers.arrived} came in, ${viewers.waited} waited for a place, ${viewers.refused} found none`),
    row('at the peak', `${peak.viewers} at the same time`),
    row('distance to the node', `${quantiles(distanceKm)} km`),
    row('beyond the nearest node', `${quantiles(detourKm)} km`),
    row(
      'load at the peak',
      `${quantiles(peak.load)} of capacity; ${peak.load.used} nodes used, ${peak.load.idle} idle`,
    ),
    row('relays at the peak', `${peak.relays}, the biggest room ${peak.largestTree}; by depth ${depths(peak.depths)}`),
    row('relays opened', `${work.relaysOpened}; ${end.relays} left at the end, for ${end.viewers} viewers`),
    row('moved', `${viewers.movedByDeath} by deaths, ${viewers.movedByDrain} by drains without a gap`),
    row('dropped by a drain', `${viewers.droppedByDrain}`),
    row('nodes said no', `${viewers.saidNoByNodes} times, and another was asked`),
    row('lobbies were asked', `${work.routeQuestions} times for ${viewers.arrived} viewers`),
    '',
    `A join storm on one room: ${storm.joined} joined, ${storm.waited} of them at a second try, ${storm.refused} refused, ${storm.relays} relays`,
    '',
    row('', 'objects   calls/s of the busiest   busy'),
    busiest(`Audience (${COST_US.audience} µs)`, storm.audience),
    busiest(`Lobby (${COST_US.lobby} µs)`, storm.lobby),
    busiest(`NodeLink (${COST_US.nodeLink} µs)`, storm.nodeLink),
    busiest('Fleet', storm.fleet),
    '',
    `simulated in ${(tookMs / 1000).toFixed(1)} s`,
  ];
  return `${lines.join('\n')}\n`;
}

function row(name: string, value: string): string {
  return `  ${name.padEnd(26)}${value}`;
}

function quantiles({ p50, p90, p99, max }: Quantiles): string {
  return `half ${p50}, 90 % ${p90}, 99 % ${p99}, all ${max}`;
}

function depths(counts: Record<string, number>): string {
  return Object.entries(counts)
    .map(([depth, count]) => `${depth}: ${count}`)
    .join(', ');
}

function busiest(name: string, { objects, callsPerSecond, busy }: Busiest): string {
  const percent = `${(100 * busy).toFixed(1)} %`;
  return row(name, `${String(objects).padStart(7)}   ${String(callsPerSecond).padStart(22)}   ${percent}`);
}
