import type { JsonWebKey } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TestCertificate } from './certificates.ts';
import type { TestServer } from './postgres.ts';
import { RemoteKeys } from './remote-keys.ts';

/** Whom the service lets in. Tokens of `client-credentials` are introspected where they come from (RFC 7662). */
export type RemoteKmsAuth =
  | { readonly kind: 'none' }
  | { readonly kind: 'bearer'; readonly apiKey: string }
  | { readonly kind: 'mtls'; readonly ca: string }
  | {
      readonly kind: 'client-credentials';
      readonly introspectionUrl: string;
      readonly clientId: string;
      readonly clientSecret: string;
    };

export interface RemoteKmsRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface RemoteKmsAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface RemoteKmsOptions {
  /** @default none */
  readonly auth?: RemoteKmsAuth;
  /** Certificate of the service, which then speaks TLS. Mutual TLS needs it. */
  readonly tls?: TestCertificate;
  /** Asked before a request is looked at; what it answers with is sent instead, and `'hang'` is no answer. */
  readonly intercept?: (
    request: RemoteKmsRequest,
  ) => RemoteKmsAnswer | 'hang' | undefined | Promise<RemoteKmsAnswer | 'hang' | undefined>;
  /** How long a connection without requests is kept, in milliseconds. @default 5_000 */
  readonly keepAliveMs?: number;
}

/** Body of a request. Nothing of it is trusted to be there. */
interface Asked {
  readonly kid?: string;
  readonly alg?: string;
  readonly data?: string;
  readonly privateJwk?: JsonWebKey;
}

/** A service that speaks the contract of the `http` provider. */
export interface RemoteKms extends TestServer {
  readonly keys: RemoteKeys;
  /** Everything that was asked, in order. */
  readonly requests: readonly RemoteKmsRequest[];
  /** Connections that are open, and the most that were at one time. */
  connections(): { readonly open: number; readonly most: number };
  /** Ends all connections without a word; the service goes on. */
  cutConnections(): void;
}

/** Starts one on a free port of 127.0.0.1. */
export async function startRemoteKms(options: RemoteKmsOptions = {}): Promise<RemoteKms> {
  const { auth = { kind: 'none' }, tls } = options;
  const keys = new RemoteKeys();
  const requests: RemoteKmsRequest[] = [];
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response, { ...options, auth }, keys, requests).catch(() => request.destroy());
  };
  const clients = auth.kind === 'mtls' ? { ca: auth.ca, requestCert: true, rejectUnauthorized: true } : {};
  if (auth.kind === 'mtls' && tls === undefined) throw new TypeError('mutual TLS needs the certificate of the service');
  const server: Server =
    tls === undefined ? createServer(listener) : createSecureServer({ ...tls, ...clients }, listener);
  server.keepAliveTimeout = options.keepAliveMs ?? 5_000;
  const sockets = new Set<Socket>();
  let most = 0;
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    most = Math.max(most, sockets.size);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cutConnections = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    keys,
    requests,
    connections: () => ({ open: sockets.size, most }),
    cutConnections,
    stop: async () => {
      if (!server.listening) return;
      const closed = [once(server, 'close'), ...[...sockets].map((socket) => once(socket, 'close'))];
      server.close();
      cutConnections();
      await Promise.all(closed);
    },
  };
}

async function serve(
  incoming: IncomingMessage,
  response: ServerResponse,
  { auth, intercept }: RemoteKmsOptions & { readonly auth: RemoteKmsAuth },
  keys: RemoteKeys,
  requests: RemoteKmsRequest[],
): Promise<void> {
  const request = await read(incoming);
  requests.push(request);
  const instead = await intercept?.(request);
  if (instead === 'hang') return;
  const answer =
    instead ?? ((await isLetIn(auth, request)) ? await answerTo(request, keys) : json(401, 'unauthorized'));
  response.writeHead(answer.status, answer.headers).end(answer.body);
}

async function read(incoming: IncomingMessage): Promise<RemoteKmsRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  const { method = '', url = '', headers } = incoming;
  return { method, url, headers, body: Buffer.concat(chunks).toString('utf8') };
}

async function isLetIn(auth: RemoteKmsAuth, { headers }: RemoteKmsRequest): Promise<boolean> {
  // With mutual TLS, who has no certificate does not come this far.
  if (auth.kind === 'none' || auth.kind === 'mtls') return true;
  const token = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];
  if (token === undefined) return false;
  if (auth.kind === 'bearer') return token === auth.apiKey;
  const credentials = Buffer.from(`${auth.clientId}:${auth.clientSecret}`).toString('base64');
  const introspection = await fetch(auth.introspectionUrl, {
    method: 'POST',
    headers: { authorization: `Basic ${credentials}` },
    body: new URLSearchParams({ token }),
  });
  return ((await introspection.json()) as { active?: boolean }).active === true;
}

async function answerTo({ method, url, body }: RemoteKmsRequest, keys: RemoteKeys): Promise<RemoteKmsAnswer> {
  const { pathname, searchParams } = new URL(url, 'http://localhost');
  if (method === 'GET' && pathname === '/health') return json(200, { ok: true });
  const [, collection, kid, verb] = pathname.split('/');
  if (collection !== 'keys')
    return { status: 404, headers: { 'content-type': 'text/html' }, body: '<h1>Not found</h1>' };
  const asked = (body === '' ? {} : JSON.parse(body)) as Asked;
  if (kid === undefined) return method === 'GET' ? page(keys, searchParams) : create(keys, asked);
  if (verb === 'import') return importKey(keys, kid, asked);
  if (!keys.has(kid)) return json(404, 'no such key');
  if (verb === 'sign') {
    if (asked.alg !== keys.algOf(kid)) return json(400, 'another algorithm');
    return json(200, { signature: keys.sign(kid, Buffer.from(asked.data ?? '', 'base64')).toString('base64url') });
  }
  if (method === 'GET') return json(200, { publicJwk: keys.publicJwk(kid) });
  keys.delete(kid);
  return { status: 204 };
}

async function create(keys: RemoteKeys, { kid = '', alg = '' }: Asked): Promise<RemoteKmsAnswer> {
  if (keys.has(kid)) return json(409, 'exists');
  await keys.create(kid, alg);
  return json(200, { publicJwk: keys.publicJwk(kid) });
}

function importKey(keys: RemoteKeys, kid: string, asked: Asked): RemoteKmsAnswer {
  if (keys.has(kid)) return json(409, 'exists');
  keys.import(kid, asked.alg ?? '', asked.privateJwk ?? {});
  return json(200, { publicJwk: keys.publicJwk(kid) });
}

function page(keys: RemoteKeys, query: URLSearchParams): RemoteKmsAnswer {
  const limit = Number(query.get('limit'));
  const names = keys.names.filter((name) => name > (query.get('after') ?? ''));
  const shown = names.slice(0, limit);
  return json(200, { keys: shown.map((kid) => ({ kid })), ...(names.length > limit ? { next: shown.at(-1) } : {}) });
}

function json(status: number, body: object | string): RemoteKmsAnswer {
  const text = JSON.stringify(typeof body === 'string' ? { error: body } : body);
  return { status, headers: { 'content-type': 'application/json' }, body: text };
}
