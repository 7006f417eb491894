/** What is known about one connection of a node. It is kept with the socket, so it survives hibernation. */
import { z } from 'zod';
import { bootIdSchema, nodeIdSchema } from '../../shared/ids.ts';
import { coordinatesSchema, type Hello, helloSchema, nodeLoadSchema } from '../../shared/protocol/control.ts';
import { coordinatesOfRegion } from '../fleet/regions.ts';
import type { NodeSnapshot } from '../fleet/rpc.ts';

const aboutSchema = z.object({
  node: nodeIdSchema,
  boot: bootIdSchema,
  protocol: z.int().positive(),
  region: z.string(),
  coordinates: coordinatesSchema.nullable(),
  version: z.string(),
  engine: helloSchema.shape.engine,
  addresses: z.array(z.string()),
  capacity: helloSchema.shape.capacity,
  /** As of its hello; reports say more. */
  load: nodeLoadSchema,
  draining: z.boolean(),
});
/** Of the node's hello, what the fleet wants to know. */
export type About = z.infer<typeof aboutSchema>;

const attachmentSchema = z.object({
  connection: z.int().positive(),
  /** Unix ms of its acceptance, of the hello once that was here. */
  since: z.int(),
  /** The header of its upgrade request. */
  node: nodeIdSchema,
  /** `greeting`: no hello yet; `linked`: its lobbies are being asked; `ready`: welcomed, requests may go out. */
  stage: z.enum(['greeting', 'linked', 'ready']),
  about: aboutSchema.nullable(),
});
export type Attachment = z.infer<typeof attachmentSchema>;

/** Null for a socket that is not one of ours, or was accepted by a version that kept something else. */
export function readAttachment(socket: WebSocket): Attachment | null {
  return attachmentSchema.safeParse(socket.deserializeAttachment()).data ?? null;
}

export function writeAttachment(socket: WebSocket, attachment: Attachment): void {
  socket.serializeAttachment(attachment);
}

export function aboutOf(hello: Hello): About {
  const { node, boot, protocol, region, version, engine, addresses, capacity, load } = hello;
  const coordinates = hello.coordinates ?? coordinatesOfRegion(region);
  const draining = hello.draining ?? false;
  return { node, boot, protocol, region, coordinates, version, engine, addresses, capacity, load, draining };
}

export function snapshotOf(about: About, load: About['load'] | null, seenAt: number): NodeSnapshot {
  return { ...about, load: load ?? about.load, linked: true, seenAt };
}

/** Codes that may not be sent (RFC 6455 §7.4.1) are answered with a plain goodbye. */
export function closeQuietly(socket: WebSocket, code: number, reason: string): void {
  const sendable = code === 1000 || (code >= 3000 && code <= 4999) || (code >= 1007 && code <= 1011);
  try {
    socket.close(sendable ? code : 1000, reason);
  } catch {
    // Closed already.
  }
}
