import { describe } from '../keywright-error.ts';
import { MAX_ANSWER_BYTES, readBounded } from './bounded.ts';
import { parseContent } from './content.ts';
import { crc32c } from './crc32c.ts';
import { checkMethods, checkOptions, configError, DEFAULT_TIMEOUT_MS, defineSource, kidOf } from './define.ts';
import { KeySourceError, type KeySourceErrorCode } from './errors.ts';
import { loadSdk, networkCode, statusCode } from './sdk.ts';
import type { KeyMaterial, KeySource, SecretOptions } from './source.ts';

const NAME = 'gcp-secret-manager';
const SDK = '@google-cloud/secret-manager';
const SECRET = /^projects\/([^/\s]+)\/(?:locations\/[^/\s]+\/)?secrets\/[^/\s]+(\/versions\/[^/\s]+)?$/;

/** What the source calls: `SecretManagerServiceClient` of `@google-cloud/secret-manager` fits. */
export interface GcpSecretManagerClient {
  initialize(): Promise<unknown>;
  accessSecretVersion(
    request: { name: string },
    options: { timeout: number; retry: null },
  ): Promise<readonly unknown[]>;
}

export interface GcpSecretManagerOptions extends SecretOptions {
  /** More settings for the client that is made for each load: `apiEndpoint`, `credentials` … */
  readonly clientOptions?: Readonly<Record<string, unknown>> | undefined;
  /** A client of yours, which stays open. @default one that is made, and closed, for each load */
  readonly client?: GcpSecretManagerClient | undefined;
}

/**
 * Keys from Google Cloud Secret Manager. The payload is one key or JSON (see the README); its CRC-32C is checked. Needs
 * the role Secret Manager Secret Accessor. The identity is found by the Application Default Credentials:
 * GOOGLE_APPLICATION_CREDENTIALS, gcloud, the metadata server.
 *
 * It is asked over REST, which passes HTTP proxies and leaves no connection open. For gRPC hand in a client of your own.
 *
 * The package `@google-cloud/secret-manager` is an optional peer dependency, loaded when it is needed.
 *
 * @param secret `projects/<project>/secrets/<name>`, its latest version; or with `/versions/<version>`
 * @throws KeySourceError `ERR_KEY_SOURCE_CONFIG`; at load also `_SDK_MISSING`, `_NO_CREDENTIALS`, `_UNREACHABLE`,
 * `_TIMEOUT`, `_ABORTED`, `_DENIED`, `_NOT_FOUND`, `_REDIRECTED`, `_INVALID_RESPONSE`, `_CONTENT_INVALID`, `_TOO_LARGE`
 *
 * @example
 * ```ts
 * import { gcpSecretManagerSource } from '@keywright/envelope/sources';
 *
 * gcpSecretManagerSource('projects/acme/secrets/encryption-key');
 * ```
 */
export function gcpSecretManagerSource(secret: string, options: GcpSecretManagerOptions = {}): KeySource {
  const { client, timeoutMs } = checkOptions(NAME, options);
  if (options.clientOptions !== undefined) checkOptions(NAME, options.clientOptions, 'clientOptions');
  if (client !== undefined) checkMethods(NAME, 'client', client, 'initialize', 'accessSecretVersion');
  const match = typeof secret === 'string' ? SECRET.exec(secret) : null;
  if (match === null) throw configError(NAME, 'secret', 'projects/<project>/secrets/<name>', describe(secret));
  const [, projectId = '', ownVersion] = match;
  const name = ownVersion === undefined ? `${secret}/versions/latest` : secret;
  const kid = kidOf(options);
  const read = async (from: GcpSecretManagerClient): Promise<KeyMaterial> => {
    // gax cannot be aborted: its own timeout ends what outlives the load. Left to itself it would try again until then.
    const timeout = timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const [version] = await from.accessSecretVersion({ name }, { timeout, retry: null });
    return parseContent(payloadText(version), NAME, kid);
  };
  return defineSource({
    name: NAME,
    timeoutMs,
    classify: codeOf,
    async read(signal) {
      // Where there are no credentials, accessSecretVersion leaves a rejection of this unhandled, which ends the process.
      await client?.initialize();
      if (client !== undefined) return read(client);
      const sdk = await loadSdk(NAME, SDK, () => import('@google-cloud/secret-manager'));
      const own = new sdk.SecretManagerServiceClient({
        fallback: true,
        // Otherwise it is looked for, with the program gcloud too, which takes a second.
        projectId,
        clientOptions: { transporterOptions: { size: MAX_ANSWER_BYTES, adapter: guardedAdapter(signal) } },
        ...options.clientOptions,
      });
      try {
        await own.initialize();
        signal.throwIfAborted();
        return await read(own);
      } finally {
        await own.close();
      }
    },
  });
}

interface GaxiosRequest {
  readonly signal?: AbortSignal | null;
}
interface GaxiosResponse {
  readonly status: number;
  data: unknown;
}

/**
 * What gaxios sends a request by. Left to itself it follows redirects, to a port or a subdomain with the token and to
 * anybody without; reads the body of a 401 or 403 without end; and outlives the load.
 */
function guardedAdapter(signal: AbortSignal) {
  return async <Request extends GaxiosRequest, Response extends GaxiosResponse>(
    request: Request,
    send: (request: Request) => Promise<Response>,
  ): Promise<Response> => {
    const signals = request.signal ? [signal, request.signal] : [signal];
    const response = await send({ ...request, redirect: 'manual', signal: AbortSignal.any(signals) });
    const { status, data } = response;
    const body = data as (AsyncIterable<Uint8Array> & { destroy?(): unknown }) | null;
    if (statusCode(status) === 'ERR_KEY_SOURCE_REDIRECTED') {
      body?.destroy?.();
      throw new KeySourceError('ERR_KEY_SOURCE_REDIRECTED', {
        context: { driver: NAME, received: `status ${status}` },
      });
    }
    if (status === 401 || status === 403) response.data = body === null ? [] : [await readBounded(body, NAME)];
    return response;
  };
}

/** The payload of an answer, whose checksum must be right where it has one. */
function payloadText(version: unknown): string {
  const { data, dataCrc32c } = Object(Object(version).payload) as { data?: unknown; dataCrc32c?: unknown };
  const bytes = typeof data === 'string' ? Buffer.from(data, 'base64') : data; // text over REST in older releases
  if (!(bytes instanceof Uint8Array)) throw invalidResponse('payload.data', 'bytes', describe(data));
  if (dataCrc32c !== undefined && dataCrc32c !== null && String(dataCrc32c) !== String(crc32c(bytes))) {
    throw invalidResponse('payload.dataCrc32c', 'the checksum of the data', 'another');
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

function invalidResponse(field: string, expected: string, received: string): KeySourceError {
  return new KeySourceError('ERR_KEY_SOURCE_INVALID_RESPONSE', {
    context: { driver: NAME, field, expected, received },
  });
}

const UNAVAILABLE = 14;

// https://grpc.github.io/grpc/core/md_doc_statuscodes.html; over REST the SDK translates to the same.
const CODES: ReadonlyMap<unknown, KeySourceErrorCode> = new Map([
  [3, 'ERR_KEY_SOURCE_CONFIG'],
  [4, 'ERR_KEY_SOURCE_TIMEOUT'],
  [5, 'ERR_KEY_SOURCE_NOT_FOUND'],
  [7, 'ERR_KEY_SOURCE_DENIED'],
  [8, 'ERR_KEY_SOURCE_UNREACHABLE'],
  [9, 'ERR_KEY_SOURCE_NOT_FOUND'], // the version is disabled or destroyed
  [13, 'ERR_KEY_SOURCE_UNREACHABLE'],
  [UNAVAILABLE, 'ERR_KEY_SOURCE_UNREACHABLE'],
  [16, 'ERR_KEY_SOURCE_DENIED'],
]);

/** The code of this package's own error, which gaxios and gax have wrapped. */
function codeWithin(error: unknown): KeySourceErrorCode | undefined {
  let current = error;
  for (let depth = 0; depth < 5 && current instanceof Error; depth++) {
    if (current instanceof KeySourceError) return current.code;
    current = current.cause;
  }
  return undefined;
}

function codeOf(error: unknown): KeySourceErrorCode {
  const { code, message, cause, httpStatusCode } = Object(error) as Record<string, unknown>;
  const own = codeWithin(error);
  if (own !== undefined) return own;
  const text = String(message); // neither case has a code of its own
  if (text.includes('Could not load the default credentials')) return 'ERR_KEY_SOURCE_NO_CREDENTIALS';
  if (/over limit: \d+$|^Received message larger than max/.test(text)) return 'ERR_KEY_SOURCE_TOO_LARGE';
  // To gax whatever it cannot read is UNAVAILABLE.
  const unread = code === UNAVAILABLE && cause !== undefined && httpStatusCode === undefined;
  if (unread) return networkCode(error) ?? 'ERR_KEY_SOURCE_INVALID_RESPONSE';
  return CODES.get(code) ?? networkCode(error) ?? statusCode(httpStatusCode) ?? 'ERR_KEY_SOURCE_INVALID_RESPONSE';
}
