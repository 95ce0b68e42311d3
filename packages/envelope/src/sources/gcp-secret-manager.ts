import { KeySourceError, type KeySourceErrorCode } from '../errors.ts';
import { describe } from '../keywright-error.ts';
import { MAX_ANSWER_BYTES } from './bounded.ts';
import { parseContent } from './content.ts';
import { crc32c } from './crc32c.ts';
import { configError, DEFAULT_TIMEOUT_MS, defineSource, kidOf } from './define.ts';
import { loadSdk, networkCode } from './sdk.ts';
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
 * `_TIMEOUT`, `_ABORTED`, `_DENIED`, `_NOT_FOUND`, `_INVALID_RESPONSE`, `_CONTENT_INVALID`, `_TOO_LARGE`
 *
 * @example
 * ```ts
 * import { gcpSecretManagerSource } from '@keywright/envelope/sources';
 *
 * gcpSecretManagerSource('projects/acme/secrets/encryption-key');
 * ```
 */
export function gcpSecretManagerSource(secret: string, options: GcpSecretManagerOptions = {}): KeySource {
  const { client, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const match = typeof secret === 'string' ? SECRET.exec(secret) : null;
  if (match === null) throw configError(NAME, 'secret', 'projects/<project>/secrets/<name>', describe(secret));
  const [, projectId = '', ownVersion] = match;
  const name = ownVersion === undefined ? `${secret}/versions/latest` : secret;
  const kid = kidOf(options);
  const read = async (from: GcpSecretManagerClient): Promise<KeyMaterial> => {
    // gax cannot be aborted: its own timeout ends what outlives the load. Left to itself it would try again until then.
    const [version] = await from.accessSecretVersion({ name }, { timeout: timeoutMs, retry: null });
    return parseContent(payloadText(version), NAME, kid);
  };
  return defineSource({
    name: NAME,
    timeoutMs,
    classify: codeOf,
    async read() {
      // Where there are no credentials, accessSecretVersion leaves a rejection of this unhandled, which ends the process.
      await client?.initialize();
      if (client !== undefined) return read(client);
      const sdk = await loadSdk(NAME, SDK, () => import('@google-cloud/secret-manager'));
      const own = new sdk.SecretManagerServiceClient({
        fallback: true,
        // Otherwise it is looked for, with the program gcloud too, which takes a second.
        projectId,
        clientOptions: { transporterOptions: { size: MAX_ANSWER_BYTES } },
        ...options.clientOptions,
      });
      await own.initialize();
      try {
        return await read(own);
      } finally {
        await own.close();
      }
    },
  });
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

// https://grpc.github.io/grpc/core/md_doc_statuscodes.html; over REST the SDK translates to the same.
const CODES: ReadonlyMap<unknown, KeySourceErrorCode> = new Map([
  [3, 'ERR_KEY_SOURCE_CONFIG'],
  [4, 'ERR_KEY_SOURCE_TIMEOUT'],
  [5, 'ERR_KEY_SOURCE_NOT_FOUND'],
  [7, 'ERR_KEY_SOURCE_DENIED'],
  [8, 'ERR_KEY_SOURCE_UNREACHABLE'],
  [9, 'ERR_KEY_SOURCE_NOT_FOUND'], // the version is disabled or destroyed
  [13, 'ERR_KEY_SOURCE_UNREACHABLE'],
  [14, 'ERR_KEY_SOURCE_UNREACHABLE'],
  [16, 'ERR_KEY_SOURCE_DENIED'],
]);

function codeOf(error: unknown): KeySourceErrorCode {
  const { code, message, cause } = Object(error) as { code?: unknown; message?: unknown; cause?: unknown };
  const text = String(message); // neither case has a code of its own
  if (text.includes('Could not load the default credentials')) return 'ERR_KEY_SOURCE_NO_CREDENTIALS';
  if (/over limit: \d+$|^Received message larger than max/.test(text)) return 'ERR_KEY_SOURCE_TOO_LARGE';
  if (Object(cause).name === 'SyntaxError') return 'ERR_KEY_SOURCE_INVALID_RESPONSE'; // to gax it is UNAVAILABLE
  return CODES.get(code) ?? networkCode(error) ?? 'ERR_KEY_SOURCE_INVALID_RESPONSE';
}
