/**
 * What this project uses of an R2 bucket. Written out because the platform's own type is global in the worker only, and
 * the launcher reads the worker's settings, too.
 */
export interface Bucket {
  createMultipartUpload(key: string, options: { httpMetadata: { contentType: string } }): Promise<{ uploadId: string }>;
  resumeMultipartUpload(
    key: string,
    uploadId: string,
  ): {
    uploadPart(part: number, body: ReadableStream<Uint8Array>): Promise<{ etag: string }>;
    complete(parts: { partNumber: number; etag: string }[]): Promise<{ size: number }>;
    abort(): Promise<void>;
  };
  head(key: string): Promise<{ size: number } | null>;
  get(
    key: string,
    options: { range?: { offset: number; length: number } },
  ): Promise<{ body: ReadableStream<Uint8Array>; httpEtag: string } | null>;
  delete(key: string): Promise<void>;
}
