import { expect, test } from 'vitest';
import { bindingError, bindingSuccess, hasIntegrity, parseBindingRequest } from '../../../media-node/transport/stun.ts';
import { readAnswer, writeCheck } from './stun-check.ts';

const CHECK = { username: 'theirs:ours', password: 'their-password', useCandidate: true, bare: false };

function parse(datagram: Buffer) {
  const request = parseBindingRequest(datagram);
  if (request === null) throw new Error('no binding request');
  return request;
}

test.each([false, true])('a check is what an agent expects; bare: %s', (bare) => {
  const request = parse(writeCheck({ ...CHECK, bare }).datagram);

  expect(request).toMatchObject({ username: 'theirs:ours', useCandidate: true, iceControlled: false, unknown: [] });
  expect(hasIntegrity(request, 'their-password')).toBe(true);
  expect(hasIntegrity(request, 'another-password')).toBe(false);
});

test('answers belong to their check and carry their signature', () => {
  const { datagram, transaction } = writeCheck(CHECK);
  const request = parse(datagram);
  const success = bindingSuccess(request, '127.0.0.1', 4_000, 'their-password');

  expect(readAnswer(success, 'their-password')).toEqual({ transaction, errorCode: null });
  expect(readAnswer(success, 'another-password')).toBeNull();
  expect(readAnswer(bindingError(request, 401, null), 'their-password')).toEqual({ transaction, errorCode: 401 });
  expect(readAnswer(datagram, 'their-password')).toBeNull();
});
