import { type Env, readSettings } from '../env.ts';
import type { ObjectStore } from './object-store.ts';
import { R2Store } from './r2-store.ts';
import type { Upload } from './record.ts';
import { S3Store } from './s3-store.ts';

/** Where new recordings go: to S3 when it is configured, else to the bound bucket; null: nowhere, they stay on their nodes. */
export function openStore(env: Env): ObjectStore | null {
  const { uploadRecordings, s3 } = readSettings(env);
  if (!uploadRecordings) return null;
  return storeFor(env, s3 === null ? 'edge' : 's3');
}

/** The store in which an object was put, whatever the settings say of new ones; null when it is not configured any more. */
export function storeFor(env: Env, via: Upload['via']): ObjectStore | null {
  if (via === 'edge') return env.RECORDINGS === undefined ? null : new R2Store(env.RECORDINGS);
  const { s3 } = readSettings(env);
  return s3 === null ? null : new S3Store(s3);
}
