import type { Knex } from 'knex';
import type { SignAlg } from '../algorithms.ts';
import { checkData, checkKeyId, invalidArgument, kindOf, readOptions } from '../arguments.ts';
import { KmsError } from '../errors.ts';
import { type PrivateJwk, type PublicJwk, publicJwkOf, thumbprint } from '../jwk.ts';
import type { CallOptions, KmsKey, KmsKeyRef, KmsProvider } from '../provider.ts';
import type { KeyDatabase } from './connection.ts';
import { deleteKey } from './delete-key.ts';
import { type KeyProviders, providerOf } from './key-providers.ts';
import { type ActiveKey, type KeyRecord, recordOf, refOf } from './key-record.ts';
import { KeyTable } from './key-table.ts';
import { type Make, makeKey } from './make-key.ts';
import { type MovedKey, type MoveTarget, moveKey } from './move-key.ts';
import {
  checkCreateOptions,
  checkListOptions,
  checkNewKey,
  checkOptions,
  cursorOf,
  type ImportedKey,
  type ListKeyRecordsOptions,
  type NewKey,
  type ReadOptions,
  readTrx,
} from './options.ts';
import { aboutKey, codeOf } from './outcome.ts';
import { mismatch } from './same-key.ts';

export interface KeyRecordPage {
  readonly keys: readonly KeyRecord[];
  /** Passed to the next call; `undefined` after the last page. */
  readonly cursor: string | undefined;
}

/**
 * The keys of one tenant. Made by `keys.tenant(…)`; holds nothing but the tenant's id.
 *
 * What makes, deletes or moves a key commits each of its steps before the next one asks a backend, so it rejects with
 * `ERR_KMS_IN_TRANSACTION` on a key table that was made with a transaction.
 */
export class TenantKeys {
  readonly tenantId: string;
  readonly #db: KeyDatabase;
  readonly #table: KeyTable;
  readonly #providers: KeyProviders;

  /** Use {@link KmsKeys.tenant}. */
  constructor(db: KeyDatabase, providers: KeyProviders, tenantId: string) {
    this.tenantId = tenantId;
    this.#db = db;
    this.#table = new KeyTable(db);
    this.#providers = providers;
  }

  /**
   * Makes a key in its provider's backend. A failure of which it is not known that nothing was made leaves the row in
   * the state `creating` (`context.state`), for `reconcile()`.
   *
   * @param options `timeoutMs` at most 120_000
   * @throws KmsError `ERR_KMS_KEY_EXISTS`, `ERR_KMS_PROVIDER_UNKNOWN`, `ERR_KMS_UNSUPPORTED`, the provider's
   */
  async create(input?: NewKey, options?: CallOptions): Promise<ActiveKey> {
    return await this.#make('createKey', input, options, (provider) => provider.createKey.bind(provider));
  }

  /**
   * Takes over a key pair. Where it came from keeps a copy.
   *
   * @param options `timeoutMs` at most 120_000
   * @throws KmsError as {@link create}; `ERR_KMS_INVALID_ARGUMENT` for a private key that is none
   */
  async import(input: ImportedKey, options?: CallOptions): Promise<ActiveKey> {
    const asked = readOptions(input, 'input', (given) => {
      const named = (given.privateJwk as { readonly alg?: SignAlg } | undefined)?.alg;
      return { ...given, alg: given.alg ?? named };
    });
    const privateJwk = asked.privateJwk as PrivateJwk;
    const make =
      (provider: KmsProvider): Make =>
      (made, call) =>
        provider.importKey({ ...made, privateJwk }, call);
    return await this.#make('importKey', asked, options, make);
  }

  /** A key that signs. @throws KmsError `ERR_KMS_KEY_NOT_FOUND`, `ERR_KMS_KEY_NOT_USABLE` */
  async get(keyId: string, options?: ReadOptions): Promise<ActiveKey> {
    const key = await this.find(keyId, options);
    if (key === undefined) throw this.#notFound(keyId);
    if (key.status !== 'active') throw this.#notUsable(keyId, key.status);
    return key;
  }

  /** The key in whatever state it is; `undefined` if the tenant has none of this id. */
  async find(keyId: string, options?: ReadOptions): Promise<KeyRecord | undefined> {
    const row = await this.#table.find(this.tenantId, checkKeyId(keyId), readTrx(options));
    return row === undefined ? undefined : recordOf(row);
  }

  /** Keys in any state, in the order of their ids. */
  async list(options?: ListKeyRecordsOptions): Promise<KeyRecordPage> {
    const { trx, limit, ...query } = checkListOptions(options);
    const rows = await this.#table.page(this.tenantId, { ...query, limit: limit + 1 }, trx);
    const keys = rows.slice(0, limit).map(recordOf);
    const last = rows.length > limit ? keys.at(-1) : undefined;
    return { keys, cursor: last === undefined ? undefined : cursorOf(last.keyId) };
  }

  /**
   * Signs `data`: r ‖ s for ECDSA. By its id, a key costs one read of its row and signs only while it is active; a key
   * that was read before costs none, and signs until its backend has deleted it.
   *
   * @throws KmsError `ERR_KMS_KEY_NOT_FOUND`, `ERR_KMS_KEY_NOT_USABLE`, `ERR_KMS_PROVIDER_UNKNOWN`, the provider's
   */
  async sign(key: string | KmsKey, data: Uint8Array, options?: CallOptions & ReadOptions): Promise<Uint8Array> {
    checkData(data);
    const sign = (located: KmsKeyRef): Promise<Uint8Array> => this.#provider(located).sign(located, data, options);
    if (typeof key !== 'string') return await sign(this.#own(key));
    const trx = readTrx(options);
    const located = await this.#locate(key, trx);
    try {
      return await sign(located);
    } catch (error) {
      if (codeOf(error) !== 'ERR_KMS_KEY_NOT_FOUND') throw error;
      // It may have been moved, or deleted, since its row was read.
      const now = await this.#locate(key, trx);
      if (now.providerId === located.providerId && now.externalId === located.externalId) throw error;
      return await sign(now);
    }
  }

  /**
   * The public key as its backend has it, at most 5 minutes old, compared with the one that was recorded. The recorded
   * one is in {@link get}.
   * @throws KmsError also `ERR_KMS_KEY_MISMATCH`
   */
  async publicKey(key: string | KmsKey, options?: CallOptions & ReadOptions): Promise<PublicJwk> {
    const known = typeof key === 'string' ? await this.get(key, options) : this.#own(key);
    if (typeof known.publicJwk !== 'object') throw invalidArgument('key.publicJwk', 'a key', kindOf(known.publicJwk));
    const shown = await this.#provider(known).getPublicKey(known, options);
    if (thumbprint(shown) !== thumbprint(known.publicJwk)) throw mismatch(known);
    return shown;
  }

  /**
   * Deletes the key: at once it signs no more by its id; its row goes when its backend is clean. Where the backend
   * fails, the row stays `deleting`; call again, or let `reconcile()`.
   *
   * @throws KmsError `ERR_KMS_KEY_NOT_FOUND`, `ERR_KMS_KEY_NOT_USABLE` while it is being made, `ERR_KMS_UNSUPPORTED`
   * where the provider deletes none, the provider's
   */
  async delete(keyId: string, options?: CallOptions): Promise<void> {
    this.#db.committing('delete');
    checkKeyId(keyId);
    await deleteKey(this.#db, this.#providers, this.tenantId, keyId, checkOptions(options, 'delete'));
  }

  /**
   * The private key, where its provider lets keys leave.
   * @throws KmsError `ERR_KMS_UNSUPPORTED`, `ERR_KMS_KEY_MISMATCH`, as {@link sign}
   */
  async exportKey(keyId: string, options?: CallOptions & ReadOptions): Promise<PrivateJwk> {
    const key = await this.get(keyId, options);
    const privateJwk = await this.#provider(key).exportKey(key, options);
    if (thumbprint(publicJwkOf(key.alg, { ...privateJwk })) === thumbprint(key.publicJwk)) return privateJwk;
    throw mismatch(key);
  }

  /**
   * Lets another provider sign with the very same key: one that holds it already, or one that imports it from a provider
   * that lets keys leave, which then deletes it. The new provider proves first that it has the key, by its public key and
   * a signature. Killed at any moment, the key is either where it was or where it was to be.
   *
   * @throws KmsError `ERR_KMS_KEY_MISMATCH` and nothing is changed; `ERR_KMS_UNSUPPORTED`, `ERR_KMS_KEY_NOT_USABLE` also
   * where the row was changed meanwhile, the providers'
   */
  async move(keyId: string, target: MoveTarget, options?: CallOptions): Promise<MovedKey> {
    this.#db.committing('move');
    checkKeyId(keyId);
    return await moveKey(this.#db, this.#providers, this.tenantId, keyId, target, checkCreateOptions(options));
  }

  async #make(
    operation: 'createKey' | 'importKey',
    input: NewKey | undefined,
    options: CallOptions | undefined,
    make: (provider: KmsProvider) => Make,
  ): Promise<ActiveKey> {
    this.#db.committing(operation);
    const checked = checkNewKey(input);
    const limits = checkCreateOptions(options);
    const provider = providerOf(this.#providers, checked.provider);
    const alg = checked.alg ?? provider.capabilities.defaultAlg;
    const able = provider.capabilities.algs[alg];
    if (able?.[operation === 'createKey' ? 'create' : 'import'] !== true) {
      throw new KmsError('ERR_KMS_UNSUPPORTED', { context: { provider: provider.id, operation, alg } });
    }
    const making = { tenantId: this.tenantId, input: checked, named: input?.keyId !== undefined, provider };
    return await makeKey(this.#db, { ...making, make: make(provider) }, limits);
  }

  async #locate(keyId: string, trx: Knex.Transaction | undefined): Promise<KmsKeyRef> {
    const row = await this.#table.locate(this.tenantId, checkKeyId(keyId), trx);
    if (row === undefined) throw this.#notFound(keyId);
    if (row.status !== 'active') throw this.#notUsable(keyId, row.status);
    return refOf(row);
  }

  /** A key that the caller read before. Another tenant's is refused, however it came here. */
  #own(key: KmsKey): KmsKey {
    if (typeof key !== 'object' || key === null) throw invalidArgument('key', 'a key id or a key', kindOf(key));
    if (key.tenantId === this.tenantId) return key;
    throw invalidArgument('key.tenantId', 'a key of this tenant', 'another tenant’s');
  }

  #provider({ providerId, tenantId, keyId }: KmsKeyRef): KmsProvider {
    try {
      return providerOf(this.#providers, providerId);
    } catch (error) {
      throw aboutKey(error, { providerId, tenantId, keyId }, 'provider');
    }
  }

  #notFound(keyId: string): KmsError {
    return new KmsError('ERR_KMS_KEY_NOT_FOUND', { context: { tenantId: this.tenantId, keyId } });
  }

  #notUsable(keyId: string, state: string): KmsError {
    return new KmsError('ERR_KMS_KEY_NOT_USABLE', { context: { tenantId: this.tenantId, keyId, state } });
  }
}
