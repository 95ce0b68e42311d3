import type { KeywrightError, Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import { validate as isUuid } from 'uuid';
import { checkLimit, checkText, checkVersion, invalidArgument, type Metadata, metadataText } from './arguments.ts';
import type { AuditAction, AuditEntry } from './audit/event.ts';
import { databaseError, typed } from './internal/database-error.ts';
import { mergePatch } from './merge-patch.ts';
import { findSecret, getSecret, listSecrets, listVersions } from './operations/read.ts';
import { infoOf, type SecretRow } from './operations/rows.ts';
import { type Audited, activeKek, type Scope, warmKek } from './operations/scope.ts';
import { deleteSecret, type SavedSecret, saveSecret, updateSecret } from './operations/write.ts';
import type { Secret, SecretInfo, SecretVersionInfo } from './secret.ts';
import { encodeValue, type SecretValue } from './value.ts';

export interface TenantOptions {
  /** Who acts, as the audit log names them: a user's id, a job's name. 1 to 255 characters. */
  readonly actor: string;
  /**
   * The caller's transaction. Changes and their audit rows commit or roll back with it; reads and refusals are audited
   * at once (on SQLite with the transaction, which is the only writer).
   */
  readonly trx?: Knex.Transaction;
  /** Where the request came from (address, user agent, request id). Kept in the audit log, erasable. */
  readonly request?: Readonly<Record<string, string>>;
}

export interface SaveOptions {
  /** Refuse if the name is taken, instead of adding a version. @default false */
  readonly ifAbsent?: boolean;
  /** Public facts, stored in the clear, at most 16 KiB of JSON. @default what the secret has, or {} */
  readonly metadata?: Metadata;
  /** What the secret is, at most 64 characters; not interpreted. @default what the secret has, or null */
  readonly authType?: string;
}

export interface UpdateChanges {
  /** A new value makes a new version. */
  readonly value?: SecretValue | object;
  /** JSON merge patch (RFC 7396): null removes a member. */
  readonly metadata?: Metadata;
  readonly authType?: string | null;
}

export interface ListOptions {
  /** Items of a page, 1 to 500. @default 50 */
  readonly limit?: number;
  /** `nextCursor` of the page before. */
  readonly cursor?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Where the next page starts; undefined on the last. */
  readonly nextCursor: string | undefined;
}

/** @internal */
export interface TenantServices extends Omit<Scope, 'tenantId' | 'actor'> {
  readonly logger: Logger | undefined;
  ready(trx: Knex.Transaction | undefined): Promise<void>;
}

const MAX_PAGE = 500;
const DEFAULT_PAGE = 50;
const MAX_AUTH_TYPE = 64;
const REFUSALS: ReadonlySet<string> = new Set([
  'ERR_SECRETS_ALREADY_EXISTS',
  'ERR_SECRETS_EXPIRED',
  'ERR_SECRETS_INTEGRITY',
  'ERR_SECRETS_KEY_UNAVAILABLE',
  'ERR_SECRETS_NOT_FOUND',
  'ERR_SECRETS_ROOT_KEY_MISSING',
  'ERR_SECRETS_ROOT_UNAVAILABLE',
]);

/**
 * One tenant's secrets, seen by one actor. Every method is audited, reads and refusals included, and throws typed
 * errors only: besides those it names, SecretsError `ERR_SECRETS_INVALID_ARGUMENT`, `ERR_SECRETS_NOT_MIGRATED`,
 * `ERR_SECRETS_ROOT_KEY_WRONG`, `ERR_SECRETS_ROOT_KEY_MISSING`, `ERR_SECRETS_ROOT_UNAVAILABLE`,
 * `ERR_SECRETS_DATABASE_CLOSED`, `ERR_SECRETS_DATABASE`.
 */
export class TenantSecrets {
  readonly #services: TenantServices;
  readonly #scope: Scope;
  readonly #trx: Knex.Transaction | undefined;
  readonly #request: Readonly<Record<string, string>> | undefined;

  /** Use `store.tenant()`. */
  constructor(services: TenantServices, tenantId: string, options: TenantOptions) {
    this.#services = services;
    this.#scope = { ...services, tenantId, actor: checkText(options?.actor, 'actor') };
    this.#trx = services.connections.callersTransaction(options.trx);
    if (options.request !== undefined) {
      metadataText(options.request, 'request');
      this.#request = Object.freeze({ ...options.request });
    }
  }

  /**
   * Creates a secret, or adds a version to the one of that name.
   * @param value text, bytes, or what JSON can represent; at most `maxValueBytes`
   * @throws SecretsError `ERR_SECRETS_VALUE_TOO_LARGE`, `ERR_SECRETS_ALREADY_EXISTS` (with `ifAbsent`),
   * `ERR_SECRETS_INTEGRITY`
   */
  async save(name: string, value: SecretValue | object, options: SaveOptions = {}): Promise<SavedSecret> {
    checkText(name, 'name');
    const metadata = options.metadata === undefined ? undefined : metadataText(options.metadata, 'metadata');
    const authType = checkAuthType(options.authType);
    const plaintext = encodeValue(value, this.#scope.maxValueBytes);
    const input = { name, plaintext, metadata: metadata === undefined ? undefined : () => metadata, authType };
    try {
      return await this.#change('secret.save', name, async (trx) => {
        const kek = await activeKek(this.#scope, trx);
        const saved = await saveSecret(this.#scope, trx, kek, input, options.ifAbsent === true);
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
  async get(name: string, options: { readonly version?: number } = {}): Promise<Secret> {
    checkText(name, 'name');
    const version = options.version === undefined ? undefined : checkVersion(options.version);
    return await this.#read('secret.get', name, async (db) => {
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
    const { value, metadata: patch } = changes;
    if (value === undefined && patch === undefined && changes.authType === undefined) {
      throw invalidArgument('changes', 'a value, metadata or authType', 'none of them');
    }
    if (patch !== undefined) metadataText(patch, 'metadata');
    const merge = (row: SecretRow | undefined): string =>
      metadataText(mergePatch(row === undefined ? {} : infoOf(row).metadata, patch ?? {}), 'metadata');
    const input = {
      name,
      plaintext: value === undefined ? undefined : encodeValue(value, this.#scope.maxValueBytes),
      metadata: patch === undefined ? undefined : merge,
      authType: changes.authType === null ? null : checkAuthType(changes.authType),
    };
    try {
      return await this.#change('secret.update', name, async (trx) => {
        const kek = await activeKek(this.#scope, trx);
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
    await this.#change('secret.delete', name, async (trx) => {
      const kek = await activeKek(this.#scope, trx);
      const row = await deleteSecret(this.#scope, trx, kek, name);
      return [undefined, { secretId: row.id, version: row.current_version }];
    });
  }

  /**
   * Secrets in order of their names, without values.
   * @throws SecretsError `ERR_SECRETS_INTEGRITY`
   */
  async list(options: ListOptions = {}): Promise<Page<SecretInfo>> {
    const limit = checkLimit(options.limit ?? DEFAULT_PAGE, MAX_PAGE);
    const after = options.cursor === undefined ? undefined : decodeCursor(options.cursor);
    return await this.#read('secret.list', undefined, async (db) => {
      const { items, more } = await listSecrets(this.#scope, db, limit, after);
      const last = items.at(-1);
      const nextCursor = more && last !== undefined ? encodeCursor(last.name) : undefined;
      return [{ items, nextCursor }, { context: { items: items.length } }];
    });
  }

  /**
   * Whether there is a secret of this name.
   * @throws SecretsError `ERR_SECRETS_INTEGRITY`
   */
  async exists(name: string): Promise<boolean> {
    checkText(name, 'name');
    return await this.#read('secret.exists', name, async (db) => {
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
    return await this.#read('secret.versions', name, async (db) => {
      const { secret, versions } = await listVersions(this.#scope, db, name);
      return [versions, { secretId: secret.id }];
    });
  }

  /** The tenant's audit log, newest first; each entry says whether it is as the store wrote it. */
  async auditLog(options: ListOptions = {}): Promise<Page<AuditEntry>> {
    const limit = checkLimit(options.limit ?? DEFAULT_PAGE, MAX_PAGE);
    const before = options.cursor === undefined ? undefined : decodeIdCursor(options.cursor);
    return await this.#read('audit.list', undefined, async (db) => {
      const rows = await this.#scope.audit.list(db, this.#scope.tenantId, limit + 1, before);
      const items = rows.slice(0, limit);
      const last = items.at(-1);
      const nextCursor = rows.length > limit && last !== undefined ? encodeCursor(last.id) : undefined;
      return [{ items, nextCursor }, { context: { items: items.length } }];
    });
  }

  /** A change and its audit row, in one transaction. */
  async #change<T>(
    action: AuditAction,
    name: string,
    work: (trx: Knex.Transaction) => Promise<readonly [T, Audited]>,
  ): Promise<T> {
    return await this.#audited(action, name, async () => {
      if (this.#trx === undefined) await warmKek(this.#scope);
      return await this.#scope.connections.write(this.#trx, this.#scope.tables, async (trx) => {
        const [result, audited] = await work(trx);
        await this.#record(trx, action, name, 'success', audited);
        return result;
      });
    });
  }

  /** A read, and its audit row committed before the result is handed out. */
  async #read<T>(
    action: AuditAction,
    name: string | undefined,
    work: (db: Knex) => Promise<readonly [T, Audited]>,
  ): Promise<T> {
    return await this.#audited(action, name, async () => {
      const [result, audited] = await work(this.#scope.connections.reader(this.#trx));
      await this.#record(this.#scope.connections.outside(this.#trx), action, name, 'success', audited);
      return result;
    });
  }

  /** Waits until the store is ready; turns whatever is thrown into a typed error, audited if it is a refusal. */
  async #audited<T>(action: AuditAction, name: string | undefined, work: () => Promise<T>): Promise<T> {
    await this.#services.ready(this.#trx);
    try {
      return await work();
    } catch (thrown) {
      const error = databaseError(thrown, action);
      if (isRefusal(error)) await this.#refuse(action, name, error);
      throw error;
    }
  }

  /** Commits the audit row of a refusal before the refusal is thrown. */
  async #refuse(action: AuditAction, name: string | undefined, { code, context }: KeywrightError): Promise<void> {
    const { secretId, version } = context;
    if (code === 'ERR_SECRETS_INTEGRITY') this.#services.logger?.error(`${action} refused: ${code}`);
    const audited = {
      context: { code },
      secretId: typeof secretId === 'string' ? secretId : undefined,
      version: typeof version === 'number' ? version : undefined,
    };
    const db = this.#scope.connections.outside(this.#trx);
    await typed(action, () => this.#record(db, action, name, 'refused', audited));
  }

  async #record(
    db: Knex,
    action: AuditAction,
    secretName: string | undefined,
    outcome: 'success' | 'refused',
    audited: Audited,
  ): Promise<void> {
    const { tenantId, actor } = this.#scope;
    await this.#scope.audit.record(db, {
      tenantId,
      actor,
      action,
      secretName,
      outcome,
      ...audited,
      request: this.#request,
    });
  }
}

/** What the store decided, as opposed to what it was asked wrongly or could not ask the database. */
function isRefusal({ code }: KeywrightError): boolean {
  return REFUSALS.has(code) || code.startsWith('ERR_KEYRING_') || code.startsWith('ERR_ENVELOPE_');
}

function checkAuthType(authType: string | undefined): string | undefined {
  if (authType === undefined) return undefined;
  if (checkText(authType, 'authType').length <= MAX_AUTH_TYPE) return authType;
  throw invalidArgument('authType', `at most ${MAX_AUTH_TYPE} characters`, `string of length ${authType.length}`);
}

function encodeCursor(last: string): string {
  return Buffer.from(last).toString('base64url');
}

function decodeCursor(cursor: unknown): string {
  const text = typeof cursor === 'string' ? Buffer.from(cursor, 'base64url').toString() : '';
  if (text !== '' && encodeCursor(text) === cursor) return checkText(text, 'cursor');
  throw invalidArgument('cursor', 'nextCursor of another page', typeof cursor);
}

function decodeIdCursor(cursor: unknown): string {
  const id = decodeCursor(cursor);
  if (isUuid(id)) return id;
  throw invalidArgument('cursor', 'nextCursor of another page', typeof cursor);
}
