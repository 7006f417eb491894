import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { requireTcpPort, requireUdpPort } from './port.ts';

test('a TCP port in use is named together with its variable; then it is free', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await expect(requireTcpPort('PORT', '127.0.0.1', port)).rejects.toThrow(
    `TCP port ${port} on 127.0.0.1 is in use. Stop what uses it, or set PORT to another port`,
  );
  server.close();
  await once(server, 'close');
  await expect(requireTcpPort('PORT', '127.0.0.1', port)).resolves.toBeUndefined();
});

test('a UDP port in use on one address is in use for "any address" too', async () => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  await expect(requireUdpPort('MEDIA_PORT', null, port)).rejects.toThrow(`UDP port ${port} on 0.0.0.0 is in use`);
  await expect(requireUdpPort('MEDIA_PORT', ['127.0.0.1'], port)).rejects.toThrow('set MEDIA_PORT to another port');
  await expect(requireUdpPort('MEDIA_PORT', ['127.0.0.2'], port)).resolves.toBeUndefined();
  socket.close();
});

test.each([8080, 0])('an address that the machine does not have is not blamed on the port (%i)', async (port) => {
  await expect(requireTcpPort('PORT', '192.0.2.200', port)).rejects.toThrow(
    'HOST=192.0.2.200 is no address of this machine',
  );
});

test('a name that leads nowhere is told as such', async () => {
  await expect(requireTcpPort('PORT', 'no-such-host.invalid', 0)).rejects.toThrow('HOST=no-such-host.invalid');
});

test('port 0 is always free', async () => {
  await expect(requireTcpPort('PORT', '127.0.0.1', 0)).resolves.toBeUndefined();
  await expect(requireUdpPort('MEDIA_PORT', null, 0)).resolves.toBeUndefined();
});
