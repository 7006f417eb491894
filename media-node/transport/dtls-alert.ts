/** Alerts (RFC 5246 §7.2) that we send or care about. */
export const ALERT = {
  closeNotify: 0,
  unexpectedMessage: 10,
  handshakeFailure: 40,
  badCertificate: 42,
  illegalParameter: 47,
  decryptError: 51,
} as const;
export type AlertDescription = (typeof ALERT)[keyof typeof ALERT];

export const ALERT_LEVEL = { warning: 1, fatal: 2 } as const;

/** The handshake cannot succeed any more. Errors of other kinds mean an unreadable message, which is dropped instead. */
export class DtlsFailure extends Error {
  readonly alert: AlertDescription;

  constructor(alert: AlertDescription, message: string) {
    super(message);
    this.name = 'DtlsFailure';
    this.alert = alert;
  }
}
