import { expect, test } from 'vitest';
import { HANDSHAKE, HandshakeInbox, handshakeMessage } from './dtls-messages.ts';

test('an inbox that is closed tells repetitions and takes nothing in', () => {
  const inbox = new HandshakeInbox();
  const message = (sequence: number) => handshakeMessage(HANDSHAKE.finished, sequence, Buffer.alloc(12, sequence));
  inbox.push(message(0), 0);
  inbox.accept();
  inbox.push(message(1), 0);
  expect(inbox.peek()?.body).toEqual(Buffer.alloc(12, 1));

  inbox.close();

  expect(inbox.peek()).toBeNull();
  expect(inbox.push(message(0), 0)).toEqual({ repeated: true });
  expect(inbox.push(message(1), 0)).toEqual({ repeated: false });
  expect(inbox.peek()).toBeNull();
});
