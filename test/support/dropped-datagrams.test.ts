import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { droppedDatagrams } from './dropped-datagrams.ts';

test.skipIf(process.platform !== 'linux')('counts what a socket has no room for', async () => {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4_096 });
  onTestFinished(() => void socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  const before = droppedDatagrams();

  const sent = Array.from({ length: 200 }, () => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    socket.send(Buffer.alloc(1_000), port, '127.0.0.1', resolve);
    return promise;
  });
  await Promise.all(sent);

  expect(droppedDatagrams()).toBeGreaterThan(before);
});
