import { createPrivateKey, createPublicKey, sign as signWith } from 'node:crypto';
import type { EncryptionContext } from '@keywright/envelope';
import { SIGN_ALGORITHMS, type SignAlg } from './algorithms.ts';
import {
  checkAlg,
  checkData,
  checkInteger,
  checkKeyId,
  checkName,
  checkProviderId,
  checkTenantId,
  invalidArgument,
  kindOf,
  randomName,
  readOptions,
} from './arguments.ts';
import type { KmsCapabilities } from './capabilities.ts';
import type { DriverCall, DriverCreateKey, DriverKey, KmsDriver } from './driver.ts';
import { KmsError, messageOf } from './errors.ts';
import { type CallSubject, Calls, type Repeat } from './internal/calls.ts';
import { isWholeRsaKey } from './internal/rsa-members.ts';
import { type PrivateJwk, type PublicJwk, publicJwkOf, thumbprint } from './jwk.ts';
import type {
  BackendKeyPage,
  CallOptions,
  CreateKeyInput,
  GetPublicKeyOptions,
  ImportKeyInput,
  KmsHealth,
  KmsKey,
  KmsKeyRef,
  KmsProvider,
  ListKeysOptions,
  WrappingKeyRef,
} from './provider.ts';
import { PublicKeyCache } from './public-key-cache.ts';
import { verifySignature } from './verify.ts';
import { checkContext } from './wrapping/context.ts';

/** Options of {@link defineProvider}. */
export interface ProviderOptions {
  /** Id of the instance, recorded with every key that it makes. */
  readonly id: string;
  /**
   * Longest that a call may take with its retries, in milliseconds.
   * @default 10_000
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Longest that one attempt may take, in milliseconds. Making or importing a key is not attempted again after that and
   * has `timeoutMs` instead.
   * @default 4_000
   */
  readonly attemptTimeoutMs?: number | undefined;
  /**
   * How often a call that failed for a passing reason is made again, with growing pauses of random length.
   * @default 3
   */
  readonly retries?: number | undefined;
  /**
   * How long a public key is taken from memory, in milliseconds.
   * @default 300_000
   */
  readonly publicKeyTtlMs?: number | undefined;
}

const DEFAULTS = Object.freeze({ timeoutMs: 10_000, attemptTimeoutMs: 4_000, retries: 3, publicKeyTtlMs: 300_000 });
const CACHED_PUBLIC_KEYS = 10_000;
const MAX_LIST = 1_000;
const MAX_WRAPPED_BYTES = 64 * 1024;

/**
 * Makes a provider of a driver: what every provider does alike, written once.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { defineProvider, type KmsDriver } from '@keywright/kms';
 *
 * export const makeProvider = (driver: KmsDriver) => defineProvider(driver, { id: 'main' });
 * ```
 */
export function defineProvider(driver: KmsDriver, options: ProviderOptions): KmsProvider {
  const checked = readOptions(options, 'options', (given) => ({
    id: checkProviderId(given.id),
    timeoutMs: checkInteger(given.timeoutMs ?? DEFAULTS.timeoutMs, 'timeoutMs'),
    attemptTimeoutMs: checkInteger(given.attemptTimeoutMs ?? DEFAULTS.attemptTimeoutMs, 'attemptTimeoutMs'),
    retries: checkInteger(given.retries ?? DEFAULTS.retries, 'retries', 0, 10),
    publicKeyTtlMs: checkInteger(given.publicKeyTtlMs ?? DEFAULTS.publicKeyTtlMs, 'publicKeyTtlMs'),
  }));
  return new DrivenProvider(driver, checked);
}

class DrivenProvider implements KmsProvider {
  readonly id: string;
  readonly type: string;
  readonly #driver: KmsDriver;
  readonly #calls: Calls;
  readonly #publicKeys: PublicKeyCache;
  #closing: Promise<void> | undefined;

  constructor(driver: KmsDriver, options: Required<{ [K in keyof ProviderOptions]: NonNullable<ProviderOptions[K]> }>) {
    this.id = options.id;
    this.type = driver.type;
    this.#driver = driver;
    this.#calls = new Calls(options.id, options);
    this.#publicKeys = new PublicKeyCache(CACHED_PUBLIC_KEYS, options.publicKeyTtlMs);
  }

  get capabilities(): KmsCapabilities {
    return this.#driver.capabilities;
  }

  async createKey(input: CreateKeyInput, options?: CallOptions): Promise<KmsKey> {
    const asked = readOptions(input, 'input', (given) => this.#checkCreate(given, given.alg));
    this.#require(this.capabilities.algs[asked.alg]?.create === true, 'createKey', asked.alg);
    const subject = { operation: 'createKey', ...asked };
    const made = await this.#call(subject, options, 'when-refused', (call) => this.#driver.createKey(asked, call));
    return this.#made(asked, made);
  }

  async importKey(input: ImportKeyInput, options?: CallOptions): Promise<KmsKey> {
    const { asked, jwk } = readOptions(input, 'input', (given) => {
      const key = given.privateJwk as (PrivateJwk & { readonly alg?: SignAlg }) | undefined;
      return { asked: this.#checkCreate(given, given.alg ?? key?.alg), jwk: key };
    });
    const privateJwk = checkPrivateJwk(asked.alg, jwk);
    const importKey = this.#driver.importKey?.bind(this.#driver);
    this.#require(this.capabilities.algs[asked.alg]?.import === true && importKey, 'importKey', asked.alg);
    const subject = { operation: 'importKey', ...asked };
    const made = await this.#call(subject, options, 'when-refused', (call) =>
      importKey({ ...asked, privateJwk }, call),
    );
    const key = this.#made(asked, made);
    if (thumbprint(key.publicJwk) === thumbprint(publicJwkOf(asked.alg, privateJwk))) return key;
    throw new KmsError('ERR_KMS_KEY_MISMATCH', { context: { provider: this.id, ...subjectContext(subject) } });
  }

  async getPublicKey(key: KmsKeyRef, options?: GetPublicKeyOptions): Promise<PublicJwk> {
    this.#checkRef(key);
    if (readOptions(options, 'options', ({ fresh }) => fresh === true)) this.#publicKeys.forget(key);
    const cached = this.#publicKeys.get(key);
    if (cached !== undefined) return cached;
    const read = await this.#call(subjectOf('getPublicKey', key), options, 'always', async (call) =>
      publicJwkOf(key.alg, await this.#driver.getPublicKey(key, call)),
    );
    this.#publicKeys.set(key, read);
    return read;
  }

  async sign(key: KmsKeyRef, data: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    this.#checkRef(key);
    checkData(data);
    const { alg } = key;
    if (this.capabilities.algs[alg] === undefined) this.#require(false, 'sign', alg);
    const signature = await this.#call(subjectOf('sign', key), options, 'always', (call) =>
      this.#driver.sign(key, data, call),
    );
    if (hasLengthOf(alg, signature)) return signature;
    throw new KmsError('ERR_KMS_INVALID_RESPONSE', {
      context: { provider: this.id, operation: 'sign', keyId: key.keyId, alg, expected: 'a signature of its length' },
    });
  }

  async deleteKey(key: KmsKeyRef, options?: CallOptions): Promise<void> {
    this.#checkRef(key);
    this.#require(this.capabilities.deleteKey !== 'never', 'deleteKey', key.alg);
    this.#publicKeys.delete(key);
    await this.#call(subjectOf('deleteKey', key), options, 'always', (call) => this.#driver.deleteKey(key, call));
  }

  async listKeys(options?: ListKeysOptions): Promise<BackendKeyPage> {
    const listKeys = this.#driver.listKeys?.bind(this.#driver);
    this.#require(this.capabilities.listKeys && listKeys, 'listKeys');
    const page = readOptions(options, 'options', (given) => ({
      tenantId: given.tenantId === undefined ? undefined : checkTenantId(given.tenantId),
      cursor: given.cursor === undefined ? undefined : checkCursor(given.cursor),
      limit: checkInteger(given.limit ?? 100, 'limit', 1, MAX_LIST),
    }));
    return await this.#call({ operation: 'listKeys' }, options, 'always', (call) => listKeys(page, call));
  }

  async exportKey(key: KmsKeyRef, options?: CallOptions): Promise<PrivateJwk> {
    this.#checkRef(key);
    const exportKey = this.#driver.exportKey?.bind(this.#driver);
    this.#require(this.capabilities.exportKey && exportKey, 'exportKey', key.alg);
    return await this.#call(subjectOf('exportKey', key), options, 'always', (call) => exportKey(key, call));
  }

  async createWrappingKey(options?: CallOptions): Promise<WrappingKeyRef> {
    const create = this.#driver.createWrappingKey?.bind(this.#driver);
    this.#require(this.capabilities.wrapKey && create, 'createWrappingKey');
    const name = randomName();
    return await this.#call({ operation: 'createWrappingKey' }, options, 'when-refused', (call) =>
      create({ name }, call),
    );
  }

  async wrapKey(
    wrappingKey: WrappingKeyRef,
    key: Uint8Array,
    context: EncryptionContext,
    options?: CallOptions,
  ): Promise<Uint8Array> {
    const wrap = this.#driver.wrapKey?.bind(this.#driver);
    this.#require(this.capabilities.wrapKey && wrap, 'wrapKey');
    checkWrappingKey(wrappingKey);
    checkBytes(key, 'key');
    const bound = checkContext(context);
    const wrapped = await this.#call({ operation: 'wrapKey' }, options, 'always', (call) =>
      wrap(wrappingKey, key, bound, call),
    );
    return this.#bytes(wrapped, 'wrapKey');
  }

  async unwrapKey(
    wrappingKey: WrappingKeyRef,
    wrapped: Uint8Array,
    context: EncryptionContext,
    options?: CallOptions,
  ): Promise<Uint8Array> {
    const unwrap = this.#driver.unwrapKey?.bind(this.#driver);
    this.#require(this.capabilities.wrapKey && unwrap, 'unwrapKey');
    checkWrappingKey(wrappingKey);
    checkBytes(wrapped, 'wrapped');
    const bound = checkContext(context);
    const key = await this.#call({ operation: 'unwrapKey' }, options, 'always', (call) =>
      unwrap(wrappingKey, wrapped, bound, call),
    );
    return this.#bytes(key, 'unwrapKey');
  }

  async health(options?: CallOptions): Promise<KmsHealth> {
    const start = performance.now();
    const result = (rest: Pick<KmsHealth, 'ok' | 'code' | 'error'>): KmsHealth => ({
      providerId: this.id,
      type: this.type,
      latencyMs: Math.round(performance.now() - start),
      ...rest,
    });
    try {
      await this.#call({ operation: 'health' }, options, 'never', (call) => this.#driver.probe(call));
      return result({ ok: true });
    } catch (error) {
      const code = error instanceof KmsError ? error.code : 'ERR_KMS_BACKEND';
      return result({ ok: false, code, error: `${code}: ${messageOf(code)}` });
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#calls.close();
    this.#publicKeys.clear();
    await this.#driver.close();
  }

  #call<T>(
    subject: CallSubject,
    options: CallOptions | undefined,
    repeat: Repeat,
    work: (call: DriverCall) => Promise<T>,
  ): Promise<T> {
    if (this.#driver.reach === 'local') return this.#calls.local(subject, options, work);
    return this.#calls.remote(subject, options, repeat, work);
  }

  #checkCreate(given: Partial<CreateKeyInput>, alg: SignAlg | undefined): DriverCreateKey {
    return {
      tenantId: checkTenantId(given.tenantId),
      keyId: checkKeyId(given.keyId),
      alg: checkAlg(alg ?? this.capabilities.defaultAlg),
      name: checkName(given.name),
    };
  }

  #made({ tenantId, keyId, alg }: DriverCreateKey, made: DriverKey): KmsKey {
    const { externalId, externalVersion } = made;
    const publicJwk = publicJwkOf(alg, made.publicKey);
    const key = Object.freeze({ tenantId, keyId, providerId: this.id, externalId, externalVersion, alg, publicJwk });
    this.#publicKeys.set(key, publicJwk);
    return key;
  }

  #bytes(answer: unknown, operation: string): Uint8Array {
    if (answer instanceof Uint8Array && answer.byteLength > 0) return answer;
    throw new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { provider: this.id, operation, expected: 'bytes' } });
  }

  #checkRef(key: KmsKeyRef): void {
    if (typeof key !== 'object' || key === null) throw invalidArgument('key', 'a key', kindOf(key));
    if (key.providerId !== this.id) throw invalidArgument('key.providerId', `'${this.id}'`, 'another provider');
    if (typeof key.externalId !== 'string' || key.externalId === '') {
      throw invalidArgument('key.externalId', 'the backend’s id of the key', kindOf(key.externalId));
    }
    if (typeof key.externalVersion !== 'string' && key.externalVersion !== null) {
      throw invalidArgument('key.externalVersion', 'a version or null', kindOf(key.externalVersion));
    }
    checkTenantId(key.tenantId, 'key.tenantId');
    checkKeyId(key.keyId, 'key.keyId');
    checkAlg(key.alg, 'key.alg');
  }

  #require(supported: unknown, operation: string, alg?: SignAlg): asserts supported {
    if (supported) return;
    const context = { provider: this.id, operation, ...(alg === undefined ? {} : { alg }) };
    throw new KmsError('ERR_KMS_UNSUPPORTED', { context });
  }
}

function subjectOf(operation: string, { tenantId, keyId, alg }: KmsKeyRef): CallSubject {
  return { operation, tenantId, keyId, alg };
}

function subjectContext(subject: CallSubject & DriverCreateKey): Record<string, string> {
  const { operation, tenantId, keyId, alg } = subject;
  return { operation, tenantId, keyId, alg };
}

function hasLengthOf(alg: SignAlg, signature: unknown): boolean {
  if (!(signature instanceof Uint8Array)) return false;
  const algorithm = SIGN_ALGORITHMS[alg];
  const { byteLength } = signature;
  if (algorithm.kind === 'ecdsa') return byteLength === 2 * algorithm.size;
  return algorithm.kind === 'eddsa' ? byteLength === 64 : byteLength >= 256 && byteLength <= 1024;
}

/** A private key that is whole, of `alg`, and whose public members are its own. */
function checkPrivateJwk(alg: SignAlg, jwk: unknown): PrivateJwk {
  const expected = `a private JWK for ${alg} whose public members belong to it`;
  const refuse = (received: string): KmsError => invalidArgument('privateJwk', expected, received);
  if (typeof jwk !== 'object' || jwk === null) throw refuse(kindOf(jwk));
  const probe = Buffer.from('keywright');
  let signature: Buffer;
  let publicJwk: PublicJwk;
  let privateJwk: PrivateJwk;
  try {
    const { kty, crv, x, y, n, e, d, p, q, dp, dq, qi } = jwk as Record<string, string>;
    const privateKey = createPrivateKey({ format: 'jwk', key: { kty, crv, x, y, n, e, d, p, q, dp, dq, qi } as never });
    privateJwk = Object.freeze(privateKey.export({ format: 'jwk' })) as PrivateJwk;
    if (privateJwk.kty === 'RSA' && !isWholeRsaKey(privateJwk)) throw refuse('another key or none');
    publicJwk = publicJwkOf(alg, createPublicKey({ format: 'jwk', key: { kty, crv, x, y, n, e } as never }));
    const { kind, hash } = SIGN_ALGORITHMS[alg] as { kind: string; hash?: string };
    const dsaEncoding = kind === 'ecdsa' ? ({ dsaEncoding: 'ieee-p1363' } as const) : {};
    signature = signWith(hash ?? null, probe, { key: privateKey, ...dsaEncoding });
  } catch {
    // Neither OpenSSL's error nor ours may come near the key.
    throw refuse('another key or none');
  }
  const plain: SignAlg = alg.startsWith('PS') ? (`RS${alg.slice(2)}` as SignAlg) : alg;
  if (!verifySignature(plain, publicJwk, probe, signature)) throw refuse('a key with another public part');
  return privateJwk;
}

function checkCursor(cursor: unknown): string {
  if (typeof cursor === 'string' && cursor.length > 0 && cursor.length <= 4_096) return cursor;
  throw invalidArgument('cursor', 'what the page before returned', kindOf(cursor));
}

function checkWrappingKey(key: unknown): void {
  const { externalId } = (key ?? {}) as Partial<WrappingKeyRef>;
  if (typeof externalId === 'string' && externalId !== '') return;
  throw invalidArgument('wrappingKey.externalId', 'the backend’s id of the wrapping key', kindOf(externalId));
}

function checkBytes(bytes: unknown, argument: string): void {
  if (bytes instanceof Uint8Array && bytes.byteLength > 0 && bytes.byteLength <= MAX_WRAPPED_BYTES) return;
  throw invalidArgument(argument, `a Uint8Array of 1 to ${MAX_WRAPPED_BYTES} bytes`, kindOf(bytes));
}
