/** What a check found: one line for people. */
export interface Finding {
  /** `failed`: the node would not work. `warning`: it would, but worse. `unknown`: that cannot be told from here. */
  outcome: 'ok' | 'warning' | 'unknown' | 'failed';
  subject: string;
  detail: string;
}

const MARKS = { ok: 'ok     ', warning: 'warning', unknown: 'unknown', failed: 'FAILED ' } as const;
const SUBJECT_WIDTH = 12;

export function describeFinding({ outcome, subject, detail }: Finding): string {
  return `${MARKS[outcome]}  ${subject.padEnd(SUBJECT_WIDTH)} ${detail}`;
}
