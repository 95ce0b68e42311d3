import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { KMS } from '@aws-sdk/client-kms';
import { boundAnswers } from './answer-size.ts';
import type { SigningAlgorithm, SigningKeySpec } from './key-specs.ts';
import type { Tag } from './tags.ts';

/** How a call is ended. */
export interface SendOptions {
  readonly abortSignal: AbortSignal;
}

/** Of the answers, what is read. */
export interface KeyMetadata {
  readonly Arn?: string | undefined;
  readonly KeyState?: string | undefined;
}

/** What the provider calls: `KMS` of `@aws-sdk/client-kms` fits. Its retries are its owner's; the provider makes its own. */
export interface AwsKmsClient {
  createKey(
    input: {
      KeySpec: SigningKeySpec | 'SYMMETRIC_DEFAULT';
      KeyUsage: 'SIGN_VERIFY' | 'ENCRYPT_DECRYPT';
      Origin: 'AWS_KMS' | 'EXTERNAL';
      Tags: Tag[];
    },
    options: SendOptions,
  ): Promise<{ KeyMetadata?: KeyMetadata | undefined }>;
  describeKey(input: { KeyId: string }, options: SendOptions): Promise<{ KeyMetadata?: KeyMetadata | undefined }>;
  getPublicKey(
    input: { KeyId: string },
    options: SendOptions,
  ): Promise<{
    PublicKey?: Uint8Array | undefined;
    KeySpec?: string | undefined;
    KeyUsage?: string | undefined;
  }>;
  sign(
    input: { KeyId: string; Message: Uint8Array; MessageType: 'RAW' | 'DIGEST'; SigningAlgorithm: SigningAlgorithm },
    options: SendOptions,
  ): Promise<{
    KeyId?: string | undefined;
    Signature?: Uint8Array | undefined;
    SigningAlgorithm?: string | undefined;
  }>;
  scheduleKeyDeletion(input: { KeyId: string; PendingWindowInDays: number }, options: SendOptions): Promise<unknown>;
  listKeys(
    input: { Limit: number; Marker?: string },
    options: SendOptions,
  ): Promise<{
    Keys?: readonly { KeyId?: string | undefined; KeyArn?: string | undefined }[] | undefined;
    NextMarker?: string | undefined;
    Truncated?: boolean | undefined;
  }>;
  listResourceTags(
    input: { KeyId: string },
    options: SendOptions,
  ): Promise<{ Tags?: readonly { TagKey?: string | undefined; TagValue?: string | undefined }[] | undefined }>;
  createAlias(input: { AliasName: string; TargetKeyId: string }, options: SendOptions): Promise<unknown>;
  deleteAlias(input: { AliasName: string }, options: SendOptions): Promise<unknown>;
  listAliases(
    input: { KeyId: string },
    options: SendOptions,
  ): Promise<{ Aliases?: readonly { AliasName?: string | undefined }[] | undefined }>;
  getParametersForImport(
    input: { KeyId: string; WrappingAlgorithm: 'RSA_AES_KEY_WRAP_SHA_256'; WrappingKeySpec: 'RSA_4096' },
    options: SendOptions,
  ): Promise<{ ImportToken?: Uint8Array | undefined; PublicKey?: Uint8Array | undefined }>;
  importKeyMaterial(
    input: {
      KeyId: string;
      ImportToken: Uint8Array;
      EncryptedKeyMaterial: Uint8Array;
      ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE';
    },
    options: SendOptions,
  ): Promise<unknown>;
  encrypt(
    input: { KeyId: string; Plaintext: Uint8Array; EncryptionContext: Record<string, string> },
    options: SendOptions,
  ): Promise<{ KeyId?: string | undefined; CiphertextBlob?: Uint8Array | undefined }>;
  decrypt(
    input: { KeyId: string; CiphertextBlob: Uint8Array; EncryptionContext: Record<string, string> },
    options: SendOptions,
  ): Promise<{ KeyId?: string | undefined; Plaintext?: Uint8Array | undefined }>;
}

/** Where a client of our own goes, and as whom. */
export interface ClientSettings {
  readonly region: string;
  readonly endpoint: string | undefined;
  /** @default the SDK's default chain */
  readonly credentials:
    | { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string }
    | undefined;
}

const MAX_SOCKETS = 64;
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** A client of the SDK. Connects to nothing before it is used. */
export function makeClient(settings: ClientSettings): AwsKmsClient & { destroy(): void } {
  const { region, endpoint, credentials } = settings;
  const pool = { keepAlive: true, maxSockets: MAX_SOCKETS };
  const [httpAgent, httpsAgent] = [new HttpAgent(pool), new HttpsAgent(pool)];
  const client = new KMS({
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials: { ...credentials } }),
    // The provider retries, for all of its kinds alike; without this the environment decides.
    maxAttempts: 1,
    retryMode: 'standard',
    // Without a logger, the handler writes to the console that its sockets are busy.
    requestHandler: { httpAgent, httpsAgent, logger: SILENT },
  });
  boundAnswers(client);
  return Object.assign(client, {
    destroy() {
      for (const agent of [httpAgent, httpsAgent]) endPool(agent);
      KMS.prototype.destroy.call(client);
    },
  });
}

/** Without this, a destroyed pool opens connections for requests that waited in it, although they are ended, and keeps them. */
function endPool(agent: HttpAgent): void {
  agent.createConnection = (_options, callback) => {
    callback?.(new Error('The pool is closed.'), undefined as never);
    return undefined;
  };
}
