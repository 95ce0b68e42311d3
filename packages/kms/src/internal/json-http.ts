import { X509Certificate } from 'node:crypto';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP, type Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { invalidArgument, kindOf } from '../arguments.ts';
import { KmsError } from '../errors.ts';
import { networkError } from './network-error.ts';

const MAX_ANSWER_BYTES = 1024 * 1024;
const KEPT_SOCKETS = 56;
const FRESH_SOCKETS = 8;
const IDLE_MS = 30_000;

/** Certificates of an HTTPS client, PEM each. */
export interface TlsOptions {
  /** Authorities to trust. @default those that Node brings */
  readonly ca?: string | undefined;
  /** The client's certificate, for mutual TLS. */
  readonly cert?: string | undefined;
  /** The client's private key. */
  readonly key?: string | undefined;
  readonly passphrase?: string | undefined;
}

export interface JsonRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'LIST';
  /** Segments below the base, encoded by the caller. */
  readonly path: string;
  readonly query?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent as a form if it is `URLSearchParams`, else as JSON. */
  readonly body?: unknown;
  /**
   * What happens on a kept connection that the server has closed meanwhile. `at-least-once`: the request is sent again
   * at once, on a new one. `at-most-once`: it is sent on a new one from the start, and never again.
   * @default 'at-least-once'
   */
  readonly delivery?: 'at-least-once' | 'at-most-once' | undefined;
  readonly signal: AbortSignal;
}

export interface JsonAnswer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** The answer's JSON; `undefined` where it has none or another type, which only an error status may have. */
  readonly json: unknown;
}

/**
 * JSON over HTTP to one address, on at most 64 connections, most of them kept open. Redirects are not followed, so what
 * the headers hold goes to no other host; answers are bounded.
 */
export class JsonHttp {
  readonly #base: URL;
  readonly #kept: HttpAgent | HttpsAgent;
  readonly #fresh: HttpAgent | HttpsAgent;

  /** @throws KmsError `ERR_KMS_INVALID_ARGUMENT` for certificates that cannot be used, naming `tls` */
  constructor(base: URL, tls: TlsOptions = {}) {
    this.#base = base;
    const kept = { keepAlive: true, maxSockets: KEPT_SOCKETS, timeout: IDLE_MS };
    // Not by maxSockets: with that, Node hands a used connection to the next request that waits.
    const fresh = { keepAlive: false, maxTotalSockets: FRESH_SOCKETS };
    // As a context and not as PEM, which the agent would make part of the names of its pools.
    const secureContext = secureContextOf(tls);
    const secure = base.protocol === 'https:';
    this.#kept = secure ? new HttpsAgent({ ...kept, secureContext }) : new HttpAgent(kept);
    this.#fresh = secure ? new HttpsAgent({ ...fresh, secureContext }) : new HttpAgent(fresh);
  }

  /**
   * @throws KmsError `ERR_KMS_UNAVAILABLE` for what the network did, `ERR_KMS_CREDENTIALS` where the server refuses the
   * client's certificate, `ERR_KMS_INVALID_RESPONSE` for a redirect, a success that is no JSON, or more than 1 MiB
   */
  async send(request: JsonRequest): Promise<JsonAnswer> {
    const [options, text] = this.#optionsOf(request);
    try {
      const response = await this.#exchange(request, options, text);
      return answerOf(response, await readBounded(response));
    } catch (cause) {
      throw cause instanceof KmsError ? cause : networkError(cause);
    }
  }

  /** Ends all connections, also those in use. */
  close(): void {
    endPool(this.#kept);
    endPool(this.#fresh);
  }

  async #exchange(
    { delivery = 'at-least-once' }: JsonRequest,
    options: RequestOptions,
    text: string | undefined,
  ): Promise<IncomingMessage> {
    const onFresh = { ...options, agent: this.#fresh };
    if (delivery === 'at-most-once') return exchange(this.#base, onFresh, text);
    try {
      return await exchange(this.#base, { ...options, agent: this.#kept }, text);
    } catch (error) {
      if (error instanceof StaleConnection) return exchange(this.#base, onFresh, text);
      throw error;
    }
  }

  #optionsOf({ method, path, query = '', headers, body, signal }: JsonRequest): [RequestOptions, string | undefined] {
    const isForm = body instanceof URLSearchParams;
    const text = isForm ? body.toString() : body === undefined ? undefined : JSON.stringify(body);
    const type = isForm ? 'application/x-www-form-urlencoded;charset=UTF-8' : 'application/json';
    const described = text === undefined ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(text) };
    const options = {
      method,
      signal,
      path: `${this.#base.pathname.replace(/\/$/, '')}/${path}${query === '' ? '' : `?${query}`}`,
      headers: { accept: 'application/json', 'accept-encoding': 'identity', ...described, ...headers },
    };
    return [options, text];
  }
}

/**
 * An address of a backend: https, or http to this machine, with neither user, query nor fragment.
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`, without the address: it may hold a password
 */
export function checkAddress(argument: string, address: unknown, allowHttp = false): URL {
  const url = typeof address === 'string' && URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw invalidArgument(argument, 'an https:// address', kindOf(address));
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw invalidArgument(argument, 'an address without user, query and fragment', 'one with them');
  }
  if (url.protocol === 'http:' && !allowHttp && !isLoopback(url.hostname)) {
    throw invalidArgument(argument, 'an https:// address, or allowHttp: true', 'http:// to another machine');
  }
  return url;
}

/** Without this, a destroyed pool opens connections for requests that waited in it, although they are ended, and keeps them. */
function endPool(agent: HttpAgent): void {
  agent.createConnection = (_options, callback) => {
    callback?.(new Error('The pool is closed.'), undefined as never);
    return undefined;
  };
  agent.destroy();
}

/** A kept connection turned out to be closed before anything was answered. */
class StaleConnection extends Error {}

/** Connections that had a request before. */
const USED = new WeakSet<Socket>();

function exchange(base: URL, options: RequestOptions, body: string | undefined): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = base.protocol === 'https:' ? httpsRequest(base, options) : httpRequest(base, options);
  request.once('response', (response) => {
    // Who answers half a request may never read the rest, which would keep the connection for ever.
    response.once('end', () => request.writableFinished || request.destroy());
    resolve(response);
  });
  let wasUsed = false;
  // `reusedSocket` is not set for a request that waited for the connection.
  request.once('socket', (socket) => {
    wasUsed = USED.has(socket);
    USED.add(socket);
  });
  request.on('error', (error: NodeJS.ErrnoException) => {
    const isStale = wasUsed && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
    reject(isStale ? new StaleConnection() : error);
  });
  // Without an error or an answer it ends when the server switches protocols.
  request.once('close', () => reject(new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { expected: 'an answer' } })));
  request.end(body);
  return promise;
}

async function readBounded(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.byteLength;
    if (length > MAX_ANSWER_BYTES) {
      response.destroy();
      throw invalidResponse(response, `at most ${MAX_ANSWER_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function answerOf(response: IncomingMessage, text: string): JsonAnswer {
  const status = response.statusCode ?? 0;
  if (status >= 300 && status < 400) throw invalidResponse(response, 'an answer, not a redirect');
  const json = jsonOf(response, text);
  if (json === undefined && status < 300 && status !== 204) throw invalidResponse(response, 'JSON');
  return { status, retryAfter: response.headers['retry-after'], json };
}

function jsonOf(response: IncomingMessage, text: string): unknown {
  const type = response.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type !== 'application/json' && !type.endsWith('+json')) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // V8 quotes the text in its message
  }
}

function invalidResponse({ statusCode = 0 }: IncomingMessage, expected: string): KmsError {
  return new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { status: statusCode, expected } });
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'));
}

function secureContextOf({ ca, cert, key, passphrase }: TlsOptions): SecureContext {
  if ((cert === undefined) !== (key === undefined)) {
    throw invalidArgument('tls', 'certificate and key of the client, or neither', 'one of them');
  }
  try {
    if (ca !== undefined) checkAuthorities(ca);
    return createSecureContext({ ca, cert, key, passphrase } as Parameters<typeof createSecureContext>[0]);
  } catch {
    // OpenSSL's error is not passed on: what it says of a key is not ours to judge.
    throw invalidArgument('tls', 'PEM of certificates, and of the key that belongs to the first', 'something else');
  }
}

/** Node takes a text without certificates for no authorities at all, and says nothing. */
function checkAuthorities(pem: string): void {
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  const read = certificates.map((certificate) => new X509Certificate(certificate));
  if (read.length === 0) throw new TypeError('no certificate');
}
