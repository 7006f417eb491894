/** Exit code 0 when the node behind NODE_STATUS_PORT says that it is well. For the health checks of containers. */
export const PATIENCE_MS = 4_000;

const host = process.env.NODE_STATUS_HOST || '127.0.0.1';
const url = `http://${host.includes(':') ? `[${host}]` : host}:${process.env.NODE_STATUS_PORT}/healthz`;
try {
  const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!response.ok) {
    console.error(`${url} says ${response.status}`);
    process.exitCode = 1;
  }
} catch (error) {
  console.error(`${url}: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
