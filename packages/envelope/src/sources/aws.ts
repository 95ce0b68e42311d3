import { readBounded } from './bounded.ts';
import { checkOptions, checkText, defineSource } from './define.ts';
import type { KeySourceErrorCode } from './errors.ts';
import { networkCode, statusCode } from './sdk.ts';
import type { KeyMaterial, KeySource, SecretOptions } from './source.ts';

/** What both AWS sources take. */
export interface AwsOptions extends SecretOptions {
  /** @default what the SDK finds: AWS_REGION, the shared configuration */
  readonly region?: string | undefined;
  /**
   * More settings for the SDK's client that is made for each load: `endpoint`, `credentials` …
   * @default one retry, and the SDK's default chain of credentials
   */
  readonly clientOptions?: Readonly<Record<string, unknown>> | undefined;
}

/** What is needed of a client to bound its answers. Described here, so that no SDK type is published. */
interface MiddlewareStack {
  add(
    middleware: (
      next: (args: never) => Promise<{ response: unknown }>,
    ) => (args: never) => Promise<{ response: unknown }>,
    options: { step: 'deserialize'; priority: 'low'; name: string },
  ): void;
}

/** @throws KeySourceError `ERR_KEY_SOURCE_CONFIG` */
export function checkAwsOptions<T extends AwsOptions>(driver: string, options: T): T {
  const { region, clientOptions } = checkOptions(driver, options);
  if (region !== undefined) checkText(driver, 'region', region);
  if (clientOptions !== undefined) checkOptions(driver, clientOptions, 'clientOptions');
  return options;
}

/** What a client of the SDK has besides the call that its source makes. */
interface OwnClient {
  readonly middlewareStack: unknown;
  destroy(): void;
}

/** A source that reads with the client that was handed in, or with one that is made, and closed, for each load. */
export function awsSource<C>(
  name: string,
  options: AwsOptions & { readonly client?: C | undefined },
  make: (settings: Record<string, unknown>) => Promise<C & OwnClient>,
  read: (client: C, signal: AbortSignal) => Promise<KeyMaterial>,
): KeySource {
  const { client, timeoutMs } = options;
  return defineSource({
    name,
    timeoutMs,
    classify: awsCode,
    async read(signal) {
      if (client !== undefined) return read(client, signal);
      const own = await make(awsClientOptions(options));
      try {
        boundAnswers(own, name);
        return await read(own, signal);
      } finally {
        own.destroy();
      }
    },
  });
}

/** Settings of a client that this package makes. */
function awsClientOptions(options: AwsOptions): Record<string, unknown> {
  const { region, clientOptions } = options;
  return { ...(region === undefined ? {} : { region }), maxAttempts: 2, ...clientOptions };
}

/** Reads the body of every answer before the SDK does, and no further than the limit. */
function boundAnswers(client: { readonly middlewareStack: unknown }, driver: string): void {
  const stack = client.middlewareStack as MiddlewareStack;
  stack.add(
    (next) => async (args) => {
      const result = await next(args);
      const response = result.response as { body?: AsyncIterable<Uint8Array> };
      if (response.body !== undefined) Object.assign(response, { body: await readBounded(response.body, driver) });
      return result;
    },
    { step: 'deserialize', priority: 'low', name: 'keywrightBoundedAnswer' },
  );
}

const CODES: ReadonlyMap<string, KeySourceErrorCode> = new Map([
  ['ResourceNotFoundException', 'ERR_KEY_SOURCE_NOT_FOUND'],
  ['ParameterNotFound', 'ERR_KEY_SOURCE_NOT_FOUND'],
  ['ParameterVersionNotFound', 'ERR_KEY_SOURCE_NOT_FOUND'],
  // Secrets Manager: the secret is scheduled for deletion.
  ['InvalidRequestException', 'ERR_KEY_SOURCE_NOT_FOUND'],
  ['AccessDeniedException', 'ERR_KEY_SOURCE_DENIED'],
  ['AccessDenied', 'ERR_KEY_SOURCE_DENIED'],
  ['UnrecognizedClientException', 'ERR_KEY_SOURCE_DENIED'],
  ['InvalidSignatureException', 'ERR_KEY_SOURCE_DENIED'],
  ['InvalidClientTokenId', 'ERR_KEY_SOURCE_DENIED'],
  ['SignatureDoesNotMatch', 'ERR_KEY_SOURCE_DENIED'],
  ['ExpiredTokenException', 'ERR_KEY_SOURCE_DENIED'],
  ['IncompleteSignature', 'ERR_KEY_SOURCE_DENIED'],
  // The secret may be read and the key of KMS that it is encrypted under may not be used.
  ['DecryptionFailure', 'ERR_KEY_SOURCE_DENIED'],
  ['InvalidKeyId', 'ERR_KEY_SOURCE_DENIED'],
  ['ThrottlingException', 'ERR_KEY_SOURCE_UNREACHABLE'],
  ['TooManyUpdates', 'ERR_KEY_SOURCE_UNREACHABLE'],
  ['InternalServiceError', 'ERR_KEY_SOURCE_UNREACHABLE'],
  ['InternalServerError', 'ERR_KEY_SOURCE_UNREACHABLE'],
  ['TimeoutError', 'ERR_KEY_SOURCE_UNREACHABLE'],
  ['InvalidParameterException', 'ERR_KEY_SOURCE_CONFIG'],
  ['ValidationException', 'ERR_KEY_SOURCE_CONFIG'],
  ['CredentialsProviderError', 'ERR_KEY_SOURCE_NO_CREDENTIALS'],
  ['TokenProviderError', 'ERR_KEY_SOURCE_NO_CREDENTIALS'],
]);

/** What an error of an AWS SDK means. */
function awsCode(error: unknown): KeySourceErrorCode {
  const { name, message, $metadata } = Object(error) as {
    name?: unknown;
    message?: unknown;
    $metadata?: { httpStatusCode?: unknown };
  };
  if (message === 'Region is missing') return 'ERR_KEY_SOURCE_CONFIG'; // has no name or code of its own
  return (
    CODES.get(String(name)) ??
    networkCode(error) ??
    statusCode($metadata?.httpStatusCode) ??
    'ERR_KEY_SOURCE_INVALID_RESPONSE'
  );
}
