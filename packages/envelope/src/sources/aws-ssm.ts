import { describe } from '../keywright-error.ts';
import { type AwsOptions, awsSource, checkAwsOptions } from './aws.ts';
import { parseContent } from './content.ts';
import { checkMethods, checkText, kidOf } from './define.ts';
import { KeySourceError } from './errors.ts';
import { loadSdk } from './sdk.ts';
import type { KeyMaterial, KeySource } from './source.ts';

const NAME = 'aws-ssm';
const SDK = '@aws-sdk/client-ssm';
const KNOWN_TYPES: ReadonlySet<unknown> = new Set(['String', 'StringList', 'SecureString']);

/** What the source calls: `SSM` of `@aws-sdk/client-ssm` fits. */
export interface AwsSsmClient {
  getParameter(
    input: { Name: string; WithDecryption: true },
    options: { abortSignal: AbortSignal },
  ): Promise<{ Parameter?: { Type?: string | undefined; Value?: string | undefined } | undefined }>;
}

export interface AwsSsmOptions extends AwsOptions {
  /** A client of yours, which stays open. @default one that is made, and closed, for each load */
  readonly client?: AwsSsmClient | undefined;
}

/**
 * Keys from a parameter of AWS Systems Manager, which must be a `SecureString`: whatever lists parameters reads any
 * other. Needs `ssm:GetParameter`, and `kms:Decrypt` where the parameter has a key of its own. Credentials come from the
 * SDK's default chain.
 *
 * The package `@aws-sdk/client-ssm` is an optional peer dependency, loaded when it is needed.
 *
 * @param parameter name or ARN; `name:3` and `name:label` name a version
 * @throws KeySourceError as {@link awsSecretsManagerSource}; `ERR_KEY_SOURCE_CONTENT_INVALID` for a parameter that is no
 * `SecureString`
 *
 * @example
 * ```ts
 * import { awsSsmSource } from '@keywright/envelope/sources';
 *
 * awsSsmSource('/acme/encryption-key', { region: 'eu-central-1' });
 * ```
 */
export function awsSsmSource(parameter: string, options: AwsSsmOptions = {}): KeySource {
  const { client } = checkAwsOptions(NAME, options);
  if (client !== undefined) checkMethods(NAME, 'client', client, 'getParameter');
  const input = { Name: checkText(NAME, 'parameter', parameter), WithDecryption: true as const };
  const kid = kidOf(options);
  const read = async (from: AwsSsmClient, signal: AbortSignal): Promise<KeyMaterial> => {
    const { Type: type, Value: value } = (await from.getParameter(input, { abortSignal: signal })).Parameter ?? {};
    if (type === 'SecureString' && typeof value === 'string') return parseContent(value, NAME, kid);
    throw new KeySourceError('ERR_KEY_SOURCE_CONTENT_INVALID', {
      context: {
        driver: NAME,
        field: 'Type',
        expected: 'SecureString',
        received: KNOWN_TYPES.has(type) ? String(type) : describe(type),
      },
    });
  };
  const make = async (settings: Record<string, unknown>) => {
    const { SSM } = await loadSdk(NAME, SDK, () => import('@aws-sdk/client-ssm'));
    return new SSM(settings);
  };
  return awsSource(NAME, options, make, read);
}
