import { describe } from '../keywright-error.ts';
import { readBounded } from './bounded.ts';
import { parseContent } from './content.ts';
import { checkMethods, checkOptions, checkText, defineSource, kidOf } from './define.ts';
import { KeySourceError, type KeySourceErrorCode } from './errors.ts';
import { checkAddress } from './http.ts';
import { loadSdk, networkCode, statusCode } from './sdk.ts';
import type { KeyMaterial, KeySource, SecretOptions } from './source.ts';

const NAME = 'azure-key-vault';

/** What the source calls: `SecretClient` of `@azure/keyvault-secrets` fits. */
export interface AzureSecretClient {
  getSecret(
    name: string,
    options: { version?: string; abortSignal: AbortSignal },
  ): Promise<{ value?: string | undefined }>;
}

/** A credential of `@azure/identity`. */
export interface AzureCredential {
  getToken(scopes: string | string[], options?: object): Promise<{ token: string; expiresOnTimestamp: number } | null>;
}

export interface AzureKeyVaultOptions extends SecretOptions {
  /** @default the latest version */
  readonly version?: string | undefined;
  /** @default `DefaultAzureCredential` of `@azure/identity` */
  readonly credential?: AzureCredential | undefined;
  /** More settings for the client that is made for each load: `tlsOptions`, `proxyOptions` … @default one retry */
  readonly clientOptions?: Readonly<Record<string, unknown>> | undefined;
  /** A client of yours. @default one that is made for each load */
  readonly client?: AzureSecretClient | undefined;
}

/**
 * Keys from Azure Key Vault. The value of the secret is one key or JSON (see the README). Needs the role Key Vault
 * Secrets User. The identity is found by `DefaultAzureCredential`: environment, workload identity, managed identity,
 * then the developer's tools; AZURE_TOKEN_CREDENTIALS=prod leaves the last out.
 *
 * `@azure/keyvault-secrets` and `@azure/identity` are optional peer dependencies, loaded when they are needed.
 *
 * @param vaultUrl `https://acme.vault.azure.net`
 * @param secretName name of the secret
 * @throws KeySourceError `ERR_KEY_SOURCE_CONFIG`; at load also `_SDK_MISSING`, `_NO_CREDENTIALS`, `_UNREACHABLE`,
 * `_TIMEOUT`, `_ABORTED`, `_DENIED`, `_NOT_FOUND`, `_REDIRECTED`, `_INVALID_RESPONSE`, `_CONTENT_INVALID`, `_TOO_LARGE`
 *
 * @example
 * ```ts
 * import { azureKeyVaultSource } from '@keywright/envelope/sources';
 *
 * azureKeyVaultSource('https://acme.vault.azure.net', 'encryption-key');
 * ```
 */
export function azureKeyVaultSource(
  vaultUrl: string,
  secretName: string,
  options: AzureKeyVaultOptions = {},
): KeySource {
  const { client, version, credential, clientOptions } = checkOptions(NAME, options);
  if (client !== undefined) checkMethods(NAME, 'client', client, 'getSecret');
  if (credential !== undefined) checkMethods(NAME, 'credential', credential, 'getToken');
  if (clientOptions !== undefined) checkOptions(NAME, clientOptions, 'clientOptions');
  if (version !== undefined) checkText(NAME, 'version', version); // to the SDK empty is the latest
  const url = checkAddress(NAME, 'vaultUrl', vaultUrl, false).href;
  checkText(NAME, 'secretName', secretName);
  const kid = kidOf(options);
  return defineSource({
    name: NAME,
    timeoutMs: options.timeoutMs,
    classify: codeOf,
    async read(signal): Promise<KeyMaterial> {
      const from = client ?? (await makeClient(url, options));
      const request = { ...(version === undefined ? {} : { version }), abortSignal: signal };
      const { value } = await from.getSecret(secretName, request);
      if (typeof value === 'string') return parseContent(value, NAME, kid);
      throw new KeySourceError('ERR_KEY_SOURCE_INVALID_RESPONSE', {
        context: { driver: NAME, field: 'value', expected: 'a string', received: describe(value) },
      });
    },
  });
}

type Settings = NonNullable<ConstructorParameters<typeof import('@azure/keyvault-secrets').SecretClient>[2]>;

async function makeClient(url: string, options: AzureKeyVaultOptions): Promise<AzureSecretClient> {
  const secrets = '@azure/keyvault-secrets';
  const { SecretClient } = await loadSdk(NAME, secrets, () => import('@azure/keyvault-secrets'));
  const credential = options.credential ?? (await defaultCredential());
  const { clientOptions = {} } = options;
  const { additionalPolicies: others = [] } = clientOptions as Pick<Settings, 'additionalPolicies'>;
  const additionalPolicies = [...others, { policy: guardedAnswer, position: 'perRetry' as const }];
  const redirectOptions = { maxRetries: 0 };
  const settings = { retryOptions: { maxRetries: 1 }, ...clientOptions, redirectOptions, additionalPolicies };
  return new SecretClient(url, credential, settings);
}

async function defaultCredential(): Promise<AzureCredential> {
  const { DefaultAzureCredential } = await loadSdk(NAME, '@azure/identity', () => import('@azure/identity'));
  return new DefaultAzureCredential({ retryOptions: { maxRetries: 1 } });
}

interface PipelineRequest {
  streamResponseStatusCodes?: Set<number>;
}
interface PipelineResponse {
  status?: number;
  readableStreamBody?: AsyncIterable<Uint8Array>;
  bodyAsText?: string | null;
}

/**
 * Takes every body as a stream, reads it up to the limit, and hands on the text that the SDK would have read. An answer
 * that leads elsewhere ends here: an older SDK would follow it and sign the request for that host anew.
 */
const guardedAnswer = {
  name: 'keywrightGuardedAnswer',
  async sendRequest<Request extends object, Response extends object>(
    request: Request,
    next: (request: Request) => Promise<Response>,
  ): Promise<Response> {
    (request as PipelineRequest).streamResponseStatusCodes = new Set([Number.POSITIVE_INFINITY]);
    const response: Response & PipelineResponse = await next(request);
    if (response.readableStreamBody !== undefined) {
      response.bodyAsText = (await readBounded(response.readableStreamBody, NAME)).toString('utf8');
      delete response.readableStreamBody;
    }
    const { status } = response;
    if (statusCode(status) === 'ERR_KEY_SOURCE_REDIRECTED') {
      throw new KeySourceError('ERR_KEY_SOURCE_REDIRECTED', {
        context: { driver: NAME, received: `status ${status}` },
      });
    }
    return response;
  },
};

function codeOf(error: unknown): KeySourceErrorCode {
  const { name, code, statusCode: status } = Object(error) as { name?: unknown; code?: unknown; statusCode?: unknown };
  // The chain has no identity to offer, or the one that it has was turned down.
  if (name === 'CredentialUnavailableError' || name === 'AggregateAuthenticationError') {
    return 'ERR_KEY_SOURCE_NO_CREDENTIALS';
  }
  if (name === 'AuthenticationError' || name === 'AuthenticationRequiredError') return 'ERR_KEY_SOURCE_DENIED';
  if (code === 'REQUEST_SEND_ERROR') return 'ERR_KEY_SOURCE_UNREACHABLE';
  if (code === 'PARSE_ERROR') return 'ERR_KEY_SOURCE_INVALID_RESPONSE';
  return networkCode(error) ?? statusCode(status) ?? 'ERR_KEY_SOURCE_INVALID_RESPONSE';
}
