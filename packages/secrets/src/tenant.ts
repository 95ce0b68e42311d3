import type { Knex } from 'knex';
import { checkText, checkVersion, invalidArgument, type Metadata, metadataText, readOptions } from './arguments.ts';
import type { AuditEntry } from './audit/event.ts';
import { mergePatch } from './merge-patch.ts';
import { AuditedCalls, type CallContext } from './operations/audited.ts';
import { findSecret, getSecret, listSecrets, listVersions } from './operations/read.ts';
import { infoOf, type SecretRow } from './operations/rows.ts';
import { activeKek, type Scope } from './operations/scope.ts';
import { deleteSecret, type SavedSecret, saveSecret, updateSecret } from './operations/write.ts';
import { keysetById, keysetByName, type ListOptions, type Page, pageOf } from './pagination.ts';
import type { Secret, SecretInfo, SecretVersionInfo } from './secret.ts';
import { encodeValue, type SecretValue } from './value.ts';

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

export interface SaveOptions {
  /** Refuse if the name is taken, instead of adding a version. @default false */
  readonly ifAbsent?: boolean | undefined;
  /** Public facts, stored in the clear, at most 16 KiB of JSON. @default what the secret has, or {} */
  readonly metadata?: Metadata | undefined;
  /** What the secret is, at most 64 characters; not interpreted. @default what the secret has, or null */
  readonly authType?: string | undefined;
}

export interface UpdateChanges {
  /** A new value makes a new version. */
  readonly value?: SecretValue | object | undefined;
  /** JSON merge patch (RFC 7396): null removes a member. */
  readonly metadata?: Metadata | undefined;
  readonly authType?: string | null | undefined;
}

/** What a store lends to its tenants. */
export interface TenantServices extends Omit<Scope, 'tenantId' | 'actor'>, Pick<CallContext, 'logger' | 'ready'> {}

const MAX_AUTH_TYPE = 64;

/**
 * One tenant's secrets, seen by one actor. Every method is audited, reads and refusals included, and throws typed
 * errors only: besides those it names, SecretsError `ERR_SECRETS_INVALID_ARGUMENT`, `ERR_SECRETS_NOT_MIGRATED`,
 * `ERR_SECRETS_ROOT_KEY_WRONG`, `ERR_SECRETS_ROOT_KEY_MISSING`, `ERR_SECRETS_ROOT_UNAVAILABLE`,
 * `ERR_SECRETS_DATABASE_CLOSED`, `ERR_SECRETS_DATABASE`.
 */
export class TenantSecrets {
  readonly #scope: Scope;
  readonly #calls: AuditedCalls;

  /** Use `store.tenant()`. */
  constructor(services: TenantServices, tenantId: string, options: TenantOptions) {
    const { actor, trx, request } = readOptions(options, 'options', (given) => ({
      actor: checkText(given.actor, 'actor'),
      trx: services.connections.callersTransaction(given.trx),
      request: given.request === undefined ? undefined : checkRequest(given.request),
    }));
    this.#scope = { ...services, tenantId, actor };
    this.#calls = new AuditedCalls(this.#scope, { trx, request, logger: services.logger, ready: services.ready });
  }

  /**
   * Creates a secret, or adds a version to the one of that name.
   * @param value text, bytes, or what JSON can represent; at most `maxValueBytes`
   * @throws SecretsError `ERR_SECRETS_VALUE_TOO_LARGE`, `ERR_SECRETS_ALREADY_EXISTS` (with `ifAbsent`),
   * `ERR_SECRETS_INTEGRITY`
   */
  async save(name: string, value: SecretValue | object, options?: SaveOptions): Promise<SavedSecret> {
    checkText(name, 'name');
    const { ifAbsent, metadata, authType } = readOptions(options, 'options', (given) => ({
      ifAbsent: given.ifAbsent === true,
      metadata: given.metadata === undefined ? undefined : metadataText(given.metadata, 'metadata'),
      authType: checkAuthType(given.authType),
    }));
    const plaintext = encodeValue(value, this.#scope.maxValueBytes);
    const input = { name, plaintext, metadata: metadata === undefined ? undefined : () => metadata, authType };
    try {
      return await this.#calls.change({ action: 'secret.save', name }, 'make', async (trx) => {
        const kek = await activeKek(this.#scope, trx, 'make');
        const saved = await saveSecret(this.#scope, trx, kek, input, ifAbsent);
        return [saved, { secretId: saved.id, version: saved.version }];
      });
    } finally {
      plaintext.fill(0);
    }
  }

  /**
   * The secret with its value.
   * @param options.version an older version; the current one by default
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_EXPIRED`, `ERR_SECRETS_INTEGRITY`,
   * `ERR_SECRETS_KEY_UNAVAILABLE`
   */
  async get(name: string, options?: { readonly version?: number | undefined }): Promise<Secret> {
    checkText(name, 'name');
    const version = readOptions(options, 'options', (given) =>
      given.version === undefined ? undefined : checkVersion(given.version),
    );
    return await this.#calls.read({ action: 'secret.get', name }, async (db) => {
      const secret = await getSecret(this.#scope, db, name, version);
      return [secret, { secretId: secret.id, version: secret.version }];
    });
  }

  /**
   * Changes a secret that exists: value, metadata, or both.
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_VALUE_TOO_LARGE`, `ERR_SECRETS_INTEGRITY`
   */
  async update(name: string, changes: UpdateChanges): Promise<SavedSecret> {
    checkText(name, 'name');
    const { value, patch, authType } = readOptions(changes ?? null, 'changes', (given) => ({
      value: given.value,
      patch: given.metadata === undefined ? undefined : parsed(metadataText(given.metadata, 'metadata')),
      authType: given.authType === null ? null : checkAuthType(given.authType),
    }));
    if (value === undefined && patch === undefined && authType === undefined) {
      throw invalidArgument('changes', 'a value, metadata or authType', 'none of them');
    }
    const merge = (row: SecretRow | undefined): string =>
      metadataText(mergePatch(row === undefined ? {} : infoOf(this.#scope, row).metadata, patch ?? {}), 'metadata');
    const input = {
      name,
      plaintext: value === undefined ? undefined : encodeValue(value, this.#scope.maxValueBytes),
      metadata: patch === undefined ? undefined : merge,
      authType,
    };
    try {
      return await this.#calls.change({ action: 'secret.update', name }, 'find', async (trx) => {
        const kek = await activeKek(this.#scope, trx, 'find');
        const saved = await updateSecret(this.#scope, trx, kek, input);
        return [saved, { secretId: saved.id, version: saved.version }];
      });
    } finally {
      input.plaintext?.fill(0);
    }
  }

  /**
   * Deletes a secret: it is found no more and its name is free. Its versions stay in the database until purged.
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_INTEGRITY`
   */
  async delete(name: string): Promise<void> {
    checkText(name, 'name');
    await this.#calls.change({ action: 'secret.delete', name }, 'find', async (trx) => {
      const kek = await activeKek(this.#scope, trx, 'find');
      const row = await deleteSecret(this.#scope, trx, kek, name);
      return [undefined, { secretId: row.id, version: row.current_version }];
    });
  }

  /**
   * Secrets in order of their names, without values.
   * @throws SecretsError `ERR_SECRETS_INTEGRITY`
   */
  async list(options?: ListOptions): Promise<Page<SecretInfo>> {
    const keyset = keysetByName(options);
    return await this.#calls.read({ action: 'secret.list' }, async (db) => {
      const page = pageOf(await listSecrets(this.#scope, db, keyset), keyset, ({ name }) => name);
      return [page, { context: { items: page.items.length } }];
    });
  }

  /**
   * Whether there is a secret of this name.
   * @throws SecretsError `ERR_SECRETS_INTEGRITY`
   */
  async exists(name: string): Promise<boolean> {
    checkText(name, 'name');
    return await this.#calls.read({ action: 'secret.exists', name }, async (db) => {
      const row = await findSecret(this.#scope, db, name);
      return [row !== undefined, { secretId: row?.id, context: { found: row === undefined ? 'no' : 'yes' } }];
    });
  }

  /**
   * Versions of a secret, newest first, without values.
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_INTEGRITY`
   */
  async versions(name: string): Promise<readonly SecretVersionInfo[]> {
    checkText(name, 'name');
    return await this.#calls.read({ action: 'secret.versions', name }, async (db) => {
      const { secret, versions } = await listVersions(this.#scope, db, name);
      return [versions, { secretId: secret.id }];
    });
  }

  /** The tenant's audit log, newest first; each entry says whether it is as the store wrote it. */
  async auditLog(options?: ListOptions): Promise<Page<AuditEntry>> {
    const keyset = keysetById(options);
    return await this.#calls.read({ action: 'audit.list' }, async (db) => {
      const entries = await this.#scope.audit.list(db, this.#scope.tenantId, keyset);
      const page = pageOf(entries, keyset, ({ id }) => id);
      return [page, { context: { items: page.items.length } }];
    });
  }
}

function checkRequest(request: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.freeze(parsed(metadataText(request, 'request'))) as Readonly<Record<string, string>>;
}

/** A copy that nobody else can change, as it was checked. */
function parsed(text: string): Metadata {
  return JSON.parse(text) as Metadata;
}

function checkAuthType(authType: string | undefined): string | undefined {
  if (authType === undefined) return undefined;
  if (checkText(authType, 'authType').length <= MAX_AUTH_TYPE) return authType;
  throw invalidArgument('authType', `at most ${MAX_AUTH_TYPE} characters`, `string of length ${authType.length}`);
}
