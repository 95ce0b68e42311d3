import type { Knex } from 'knex';
import { checkText, checkVersion, type Metadata, metadataText, readOptions } from './arguments.ts';
import { AuditKeys } from './audit/audit-keys.ts';
import type { AuditEntry } from './audit/event.ts';
import { type AuditLogOptions, auditQuery } from './audit/list.ts';
import type { Conditional } from './conditions.ts';
import { readFilters, type SecretFilters } from './filters.ts';
import { type GetOptions, readGetOptions, readLocators } from './get-options.ts';
import { typed } from './internal/database-error.ts';
import { checkLocator, type Located, type SecretLocator } from './locator.ts';
import { AuditedCalls, type Call, type CallContext } from './operations/audited.ts';
import { merging, renaming, rollingBack } from './operations/changes.ts';
import { deleteSecret, restoreSecret } from './operations/deletion.ts';
import { destroyVersions } from './operations/destroy.ts';
import { findLiving } from './operations/find.ts';
import { GetCalls } from './operations/get/get-calls.ts';
import type { SecretResult } from './operations/get/get-many.ts';
import { listPage } from './operations/list.ts';
import { type PurgedSecrets, purgeDeleted, purgeSecret } from './operations/purge.ts';
import { saveSecret } from './operations/save/save-secret.ts';
import { type Scope, warmKeks } from './operations/scope.ts';
import { type Update, updateSecret } from './operations/update.ts';
import { listVersions } from './operations/versions.ts';
import { type SavedSecret, savedSecret } from './operations/write.ts';
import {
  keysetByVersion,
  type ListOptions,
  type NumberedPage,
  type Page,
  type PageOptions,
  pageOf,
  readPaging,
} from './pagination.ts';
import type { Secret, SecretInfo, SecretVersionInfo } from './secret.ts';
import { encodeValue, type SecretValue } from './value.ts';
import {
  type PurgeOptions,
  readChanges,
  readCondition,
  readPatch,
  readPurge,
  readSaveOptions,
  readVersions,
  type SaveOptions,
  type UpdateChanges,
} from './write-options.ts';

export interface TenantOptions {
  /** Who acts, as the audit log names them: a user's id, a job's name. 1 to 255 characters. */
  readonly actor: string;
  /**
   * The caller's transaction. Changes and their audit rows commit or roll back with it; reads and refusals are audited
   * at once (on SQLite with the transaction, which is the only writer).
   */
  readonly trx?: Knex.Transaction | undefined;
  /** Where the request came from (address, user agent, request id). Kept in the audit log, erasable. */
  readonly request?: Readonly<Record<string, string>> | undefined;
}

/** What a store lends to its tenants. */
export interface TenantServices extends Omit<Scope, 'tenantId' | 'actor'>, Pick<CallContext, 'logger' | 'ready'> {}

/**
 * One tenant's secrets, seen by one actor. Every method is audited, reads and refusals included, and throws typed
 * errors only: besides those it names, SecretsError `ERR_SECRETS_INVALID_ARGUMENT`, `ERR_SECRETS_NOT_MIGRATED`,
 * `ERR_SECRETS_ROOT_KEY_WRONG`, `ERR_SECRETS_ROOT_KEY_MISSING`, `ERR_SECRETS_ROOT_UNAVAILABLE`,
 * `ERR_SECRETS_KEY_UNAVAILABLE`, `ERR_SECRETS_KEY_COLD`, `ERR_SECRETS_DATABASE_CLOSED`,
 * `ERR_SECRETS_DATABASE_PERMISSION`, `ERR_SECRETS_DATABASE`.
 */
export class TenantSecrets {
  readonly #scope: Scope;
  readonly #calls: AuditedCalls;
  readonly #gets: GetCalls;
  readonly #trx: Knex.Transaction | undefined;

  /** Use `store.tenant()`. */
  constructor(services: TenantServices, tenantId: string, options: TenantOptions) {
    const { actor, trx, request } = readOptions(options, 'options', (given) => ({
      actor: checkText(given.actor, 'actor'),
      trx: services.connections.callersTransaction(given.trx),
      request: given.request === undefined ? undefined : checkRequest(given.request),
    }));
    this.#scope = { ...services, tenantId, actor };
    this.#trx = trx;
    const context = { trx, request, logger: services.logger, ready: services.ready };
    this.#calls = new AuditedCalls(this.#scope, context);
    this.#gets = new GetCalls(this.#scope, context, this.#calls);
  }

  /**
   * Creates a secret, or adds a version to the one of that name. One that has expired takes a new value only together
   * with a new `expiresAt`.
   *
   * @param value text, bytes, or what JSON can represent; at most `maxValueBytes`
   * @throws SecretsError `ERR_SECRETS_VALUE_TOO_LARGE`, `ERR_SECRETS_ALREADY_EXISTS` (with `ifAbsent`),
   * `ERR_SECRETS_VERSION_CONFLICT`, `ERR_SECRETS_CAS_REQUIRED`, `ERR_SECRETS_EXPIRED`, `ERR_SECRETS_INTEGRITY`
   */
  async save(name: string, value: SecretValue | object, options?: SaveOptions): Promise<SavedSecret> {
    checkText(name, 'name');
    const { attributes, ...conditions } = readSaveOptions(options);
    const plaintext = encodeValue(value, this.#scope.maxValueBytes);
    const save = { name, input: { kind: 'save', plaintext, attributes }, ...conditions } as const;
    try {
      return await this.#calls.changeAtOnce({ action: 'secret.save', name }, 'make', (trx, auditRow) =>
        saveSecret(this.#scope, trx, save, auditRow),
      );
    } finally {
      plaintext.fill(0);
    }
  }

  /**
   * The secret with its value. Outside of a transaction on PostgreSQL it is one round trip, audit row included, which it
   * shares with the gets that wait at the same time.
   *
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_EXPIRED`, `ERR_SECRETS_VERSION_DESTROYED`,
   * `ERR_SECRETS_INTEGRITY`, `ERR_SECRETS_KEY_UNAVAILABLE`, `ERR_SECRETS_KEY_COLD`, `ERR_SECRETS_ABORTED`
   */
  async get(secret: SecretLocator, options?: GetOptions): Promise<Secret> {
    const wanted = { locator: secret, at: checkLocator(secret) };
    const { version, signal } = readGetOptions(options);
    return await this.#gets.get({ ...wanted, version }, signal);
  }

  /** As {@link get}, by the id that never changes. */
  async getById(id: string, options?: GetOptions): Promise<Secret> {
    return await this.get({ id }, options);
  }

  /**
   * Current versions of up to 1,000 secrets, in the order of `secrets`: on PostgreSQL one round trip for 64. One that
   * is refused says why, and the others are read all the same; each has an audit row of its own.
   *
   * @throws SecretsError `ERR_SECRETS_ABORTED`; what `get` is refused with is in the results
   */
  async getMany(
    secrets: readonly SecretLocator[],
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<readonly SecretResult[]> {
    const wanted = readLocators(secrets).map((locator) => ({ locator, at: checkLocator(locator), version: undefined }));
    return await this.#gets.getMany(wanted, readGetOptions(options).signal);
  }

  /**
   * Unwraps this tenant's keys ahead of a transaction, so that no remote root key is asked while that is open. They stay
   * in memory for `cachedKeyTtlMs`, unless there are more of them than `cachedKeys`.
   *
   * @throws SecretsError `ERR_SECRETS_INTEGRITY`, `ERR_SECRETS_KEY_COLD` in a transaction under `coldKek: 'refuse'`
   */
  async warm(): Promise<void> {
    await this.#calls.turn(() => typed('warm', () => warmKeks(this.#scope, this.#trx)));
  }

  /**
   * Changes a secret that exists: its value, what it has beside it, or both.
   *
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_VALUE_TOO_LARGE`, `ERR_SECRETS_VERSION_CONFLICT`,
   * `ERR_SECRETS_CAS_REQUIRED`, `ERR_SECRETS_EXPIRED`, `ERR_SECRETS_INTEGRITY`
   */
  async update(secret: SecretLocator, changes: UpdateChanges, options?: Conditional): Promise<SavedSecret> {
    const at = checkLocator(secret);
    const { value, attributes } = readChanges(changes);
    const expected = readCondition(options);
    const plaintext = value === undefined ? undefined : encodeValue(value, this.#scope.maxValueBytes);
    try {
      return await this.#update('secret.update', {
        at,
        expected,
        input: async () => ({ kind: 'update', plaintext: plaintext && Buffer.from(plaintext), attributes }),
      });
    } finally {
      plaintext?.fill(0);
    }
  }

  /**
   * Merges a patch into a JSON object (RFC 7396: null removes a member) and makes that a new version.
   *
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_VALUE_NOT_JSON`, `ERR_SECRETS_VALUE_TOO_LARGE`,
   * `ERR_SECRETS_VERSION_DESTROYED`, `ERR_SECRETS_VERSION_CONFLICT`, `ERR_SECRETS_CAS_REQUIRED`, `ERR_SECRETS_EXPIRED`,
   * `ERR_SECRETS_INTEGRITY`
   */
  async merge(secret: SecretLocator, patch: Metadata | object, options?: Conditional): Promise<SavedSecret> {
    const at = checkLocator(secret);
    const text = readPatch(patch, this.#scope.maxValueBytes);
    return await this.#update('secret.merge', {
      at,
      expected: readCondition(options),
      input: merging(this.#scope, text),
    });
  }

  /**
   * Makes the value of an older version the value of a new one: the current version only ever goes up.
   *
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_VERSION_DESTROYED`, `ERR_SECRETS_VERSION_CONFLICT`,
   * `ERR_SECRETS_CAS_REQUIRED`, `ERR_SECRETS_EXPIRED`, `ERR_SECRETS_KEY_UNAVAILABLE`, `ERR_SECRETS_INTEGRITY`
   */
  async rollback(secret: SecretLocator, version: number, options?: Conditional): Promise<SavedSecret> {
    const at = checkLocator(secret);
    const from = checkVersion(version);
    return await this.#update(
      'secret.rollback',
      { at, expected: readCondition(options), input: rollingBack(this.#scope, from) },
      { from },
    );
  }

  /**
   * Gives a secret another name. Its id, its versions and everything else stay.
   *
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_ALREADY_EXISTS`, `ERR_SECRETS_VERSION_CONFLICT`,
   * `ERR_SECRETS_CAS_REQUIRED`, `ERR_SECRETS_INTEGRITY`
   */
  async rename(secret: SecretLocator, newName: string, options?: Conditional): Promise<SavedSecret> {
    const at = checkLocator(secret);
    const name = checkText(newName, 'newName');
    return await this.#update(
      'secret.rename',
      { at, expected: readCondition(options), input: renaming(this.#scope, name) },
      { to: name },
    );
  }

  /**
   * Deletes a secret: it is found no more and its name is free. Its versions stay in the database until it is purged.
   *
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_VERSION_CONFLICT`, `ERR_SECRETS_CAS_REQUIRED`,
   * `ERR_SECRETS_INTEGRITY`
   */
  async delete(secret: SecretLocator, options?: Conditional): Promise<void> {
    const at = checkLocator(secret);
    const expected = readCondition(options);
    await this.#calls.change(callOf('secret.delete', at), 'find', async (trx) => {
      const row = await deleteSecret(this.#scope, trx, at, expected);
      return [undefined, { secretId: row.id, secretName: row.name, version: row.current_version }];
    });
  }

  /**
   * Brings a deleted secret back: by id, or the one of a name that was made last.
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_ALREADY_EXISTS`, `ERR_SECRETS_KEY_UNAVAILABLE`,
   * `ERR_SECRETS_INTEGRITY`
   */
  async restore(secret: SecretLocator): Promise<SavedSecret> {
    const at = checkLocator(secret);
    return await this.#calls.change(callOf('secret.restore', at), 'find', async (trx) => {
      const saved = await restoreSecret(this.#scope, trx, at);
      return [saved, { secretId: saved.id, secretName: saved.name, version: saved.version }];
    });
  }

  /**
   * Destroys the values of versions for good; what is read of them then is `ERR_SECRETS_VERSION_DESTROYED`. That the
   * versions were there stays.
   *
   * @param version one, or up to 1,000; the current one may be among them
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND` if one of them is not there, `ERR_SECRETS_INTEGRITY`
   */
  async destroy(secret: SecretLocator, version: number | readonly number[]): Promise<void> {
    const at = checkLocator(secret);
    const versions = readVersions(version);
    await this.#calls.change(callOf('secret.destroy', at), 'find', async (trx) => {
      const row = await destroyVersions(this.#scope, trx, at, versions);
      const [only] = versions;
      const audited = { secretId: row.id, secretName: row.name, context: { versions: versions.join() } };
      return [undefined, versions.length === 1 ? { ...audited, version: only } : audited];
    });
  }

  /**
   * Removes a secret with all its versions from the database, deleted or not: by id, or of a name the living one, else
   * the deleted one that was made last. Its audit rows stay.
   *
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_INTEGRITY`
   */
  async purge(secret: SecretLocator): Promise<void> {
    const at = checkLocator(secret);
    await this.#calls.change(callOf('secret.purge', at), 'find', async (trx) => {
      const row = await purgeSecret(this.#scope, trx, at);
      return [undefined, { secretId: row.id, secretName: row.name, version: row.current_version }];
    });
  }

  /**
   * Removes secrets that were deleted, the longest deleted first: a bounded number of them in one transaction. Call it
   * again while it says that there are more.
   *
   * @throws SecretsError `ERR_SECRETS_INTEGRITY` if one of them was not deleted by the store
   */
  async purgeDeleted(options?: PurgeOptions): Promise<PurgedSecrets> {
    const { before, limit } = readPurge(options);
    return await this.#calls.change({ action: 'secret.purge' }, 'find', async (trx) => {
      const result = await purgeDeleted(this.#scope, trx, before, limit);
      const bound = before === undefined ? {} : { deletedBefore: before.toISOString() };
      return [result, { context: { items: result.purged, ...bound } }];
    });
  }

  /**
   * Secrets in order of their names, without values: by `limit` and `cursor`, or by `page` and `perPage`.
   * @throws SecretsError `ERR_SECRETS_INTEGRITY`
   */
  list(options: SecretFilters & PageOptions): Promise<NumberedPage<SecretInfo>>;
  list(options?: SecretFilters & ListOptions): Promise<Page<SecretInfo>>;
  async list(
    options?: SecretFilters & ListOptions & Partial<PageOptions>,
  ): Promise<Page<SecretInfo> | NumberedPage<SecretInfo>> {
    return await this.#list('secret.list', undefined, options);
  }

  /**
   * As {@link list}, of secrets whose names contain a text: in any case of letters (on SQLite and in a database of
   * locale C, of A to Z), and with nothing in it a wildcard.
   *
   * @param text 1 to 255 characters
   * @throws SecretsError `ERR_SECRETS_INTEGRITY`
   */
  search(text: string, options: SecretFilters & PageOptions): Promise<NumberedPage<SecretInfo>>;
  search(text: string, options?: SecretFilters & ListOptions): Promise<Page<SecretInfo>>;
  async search(
    text: string,
    options?: SecretFilters & ListOptions & Partial<PageOptions>,
  ): Promise<Page<SecretInfo> | NumberedPage<SecretInfo>> {
    return await this.#list('secret.search', checkText(text, 'text'), options);
  }

  /**
   * Whether there is such a secret.
   * @throws SecretsError `ERR_SECRETS_INTEGRITY`
   */
  async exists(secret: SecretLocator): Promise<boolean> {
    const at = checkLocator(secret);
    return await this.#calls.read(callOf('secret.exists', at), async (db) => {
      const row = await findLiving(this.#scope, db, at);
      const context = { found: row === undefined ? 'no' : 'yes' };
      return [row !== undefined, { secretId: row?.id ?? at.id, secretName: row?.name, context }];
    });
  }

  /**
   * Versions of a secret, newest first, without values.
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_INTEGRITY`
   */
  async versions(secret: SecretLocator, options?: ListOptions): Promise<Page<SecretVersionInfo>> {
    const at = checkLocator(secret);
    const keyset = keysetByVersion(options);
    return await this.#calls.read(callOf('secret.versions', at), async (db) => {
      const { secret: row, versions } = await listVersions(this.#scope, db, at, keyset);
      const page = pageOf(versions, keyset, ({ version }) => String(version));
      return [page, { secretId: row.id, secretName: row.name }];
    });
  }

  /** The tenant's audit log, newest first; each entry says whether it is as the store wrote it. */
  async auditLog(options?: AuditLogOptions): Promise<Page<AuditEntry>> {
    const query = auditQuery(options);
    return await this.#calls.read({ action: 'audit.list' }, async (db) => {
      const { connections, tenantKeys, audit, tenantId } = this.#scope;
      const keys = new AuditKeys(connections, tenantKeys, audit);
      const entries = await audit.list(db, tenantId, query, (rows) => keys.load(db, rows));
      const page = pageOf(entries, query, ({ id }) => id);
      return [page, { context: { items: page.items.length } }];
    });
  }

  async #update(
    action: Call['action'],
    update: Update,
    context?: Readonly<Record<string, string | number>>,
  ): Promise<SavedSecret> {
    return await this.#calls.change(callOf(action, update.at), 'find', async (trx) => {
      const plan = await updateSecret(this.#scope, trx, update);
      const secretName = plan.previousName ?? plan.name;
      return [savedSecret(plan), { secretId: plan.id, secretName, version: plan.version, context }];
    });
  }

  async #list(
    action: Call['action'],
    text: string | undefined,
    options: (SecretFilters & ListOptions & Partial<PageOptions>) | undefined,
  ): Promise<Page<SecretInfo> | NumberedPage<SecretInfo>> {
    const { paging, filters } = readOptions(options, 'options', (given) => ({
      paging: readPaging(given),
      filters: readFilters(given),
    }));
    return await this.#calls.read({ action }, async (db) => {
      const page = await listPage(this.#scope, db, { filters, text }, paging);
      return [page, { context: { items: page.items.length } }];
    });
  }
}

function callOf(action: Call['action'], { name, id }: Located): Call {
  return { action, name, id };
}

function checkRequest(request: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.freeze(JSON.parse(metadataText(request, 'request'))) as Readonly<Record<string, string>>;
}
