import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isSame, type VaultExchange, type VaultRecording } from './vault-recording.ts';
import { Scrubber } from './vault-scrubber.ts';

/** A Vault for one suite, on a port of 127.0.0.1. */
export interface VaultServer {
  readonly url: string;
  /** Method and path of each request so far. */
  requests(): readonly string[];
  /** What was asked since this was last called and never recorded; a test that caused any has failed. */
  unmatched(): readonly string[];
  stop(): Promise<void>;
}

export interface VaultRecorder extends VaultServer {
  /** In the order in which they were asked. */
  exchanges(): readonly VaultExchange[];
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly token: string | undefined;
  readonly namespace: string | undefined;
  readonly body: unknown;
}

interface Answer {
  readonly status: number;
  /** JSON; `undefined` for none. */
  readonly body: unknown;
}

/**
 * Plays what a real server once answered. A request has to be the recorded one in method, path, token and body; the same
 * request gets its answers in the order of the recording, and the last one from then on.
 */
export async function startVaultReplay({ exchanges }: VaultRecording): Promise<VaultServer> {
  const queues: VaultExchange[][] = [];
  for (const exchange of exchanges) {
    const queue = queues.find(([first]) => first !== undefined && isSameRequest(first, exchange));
    if (queue === undefined) queues.push([exchange]);
    else queue.push(exchange);
  }
  const unmatched: string[] = [];
  const server = await serve(async ({ method, path, token = null, namespace, body = null }) => {
    const asked = { method, path, token, body, ...(namespace === undefined ? {} : { namespace }) };
    const queue = queues.find(([first]) => first !== undefined && isSameRequest(first, asked));
    const [next] = queue ?? [];
    if (next === undefined) {
      unmatched.push(`${method} ${path} ${token} ${JSON.stringify(body)}`);
      return { status: 400, body: { errors: ['This was never recorded. Record it with `pnpm vault:record`.'] } };
    }
    if (queue !== undefined && queue.length > 1) queue.shift();
    return { status: next.status, body: next.answer ?? undefined };
  });
  return { ...server, unmatched: () => unmatched.splice(0) };
}

/** Passes everything on to a real server and keeps it, without secrets. */
export async function startVaultRecorder(address: string, rootToken: string): Promise<VaultRecorder> {
  const exchanges: (VaultExchange | undefined)[] = [];
  const scrubber = new Scrubber(rootToken);
  const server = await serve(async (asked) => {
    const { method, path, token, namespace, body } = asked;
    const place = exchanges.push(undefined) - 1;
    const answer = await forward(address, asked);
    exchanges[place] = {
      method,
      path: scrubber.text(path),
      token: token === undefined ? null : scrubber.nameOf(token),
      ...(namespace === undefined ? {} : { namespace }),
      body: body === undefined ? null : scrubber.request(path, body),
      status: answer.status,
      answer: answer.body === undefined ? null : scrubber.scrub(answer.body),
    };
    return answer;
  });
  return {
    ...server,
    unmatched: () => [],
    exchanges: () => exchanges.filter((exchange) => exchange !== undefined),
  };
}

async function forward(address: string, { method, path, token, namespace, body }: Asked): Promise<Answer> {
  const response = await fetch(new URL(path, address), {
    method,
    redirect: 'manual',
    headers: {
      'x-vault-request': 'true',
      ...(token === undefined ? {} : { 'x-vault-token': token }),
      ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text.trim() === '' ? undefined : (JSON.parse(text) as unknown) };
}

type SameRequest = Pick<VaultExchange, 'method' | 'path' | 'token' | 'namespace' | 'body'>;

function isSameRequest(recorded: SameRequest, asked: SameRequest): boolean {
  return (
    recorded.method === asked.method &&
    recorded.path === asked.path &&
    recorded.token === asked.token &&
    recorded.namespace === asked.namespace &&
    isSame(recorded.body, asked.body)
  );
}

async function serve(
  answer: (asked: Asked) => Promise<Answer>,
): Promise<Pick<VaultServer, 'url' | 'requests' | 'stop'>> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    void respond(request, response, answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, requests: () => requests, stop: () => stop(server) };
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  answer: (asked: Asked) => Promise<Answer>,
): Promise<void> {
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString('utf8');
    const header = (name: string): string | undefined => request.headers[name]?.toString();
    const { status, body } = await answer({
      method: request.method ?? '',
      path: request.url ?? '',
      token: header('x-vault-token'),
      namespace: header('x-vault-namespace'),
      body: text === '' ? undefined : parsed(text),
    });
    response.writeHead(status, body === undefined ? {} : { 'content-type': 'application/json' });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  } catch {
    response.destroy(); // the client left, or the server behind did
  }
}

/** What is no JSON is like nothing that was recorded. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

async function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
}
