import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { invalidArgument, kindOf } from '../arguments.ts';
import { KmsError } from '../errors.ts';

const MAX_ANSWER_BYTES = 1024 * 1024;
const MAX_SOCKETS = 64;
const IDLE_MS = 30_000;

/** Certificates of an HTTPS client, PEM each. */
export interface TlsOptions {
  /** Authorities to trust. @default the system's */
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
  readonly body?: unknown;
  readonly signal: AbortSignal;
}

export interface JsonAnswer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** The answer's JSON; `undefined` where it has none or another type, which only an error status may have. */
  readonly json: unknown;
}

/**
 * JSON over HTTP to one address, on a bounded number of connections that are kept open. Redirects are not followed, so
 * what the headers hold goes to no other host; answers are bounded.
 */
export class JsonHttp {
  readonly #base: URL;
  readonly #agent: HttpAgent | HttpsAgent;

  constructor(base: URL, tls: TlsOptions = {}) {
    this.#base = base;
    const pool = { keepAlive: true, maxSockets: MAX_SOCKETS, timeout: IDLE_MS };
    this.#agent = base.protocol === 'https:' ? new HttpsAgent({ ...pool, ...set(tls) }) : new HttpAgent(pool);
  }

  /**
   * @throws KmsError `ERR_KMS_UNAVAILABLE` for what the network did, `ERR_KMS_INVALID_RESPONSE` for a redirect, a
   * success that is no JSON, or more than 1 MiB
   */
  async send(request: JsonRequest): Promise<JsonAnswer> {
    const { method, path, query = '', headers, body, signal } = request;
    const text = body === undefined ? undefined : JSON.stringify(body);
    const options: RequestOptions = {
      agent: this.#agent,
      method,
      signal,
      path: `${this.#base.pathname.replace(/\/$/, '')}/${path}${query === '' ? '' : `?${query}`}`,
      headers: {
        accept: 'application/json',
        'accept-encoding': 'identity',
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        ...headers,
      },
    };
    try {
      const response = await exchange(this.#base, options, text);
      return answerOf(response, await readBounded(response));
    } catch (cause) {
      if (cause instanceof KmsError) throw cause;
      const { code } = cause as NodeJS.ErrnoException;
      throw new KmsError('ERR_KMS_UNAVAILABLE', { retryable: !isCertificateError(code), cause });
    }
  }

  close(): void {
    this.#agent.destroy();
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

function exchange(base: URL, options: RequestOptions, body: string | undefined): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request =
    base.protocol === 'https:' ? httpsRequest(base, options, resolve) : httpRequest(base, options, resolve);
  request.on('error', reject);
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

function isCertificateError(code: string | undefined): boolean {
  return code !== undefined && /CERT|SIGNED|SELF_SIGNED|ERR_TLS|ERR_SSL|UNABLE_TO/.test(code);
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'));
}

function set(options: TlsOptions): TlsOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
