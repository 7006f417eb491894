/** Which lines of the Workers runtime are for the operator. */

/** The runtime's note to itself that an alarm fired just when the object had taken it back: nothing is lost by it. */
const ALARM_TAKEN_BACK = /^NOSENTRY SQLite alarm handler canceled/;

/** Errors and warnings, of the worker and of its runtime; not what a worker logs for its developers. */
export function isForOperator({ level, message }: { level: string; message: string }): boolean {
  return (level === 'error' || level === 'warn') && !ALARM_TAKEN_BACK.test(message);
}
