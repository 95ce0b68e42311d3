import { createPublicKey, hash, type JsonWebKey } from 'node:crypto';
import { type EncryptionContext, rawCause } from '@keywright/envelope';
import {
  type BackendKeyPage,
  type DriverCall,
  type DriverCreateKey,
  type DriverKey,
  derToRaw,
  type EcdsaAlg,
  type KmsCapabilities,
  type KmsDriver,
  KmsError,
  type KmsKeyRef,
  type PrivateJwk,
  SIGN_ALGORITHMS,
  SIGN_ALGS,
  type SignAlg,
  type WrappingKeyRef,
} from '@keywright/kms';
import { request, withNewKey } from './calls.ts';
import { arnOf, bytesOf, checkAnswerOf, checkKeyId } from './checks.ts';
import type { AwsKmsClient } from './client.ts';
import { deleteKey, deleteUnfinished } from './deletion.ts';
import { awsError } from './errors.ts';
import { importMaterial, importSpecOf } from './import-key.ts';
import { KEY_SPECS, MAX_MESSAGE_BYTES, type SigningKeySpec } from './key-specs.ts';
import { listKeys } from './list-keys.ts';
import { signingTags, type Tag, type Tags, wrappingTags } from './tags.ts';
import { decrypt, encrypt } from './wrapping.ts';

/** What the driver works with: options that were checked. */
export interface AwsKmsSettings {
  readonly client: AwsKmsClient;
  /** Ends a client of our own. */
  readonly destroy: () => void;
  readonly region: string;
  readonly aliasPrefix: string | undefined;
  readonly tags: Tags;
}

/** Keys in AWS KMS. */
export class AwsKmsDriver implements KmsDriver {
  readonly type = 'aws-kms';
  readonly reach = 'remote';
  readonly capabilities: KmsCapabilities;
  readonly #settings: AwsKmsSettings;
  readonly #unfinished = new Set<Promise<unknown>>();

  constructor(settings: AwsKmsSettings) {
    this.#settings = settings;
    // RSA_AES_KEY_WRAP, which is what private keys are wrapped by, is not there in China.
    const imports = !settings.region.startsWith('cn-');
    this.capabilities = Object.freeze({
      algs: Object.freeze(Object.fromEntries(SIGN_ALGS.map((alg) => [alg, { create: true, import: imports }]))),
      defaultAlg: 'ES256',
      deleteKey: 'scheduled',
      listKeys: true,
      exportKey: false,
      wrapKey: true,
    } satisfies KmsCapabilities);
  }

  async createKey(input: DriverCreateKey, call: DriverCall): Promise<DriverKey> {
    const externalId = await this.#make(KEY_SPECS[input.alg].spec, 'AWS_KMS', this.#tagsOf(input), call);
    return await this.#finish(externalId, input, call);
  }

  async importKey(input: DriverCreateKey & { readonly privateJwk: PrivateJwk }, call: DriverCall): Promise<DriverKey> {
    const spec = importSpecOf(input.alg, input.privateJwk);
    const externalId = await this.#make(spec, 'EXTERNAL', this.#tagsOf(input), call);
    return await this.#finish(externalId, input, call, () =>
      importMaterial(this.#settings.client, externalId, input.privateJwk, call),
    );
  }

  async getPublicKey(key: KmsKeyRef, call: DriverCall): Promise<JsonWebKey> {
    return await this.#publicKey(this.#idOf(key, 'key.externalId'), key.alg, call);
  }

  async sign(key: KmsKeyRef, data: Uint8Array, call: DriverCall): Promise<Uint8Array> {
    const externalId = this.#idOf(key, 'key.externalId');
    const { signingAlgorithm } = KEY_SPECS[key.alg];
    const message = messageOf(key.alg, data);
    const answer = await request(call, (options) =>
      this.#settings.client.sign({ KeyId: externalId, SigningAlgorithm: signingAlgorithm, ...message }, options),
    );
    checkAnswerOf(answer, externalId);
    const signature = bytesOf(answer.Signature, 'a signature');
    return SIGN_ALGORITHMS[key.alg].kind === 'ecdsa' ? rawOf(key.alg as EcdsaAlg, signature) : signature;
  }

  async deleteKey(key: KmsKeyRef, call: DriverCall): Promise<void> {
    const { client, aliasPrefix } = this.#settings;
    await deleteKey(client, this.#idOf(key, 'key.externalId'), aliasPrefix, call);
  }

  async listKeys(
    page: { readonly cursor: string | undefined; readonly limit: number },
    call: DriverCall,
  ): Promise<BackendKeyPage> {
    return await listKeys(this.#settings.client, this.#settings.tags, page, call);
  }

  async createWrappingKey({ name }: { readonly name: string }, call: DriverCall): Promise<WrappingKeyRef> {
    const { client, tags } = this.#settings;
    const externalId = await this.#make('SYMMETRIC_DEFAULT', 'AWS_KMS', wrappingTags(name, tags), call);
    return await this.#orUndo(externalId, async () => {
      await this.#name(externalId, name, call);
      await withNewKey(call, () => request(call, (options) => client.describeKey({ KeyId: externalId }, options)));
      return { externalId };
    });
  }

  async wrapKey(
    wrappingKey: WrappingKeyRef,
    key: Uint8Array,
    context: EncryptionContext,
    call: DriverCall,
  ): Promise<Uint8Array> {
    return await encrypt(this.#settings.client, this.#idOf(wrappingKey, 'wrappingKey.externalId'), key, context, call);
  }

  async unwrapKey(
    wrappingKey: WrappingKeyRef,
    wrapped: Uint8Array,
    context: EncryptionContext,
    call: DriverCall,
  ): Promise<Uint8Array> {
    const externalId = this.#idOf(wrappingKey, 'wrappingKey.externalId');
    return await decrypt(this.#settings.client, externalId, wrapped, context, call);
  }

  async probe(call: DriverCall): Promise<void> {
    const answer = await request(call, (options) => this.#settings.client.listKeys({ Limit: 1 }, options));
    if (Array.isArray(answer.Keys)) return;
    throw new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { expected: 'a list of keys' } });
  }

  async close(): Promise<void> {
    // Their calls were ended, and what they have made is being undone.
    await Promise.allSettled(this.#unfinished);
    this.#settings.destroy();
  }

  #idOf({ externalId }: WrappingKeyRef, argument: string): string {
    return checkKeyId(externalId, this.#settings.region, argument);
  }

  #tagsOf(input: DriverCreateKey): Tag[] {
    return signingTags(input, this.#settings.tags);
  }

  async #make(
    spec: SigningKeySpec | 'SYMMETRIC_DEFAULT',
    origin: 'AWS_KMS' | 'EXTERNAL',
    tags: Tag[],
    call: DriverCall,
  ): Promise<string> {
    const usage = spec === 'SYMMETRIC_DEFAULT' ? 'ENCRYPT_DECRYPT' : 'SIGN_VERIFY';
    const input = { KeySpec: spec, KeyUsage: usage, Origin: origin, Tags: tags } as const;
    const answer = await request(call, (options) => this.#settings.client.createKey(input, options));
    return arnOf(answer.KeyMetadata);
  }

  async #finish(
    externalId: string,
    { alg, name }: DriverCreateKey,
    call: DriverCall,
    fill?: () => Promise<void>,
  ): Promise<DriverKey> {
    return await this.#orUndo(externalId, async () => {
      await fill?.();
      await this.#name(externalId, name, call);
      const publicKey = await withNewKey(call, () => this.#publicKey(externalId, alg, call));
      return { externalId, externalVersion: null, publicKey };
    });
  }

  /** Names a key for people. Nothing is done by this name: it may be made to lead to another key. */
  async #name(externalId: string, name: string, call: DriverCall): Promise<void> {
    const { client, aliasPrefix } = this.#settings;
    if (aliasPrefix === undefined) return;
    const input = { AliasName: `alias/${aliasPrefix}${name}`, TargetKeyId: externalId };
    await withNewKey(call, () => request(call, (options) => client.createAlias(input, options))).catch((error) => {
      // The name is random: an attempt whose answer was lost has made it.
      if (error.code !== 'ERR_KMS_KEY_EXISTS') throw error;
    });
  }

  /**
   * Finishes a key that was made, or schedules its deletion: whoever calls again gets another one. One that could not be
   * undone is found by its tags, and nothing is made again behind the caller's back.
   */
  async #orUndo<T>(externalId: string, finish: () => Promise<T>): Promise<T> {
    const { client, region, aliasPrefix } = this.#settings;
    const work = async (): Promise<T> => {
      try {
        // A client of the host may be of another region, where the key would be refused ever after.
        checkKeyId(externalId, region, 'client');
        return await finish();
      } catch (cause) {
        const error = awsError(cause);
        if (await deleteUnfinished(client, externalId, aliasPrefix)) throw error;
        const context = { ...error.context, state: 'creating' };
        throw new KmsError(error.code, { context, retryable: false, cause: rawCause(error) });
      }
    };
    const finished = work().finally(() => this.#unfinished.delete(finished));
    this.#unfinished.add(finished);
    return await finished;
  }

  async #publicKey(externalId: string, alg: SignAlg, call: DriverCall): Promise<JsonWebKey> {
    const answer = await request(call, (options) => this.#settings.client.getPublicKey({ KeyId: externalId }, options));
    const { KeyUsage: usage, KeySpec: spec } = answer;
    if (usage !== undefined && usage !== 'SIGN_VERIFY') {
      throw new KmsError('ERR_KMS_KEY_NOT_USABLE', { context: { alg, expected: 'SIGN_VERIFY', received: usage } });
    }
    if (spec !== undefined && !KEY_SPECS[alg].fits.includes(spec)) {
      const expected = KEY_SPECS[alg].fits.join(', ');
      throw new KmsError('ERR_KMS_KEY_MISMATCH', { context: { alg, expected, received: spec } });
    }
    const der = Buffer.from(bytesOf(answer.PublicKey, 'a public key'));
    try {
      return createPublicKey({ key: der, format: 'der', type: 'spki' }).export({ format: 'jwk' });
    } catch (cause) {
      throw new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { alg, expected: 'a public key' }, cause });
    }
  }
}

/** What is sent to be signed: the hash, so that the data stay here and may be of any length; Ed25519 wants the data. */
function messageOf(alg: SignAlg, data: Uint8Array): { Message: Uint8Array; MessageType: 'RAW' | 'DIGEST' } {
  const algorithm = SIGN_ALGORITHMS[alg];
  if (algorithm.kind !== 'eddsa') return { Message: hash(algorithm.hash, data, 'buffer'), MessageType: 'DIGEST' };
  if (data.byteLength >= 1 && data.byteLength <= MAX_MESSAGE_BYTES) return { Message: data, MessageType: 'RAW' };
  // ED25519_PH_SHA_512 takes a hash and is another algorithm (RFC 8032, 5.1), which no JOSE library verifies.
  throw new KmsError('ERR_KMS_INVALID_ARGUMENT', {
    context: {
      argument: 'data',
      alg,
      expected: `1 to ${MAX_MESSAGE_BYTES} bytes for EdDSA, which AWS KMS signs unhashed`,
      received: `${data.byteLength} bytes`,
      limit: MAX_MESSAGE_BYTES,
    },
  });
}

function rawOf(alg: EcdsaAlg, der: Uint8Array): Uint8Array {
  try {
    return derToRaw(alg, der);
  } catch (cause) {
    throw new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { alg, expected: 'a signature in DER' }, cause });
  }
}
