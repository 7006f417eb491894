// The package brings no types: what this project uses of it.
declare module '@20minutes/s3rver' {
  // biome-ignore lint/style/noDefaultExport: it is theirs.
  export default class S3rver {
    constructor(options: {
      port: number;
      address: string;
      silent: boolean;
      directory: string;
      configureBuckets: { name: string; configs: string[] }[];
    });
    run(): Promise<{ port: number }>;
    close(): Promise<void>;
  }
}
