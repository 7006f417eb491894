/** Containers often have no IPv6 at all, not even on loopback: what needs it is left out there. */
import { networkInterfaces } from 'node:os';

export const HAS_IPV6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
);
