import { X509Certificate } from 'node:crypto';
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { describe } from '../keywright-error.ts';
import { readBounded } from './bounded.ts';
import { configError } from './define.ts';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** An HTTP request to a key source. */
export interface HttpCall {
  readonly driver: string;
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** PEM of the authorities to trust instead of the system's. */
  readonly ca: string | undefined;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

/**
 * Makes one request over a connection of its own. Redirects are handed back and never followed, so what the headers
 * hold goes to no other host; the body is bounded.
 *
 * @throws KeySourceError `ERR_KEY_SOURCE_TOO_LARGE`; the errors of `node:http`
 */
export function httpCall(call: HttpCall): Promise<HttpAnswer> {
  const { driver, method, url, headers, body, ca, signal } = call;
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  const secure = url.protocol === 'https:';
  const options: RequestOptions = {
    method,
    signal,
    agent: false,
    headers: { ...headers, 'accept-encoding': 'identity' },
  };
  const onResponse = (response: IncomingMessage): void => {
    readBounded(response, driver).then(
      (bytes) => resolve({ status: response.statusCode ?? 0, text: bytes.toString('utf8') }),
      reject,
    );
  };
  const request = secure
    ? httpsRequest(url, { ...options, ...(ca === undefined ? {} : { ca }) }, onResponse)
    : httpRequest(url, options, onResponse);
  request.on('error', reject);
  request.end(body);
  return promise;
}

/**
 * The address of a key source: https, or http to this machine.
 * @throws KeySourceError `ERR_KEY_SOURCE_CONFIG`, without the address: it may hold a password
 */
export function checkAddress(driver: string, argument: string, address: unknown, allowHttp: boolean): URL {
  const url = typeof address === 'string' && URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw configError(driver, argument, 'an https:// address', describe(address));
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw configError(driver, argument, 'an address without user, query and fragment', 'one with them');
  }
  if (url.protocol === 'http:' && !allowHttp && !isLoopback(url.hostname)) {
    throw configError(driver, argument, 'an https:// address', 'http:// to another machine');
  }
  return url;
}

/** PEM that holds a certificate and nothing that Node would skip in silence. @throws KeySourceError `ERR_KEY_SOURCE_CONFIG` */
export function checkCertificates(driver: string, argument: string, pem: unknown): void {
  const blocks = typeof pem === 'string' ? pem.match(CERTIFICATE) : null;
  try {
    if (blocks?.every((block) => new X509Certificate(block).raw.length > 0)) return;
  } catch {
    // The error of OpenSSL says nothing that helps.
  }
  throw configError(driver, argument, 'certificates in PEM', describe(pem));
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'));
}
