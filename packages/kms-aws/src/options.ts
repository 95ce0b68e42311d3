import { isIP } from 'node:net';
import { KmsError, type ProviderOptions } from '@keywright/kms';
import { checkPattern, invalidArgument, kindOf } from './checks.ts';
import { type AwsKmsClient, makeClient } from './client.ts';
import type { AwsKmsSettings } from './driver.ts';
import { checkTags } from './tags.ts';

/** Options of `awsKmsProvider`. */
export interface AwsKmsProviderOptions extends ProviderOptions {
  /** Region that the keys are made in: `eu-central-1`. Keys of another are refused. */
  readonly region: string;
  /**
   * Given with `secretAccessKey`, or not at all.
   * @default the SDK's default chain: environment, shared files, SSO, web identity (EKS), container (ECS), instance (EC2)
   */
  readonly accessKeyId?: string | undefined;
  readonly secretAccessKey?: string | undefined;
  /** Of temporary keys. */
  readonly sessionToken?: string | undefined;
  /**
   * Address of AWS KMS where it is another than the region's: a VPC endpoint, an emulator. https, or http to this machine.
   * @default the region's
   */
  readonly endpoint?: string | undefined;
  /**
   * Keys get an alias too, `alias/`, this and their name: 1 to 100 out of A-Z, a-z, 0-9, "/", "_" and "-". For people; it
   * is one request more for each key.
   * @default no aliases
   */
  readonly aliasPrefix?: string | undefined;
  /**
   * More tags for every key, and what `listKeys()` is narrowed to. Two deployments in one account and region need one
   * that differs, lest either takes the keys of the other for left-overs of its own.
   * @default none
   */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /**
   * A client of yours, `new KMS({ … })` of `@aws-sdk/client-kms`, which stays open; instead of keys and endpoint. Give it
   * `maxAttempts: 1`: the provider retries.
   * @default one that is made, and closed with the provider
   */
  readonly client?: AwsKmsClient | undefined;
}

const REGION = /^[a-z]{2,8}(?:-[a-z]{2,16}){1,3}-\d{1,2}$/;
const VISIBLE = /^[\x21-\x7e]{1,8192}$/;
const ALIAS_PREFIX = /^(?!aws\/)[A-Za-z0-9/_-]{1,100}$/;
const METHODS = [
  'createKey',
  'describeKey',
  'getPublicKey',
  'sign',
  'scheduleKeyDeletion',
  'listKeys',
  'listResourceTags',
  'createAlias',
  'deleteAlias',
  'listAliases',
  'getParametersForImport',
  'importKeyMaterial',
  'encrypt',
  'decrypt',
] as const satisfies readonly (keyof AwsKmsClient)[];

/** @throws KmsError `ERR_KMS_INVALID_ARGUMENT` */
export function checkOptions(options: AwsKmsProviderOptions): AwsKmsSettings {
  if (typeof options !== 'object' || options === null) throw invalidArgument('options', 'an object', kindOf(options));
  try {
    return readOptions(options);
  } catch (error) {
    if (error instanceof KmsError) throw error;
    throw invalidArgument('options', 'an object whose members can be read', 'an object that throws');
  }
}

function readOptions(options: AwsKmsProviderOptions): AwsKmsSettings {
  const { client, aliasPrefix } = options;
  const region = checkPattern(options.region, REGION, 'region', 'the name of a region, such as eu-central-1');
  const credentials = checkCredentials(options);
  const endpoint = options.endpoint === undefined ? undefined : checkEndpoint(options.endpoint);
  const settings = {
    region,
    aliasPrefix:
      aliasPrefix === undefined
        ? undefined
        : checkPattern(aliasPrefix, ALIAS_PREFIX, 'aliasPrefix', '1 to 100 out of A-Z, a-z, 0-9, "/", "_" and "-"'),
    tags: checkTags(options.tags),
  };
  if (client === undefined) {
    const own = makeClient({ region, endpoint, credentials });
    return Object.freeze({ ...settings, client: own, destroy: () => own.destroy() });
  }
  if (credentials !== undefined || endpoint !== undefined) {
    throw invalidArgument('client', 'a client, or keys and endpoint', 'both');
  }
  return Object.freeze({ ...settings, client: checkClient(client), destroy: () => {} });
}

function checkCredentials({
  accessKeyId,
  secretAccessKey,
  sessionToken,
}: AwsKmsProviderOptions):
  | { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string }
  | undefined {
  if (accessKeyId === undefined && secretAccessKey === undefined) {
    if (sessionToken === undefined) return undefined;
    throw invalidArgument('sessionToken', 'accessKeyId and secretAccessKey with it', 'it alone');
  }
  const expected = 'visible ASCII characters, both of accessKeyId and secretAccessKey or neither';
  return Object.freeze({
    accessKeyId: checkPattern(accessKeyId, VISIBLE, 'accessKeyId', expected),
    secretAccessKey: checkPattern(secretAccessKey, VISIBLE, 'secretAccessKey', expected),
    ...(sessionToken === undefined
      ? {}
      : { sessionToken: checkPattern(sessionToken, VISIBLE, 'sessionToken', 'visible ASCII characters') }),
  });
}

/** What is unwrapped comes back in the clear but for TLS, so plain http goes to this machine only. */
function checkEndpoint(endpoint: unknown): string {
  const url = typeof endpoint === 'string' && URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname));
  if (url === undefined || !isSafe) {
    throw invalidArgument('endpoint', 'an https:// address, or http:// of this machine', kindOf(endpoint));
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw invalidArgument('endpoint', 'an address without user, query and fragment', 'one with them');
  }
  return url.href;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'));
}

function checkClient(client: unknown): AwsKmsClient {
  const methods = Object(client) as Record<string, unknown>;
  if (METHODS.every((method) => typeof methods[method] === 'function')) return client as AwsKmsClient;
  throw invalidArgument('client', 'a client with the methods of KMS in @aws-sdk/client-kms', kindOf(client));
}
