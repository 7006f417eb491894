/** Can the edge be dialled: name, TLS, answer, token, protocol version, WebSockets, and does its clock agree with ours? */
import { lookup } from 'node:dns/promises';
import { type ClientRequest, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { CONTROL_PROTOCOL_VERSION } from '../../shared/protocol/control.ts';
import { LINK_CHECK_FIELD, type LinkCheck, linkCheckSchema } from '../../shared/protocol/link-check.ts';
import type { Finding } from './finding.ts';

const ANSWER_DEADLINE_MS = 8_000;
const MAX_ANSWER_BYTES = 64 * 1024;
/** More than this is no matter of the network. */
const MAX_CLOCK_SKEW_MS = 10_000;

export interface EdgeFindings {
  findings: Finding[];
  /** Where the edge is; empty when that could not be found out. */
  edgeAddresses: string[];
  /** How the edge sees us; null when it does not say. */
  seenAs: string | null;
}

export interface EdgeCheckOptions {
  edgeUrl: string;
  token: string;
  /** For servers of tests, whose certificate nobody signed; the system's when absent. */
  ca?: string;
  /** Unix time in milliseconds. */
  now(): number;
}

interface Answer {
  status: number;
  body: string;
  /** Unix time in milliseconds; NaN when it does not say. */
  dateMs: number;
}

export async function checkEdge(options: EdgeCheckOptions): Promise<EdgeFindings> {
  const findings: Finding[] = [];
  const add = (outcome: Finding['outcome'], subject: string, detail: string): void => {
    findings.push({ outcome, subject, detail });
  };
  const url = new URL('/node/link', options.edgeUrl);
  url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? 'https:' : 'http:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const edgeAddresses = isIP(host) === 0 ? await resolve(host) : [host];
  if (edgeAddresses.length === 0) {
    add('failed', 'edge name', `${host} has no address: check EDGE_URL and this machine's name server`);
    return { findings, edgeAddresses, seenAs: null };
  }
  if (isIP(host) === 0) add('ok', 'edge name', `${host} is ${edgeAddresses.join(', ')}`);

  let answer: Answer;
  try {
    answer = await ask(url, options);
  } catch (error) {
    add('failed', 'edge', `${url.host} ${whyUnreachable(error)}`);
    return { findings, edgeAddresses, seenAs: null };
  }
  add('ok', 'edge', `${url.host} answers${url.protocol === 'https:' ? ', by TLS' : ''}`);
  const check = judgeAnswer(answer, add);
  if (!Number.isNaN(answer.dateMs)) findings.push(judgeClock(options.now() - answer.dateMs));
  return { findings, edgeAddresses, seenAs: check?.address ?? null };
}

function judgeAnswer(answer: Answer, add: (outcome: Finding['outcome'], subject: string, detail: string) => void) {
  const check = linkCheckSchema.safeParse(parseJson(answer.body)).data;
  if (answer.status === 200 && check !== undefined) {
    add('ok', 'token', 'the edge takes it');
    addProtocol(check, add);
    return check;
  }
  if (answer.status === 401 || answer.status === 403) {
    add('failed', 'token', `the edge refuses it (HTTP ${answer.status}): NODE_TOKEN must be the same here and there`);
  } else if (answer.status === 400 && answer.body.includes('invalid_node')) {
    add('ok', 'token', 'the edge takes it');
    add('unknown', 'protocol', 'the edge is older than this node and does not say which protocol it speaks');
  } else if (answer.status >= 500) {
    add('failed', 'edge', `it answers HTTP ${answer.status}: its own settings are wrong, or it is down; see its log`);
  } else {
    add('failed', 'edge', `it answers HTTP ${answer.status}, which a Vestibule edge would not: check EDGE_URL`);
  }
  return null;
}

function addProtocol(check: LinkCheck, add: (outcome: Finding['outcome'], subject: string, detail: string) => void) {
  const versions = `the edge speaks ${check.protocol}, this node ${CONTROL_PROTOCOL_VERSION}`;
  if (Math.abs(check.protocol - CONTROL_PROTOCOL_VERSION) > 1) {
    const older = check.protocol < CONTROL_PROTOCOL_VERSION ? 'the edge' : 'this node';
    add('failed', 'protocol', `${versions}, and they must not be more than one apart: update ${older}`);
  } else {
    add('ok', 'protocol', versions);
  }
  if (!check.websocket) {
    add('failed', 'websocket', 'something between here and the edge takes the WebSocket upgrade out: see the proxy');
  }
}

function judgeClock(skewMs: number): Finding {
  const seconds = Math.abs(skewMs / 1_000).toFixed(0);
  if (Math.abs(skewMs) <= MAX_CLOCK_SKEW_MS) return { outcome: 'ok', subject: 'clock', detail: 'agrees with the edge' };
  const way = skewMs > 0 ? 'ahead of' : 'behind';
  return { outcome: 'warning', subject: 'clock', detail: `${seconds} s ${way} the edge's: is time synchronised here?` };
}

async function resolve(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch {
    return [];
  }
}

/** Asks as a link would be dialled, so that what stands in between shows what it does with it. */
function ask(url: URL, { token, ca }: EdgeCheckOptions): Promise<Answer> {
  const { promise, resolve: done, reject } = Promise.withResolvers<Answer>();
  const options: RequestOptions & { ca?: string } = {
    headers: {
      authorization: `Bearer ${token}`,
      [LINK_CHECK_FIELD]: '1',
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': Buffer.alloc(16).toString('base64'),
    },
    signal: AbortSignal.timeout(ANSWER_DEADLINE_MS),
    ...(ca === undefined ? {} : { ca }),
  };
  const request: ClientRequest = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options);
  request.on('response', (response) => {
    read(response).then(
      (body) => done({ status: response.statusCode ?? 0, body, dateMs: Date.parse(response.headers.date ?? '') }),
      reject,
    );
  });
  request.on('upgrade', (response, socket) => {
    socket.destroy();
    done({ status: response.statusCode ?? 0, body: '', dateMs: Number.NaN });
  });
  request.on('error', reject);
  request.end();
  return promise;
}

async function read(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function whyUnreachable(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const name = error instanceof Error ? error.name : '';
  if (name === 'AbortError' || name === 'TimeoutError' || code === 'ETIMEDOUT') {
    return `does not answer within ${ANSWER_DEADLINE_MS / 1_000} s: a firewall on the way out, or the wrong EDGE_URL`;
  }
  if (code === 'ECONNREFUSED') return 'refuses the connection: nothing listens there; check EDGE_URL and its port';
  if (/CERT|SIGNATURE|ISSUER/.test(code)) return `shows a certificate that cannot be trusted (${code})`;
  if (/^ERR_SSL|EPROTO/.test(code)) return `does not speak TLS there (${code}): https:// or http://, and which port?`;
  return `cannot be reached: ${error instanceof Error ? error.message : String(error)}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
