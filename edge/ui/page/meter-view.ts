/** A definition list of measurements, built once and then only refreshed. */
import { create, setText } from './dom.ts';

export interface MeterRow<Summary> {
  /** `data-testid` of the value is `stat-{key}`. */
  key: string;
  label: string;
  /** Explains the label on hover. */
  title?: string;
  format(summary: Summary): string;
}

export function buildMeterView<Summary>(
  list: HTMLDListElement,
  rows: readonly MeterRow<Summary>[],
): (summary: Summary | null) => void {
  const values = rows.map(({ key, label, title = '' }) => {
    const value = create('dd', { textContent: '–' });
    value.dataset.testid = `stat-${key}`;
    list.append(create('div', { title }, create('dt', { textContent: label }), value));
    return value;
  });
  return (summary) => {
    for (const [at, row] of rows.entries()) {
      const value = values[at];
      if (value !== undefined) setText(value, summary === null ? '–' : row.format(summary));
    }
  };
}
