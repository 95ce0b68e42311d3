import type { Keyring } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { Metadata } from '../arguments.ts';
import { type BoundFacts, bindingKekId, bindingMatches } from '../binding.ts';
import { SecretsError } from '../errors.ts';
import { isPlainObject } from '../internal/plain-json.ts';
import { asRows } from '../internal/rows.ts';
import { type Timestamp, toMillis } from '../internal/time.ts';
import type { SecretInfo } from '../secret.ts';
import type { Scope } from './scope.ts';

/** A row of `secrets`. */
export interface SecretRow {
  readonly id: string;
  readonly name: string;
  readonly auth_type: string | null;
  /** JSON text. */
  readonly metadata: string;
  readonly description: string | null;
  /** JSON text of an array; null for none. */
  readonly tags: string | null;
  readonly current_version: number;
  readonly binding: Buffer;
  readonly cas_required: boolean | number;
  readonly max_versions: number | null;
  readonly expires_at: Timestamp | null;
  readonly is_deleted: boolean | number;
  readonly deleted_at: Timestamp | null;
  readonly created_at: Timestamp;
  readonly created_by: string | null;
  readonly updated_at: Timestamp;
}

/** What its binding covers, and the binding. */
export type BoundRow = Pick<SecretRow, 'id' | 'name' | 'current_version' | 'binding' | 'expires_at' | 'is_deleted'>;

/** Columns of {@link SecretRow}. */
export const SECRET_COLUMNS = [
  'id',
  'name',
  'auth_type',
  'metadata',
  'description',
  'tags',
  'current_version',
  'binding',
  'cas_required',
  'max_versions',
  'expires_at',
  'is_deleted',
  'deleted_at',
  'created_at',
  'created_by',
  'updated_at',
] as const;

/** How many deleted secrets of one name are looked at. */
export const MAX_DELETED = 100;

/** Those of them that hold JSON, and are read as its text. */
export const JSON_COLUMNS: ReadonlySet<string> = new Set(['metadata', 'tags']);

/** What {@link SecretRow} is read from; `table` is the alias of `secrets` in a join. */
export function secretColumns(scope: Scope, db: Knex, table?: string): readonly (string | Knex.Raw)[] {
  const { dialect } = scope.connections;
  return SECRET_COLUMNS.map((column) => {
    const full = table === undefined ? column : `${table}.${column}`;
    return JSON_COLUMNS.has(column) ? dialect.jsonText(db, full) : full;
  });
}

/**
 * Checks that a name that is not found is not that of a secret that somebody marked as deleted by hand. Of a name that
 * was deleted very often, the oldest of its secrets are not looked at.
 *
 * @throws SecretsError `ERR_SECRETS_INTEGRITY`
 */
export async function verifyAbsence(scope: Scope, db: Knex, name: string, atHand: readonly Keyring[]): Promise<void> {
  const rows = asRows<SecretRow>(
    await db(scope.tables.secrets)
      .where({ tenant_id: scope.tenantId, name })
      .whereRaw('is_deleted')
      .orderBy('id', 'desc')
      .limit(MAX_DELETED)
      .select(...secretColumns(scope, db)),
  );
  await verifyBindings(scope, db, rows, atHand, 'skip-destroyed');
}

export function notFound(scope: Scope): SecretsError {
  return new SecretsError('ERR_SECRETS_NOT_FOUND', { context: { tenantId: scope.tenantId } });
}

export function isExpired(row: Pick<SecretRow, 'expires_at'>): boolean {
  return row.expires_at !== null && toMillis(row.expires_at) <= Date.now();
}

export function factsOf(scope: Scope, row: BoundRow): BoundFacts {
  return {
    tenantId: scope.tenantId,
    id: row.id,
    name: row.name,
    currentVersion: row.current_version,
    expiresAt: row.expires_at === null ? null : toMillis(row.expires_at),
    isDeleted: Boolean(row.is_deleted),
  };
}

/**
 * Checks that nobody edited the rows' pointers. Keys that are already at hand are passed in; others are read, in one
 * query however many rows there are.
 *
 * @param destroyed what a destroyed key signed cannot be checked, and what it encrypted cannot come back: with
 * `skip-destroyed` such rows are taken as they are
 * @throws SecretsError `ERR_SECRETS_INTEGRITY` for the first row that was edited
 */
export async function verifyBindings(
  scope: Scope,
  db: Knex,
  rows: readonly BoundRow[],
  atHand: readonly Keyring[],
  destroyed: 'refuse' | 'skip-destroyed' = 'refuse',
): Promise<void> {
  const gone = new Set<string>();
  const keks = new Map(atHand.map((kek) => [kek.activeKid, kek]));
  const needed = new Set<string>();
  for (const row of rows) {
    const kekId = bindingKekId(row.binding);
    if (kekId === undefined) throw edited(scope, row);
    if (!keks.has(kekId)) needed.add(kekId);
  }
  if (needed.size > 0) {
    for (const row of await scope.tenantKeys.find(db, scope.tenantId, [...needed])) {
      if (row.status === 'destroyed' && destroyed === 'skip-destroyed') gone.add(row.kek_id);
      else keks.set(row.kek_id, await scope.tenantKeys.unwrap(db, row));
    }
  }
  for (const row of rows) {
    const kekId = bindingKekId(row.binding) ?? '';
    if (gone.has(kekId)) continue;
    const kek = keks.get(kekId);
    if (kek === undefined || !bindingMatches(kek, row.binding, factsOf(scope, row))) throw edited(scope, row);
  }
}

/** @throws SecretsError `ERR_SECRETS_INTEGRITY` */
export function infoOf(scope: Scope, row: SecretRow): SecretInfo {
  return {
    id: row.id,
    name: row.name,
    currentVersion: row.current_version,
    authType: row.auth_type,
    metadata: metadataOf(scope, row),
    description: row.description,
    tags: tagsOf(scope, row),
    createdBy: row.created_by,
    createdAt: new Date(toMillis(row.created_at)),
    updatedAt: new Date(toMillis(row.updated_at)),
    expiresAt: dateOf(row.expires_at),
    deletedAt: row.is_deleted ? dateOf(row.deleted_at) : null,
    casRequired: Boolean(row.cas_required),
    maxVersions: row.max_versions,
  };
}

function dateOf(at: Timestamp | null): Date | null {
  return at === null ? null : new Date(toMillis(at));
}

function tagsOf(scope: Scope, row: SecretRow): readonly string[] {
  if (row.tags === null) return [];
  try {
    const tags: unknown = JSON.parse(row.tags);
    if (Array.isArray(tags) && tags.every((tag) => typeof tag === 'string')) return tags;
  } catch {
    // no JSON at all
  }
  throw edited(scope, row);
}

function metadataOf(scope: Scope, row: SecretRow): Metadata {
  try {
    const metadata: unknown = JSON.parse(row.metadata);
    if (isPlainObject(metadata)) return metadata;
  } catch {
    // no JSON at all
  }
  throw edited(scope, row);
}

export function edited(scope: Scope, row: Pick<SecretRow, 'id'>): SecretsError {
  return new SecretsError('ERR_SECRETS_INTEGRITY', { context: { tenantId: scope.tenantId, secretId: row.id } });
}
