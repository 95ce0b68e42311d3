import { KEY_BYTES } from '../keys.ts';
import { describe } from '../keywright-error.ts';
import { type AwsOptions, awsSource, checkAwsOptions } from './aws.ts';
import { parseContent, tooLarge } from './content.ts';
import { checkMethods, checkText, kidOf } from './define.ts';
import { KeySourceError } from './errors.ts';
import { decodeMaterial } from './material.ts';
import { loadSdk } from './sdk.ts';
import { type KeyMaterial, type KeySource, MAX_SECRET_BYTES } from './source.ts';

const NAME = 'aws-secrets-manager';
const SDK = '@aws-sdk/client-secrets-manager';

/** What the source calls: `SecretsManager` of `@aws-sdk/client-secrets-manager` fits. */
export interface AwsSecretsManagerClient {
  getSecretValue(
    input: { SecretId: string; VersionStage?: string },
    options: { abortSignal: AbortSignal },
  ): Promise<{ SecretString?: string | undefined; SecretBinary?: Uint8Array | undefined }>;
}

export interface AwsSecretsManagerOptions extends AwsOptions {
  /** @default 'AWSCURRENT' */
  readonly versionStage?: string | undefined;
  /** A client of yours, which stays open. @default one that is made, and closed, for each load */
  readonly client?: AwsSecretsManagerClient | undefined;
}

/**
 * Keys from AWS Secrets Manager. The secret string is one key or JSON (see the README); a secret binary is the 32 bytes
 * of one. Needs the action `secretsmanager:GetSecretValue`, and `kms:Decrypt` where the secret has a key of its own.
 * Credentials come from the SDK's default chain: environment, web identity (EKS), container (ECS), instance (EC2).
 *
 * The package `@aws-sdk/client-secrets-manager` is an optional peer dependency, loaded when it is needed.
 *
 * @param secretId name or ARN of the secret; in another account, the ARN
 * @throws KeySourceError `ERR_KEY_SOURCE_CONFIG`; at load also `_SDK_MISSING`, `_NO_CREDENTIALS`, `_UNREACHABLE`,
 * `_TIMEOUT`, `_ABORTED`, `_DENIED`, `_NOT_FOUND`, `_REDIRECTED`, `_INVALID_RESPONSE`, `_CONTENT_INVALID`, `_TOO_LARGE`
 *
 * @example
 * ```ts
 * import { awsSecretsManagerSource } from '@keywright/envelope/sources';
 *
 * awsSecretsManagerSource('acme/encryption-key', { region: 'eu-central-1' });
 * ```
 */
export function awsSecretsManagerSource(secretId: string, options: AwsSecretsManagerOptions = {}): KeySource {
  const { versionStage, client } = checkAwsOptions(NAME, options);
  if (client !== undefined) checkMethods(NAME, 'client', client, 'getSecretValue');
  const input = {
    SecretId: checkText(NAME, 'secretId', secretId),
    ...(versionStage === undefined ? {} : { VersionStage: checkText(NAME, 'versionStage', versionStage) }),
  };
  const kid = kidOf(options);
  const read = async (from: AwsSecretsManagerClient, signal: AbortSignal): Promise<KeyMaterial> => {
    const { SecretString: text, SecretBinary: bytes } = await from.getSecretValue(input, { abortSignal: signal });
    if (typeof text === 'string') return parseContent(text, NAME, kid);
    if (bytes?.byteLength === KEY_BYTES) return decodeMaterial([[kid, bytes]], kid, { driver: NAME });
    if ((bytes?.byteLength ?? 0) > MAX_SECRET_BYTES) throw tooLarge(NAME);
    throw new KeySourceError('ERR_KEY_SOURCE_CONTENT_INVALID', {
      context: { driver: NAME, expected: 'a secret string, or a secret binary of 32 bytes', received: describe(bytes) },
    });
  };
  const make = async (settings: Record<string, unknown>) => {
    const { SecretsManager } = await loadSdk(NAME, SDK, () => import('@aws-sdk/client-secrets-manager'));
    return new SecretsManager(settings);
  };
  return awsSource(NAME, options, make, read);
}
