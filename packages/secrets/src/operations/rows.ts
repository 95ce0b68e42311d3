import type { Keyring } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { Metadata } from '../arguments.ts';
import { type BoundFacts, bindingKekId, bindingMatches } from '../binding.ts';
import { SecretsError } from '../errors.ts';
import { isPlainObject } from '../internal/plain-json.ts';
import { asRow } from '../internal/rows.ts';
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
  readonly current_version: number;
  readonly binding: Buffer;
  readonly expires_at: Timestamp | null;
  readonly is_deleted: boolean | number;
  readonly created_at: Timestamp;
  readonly updated_at: Timestamp;
}

const COLUMNS = [
  'id',
  'name',
  'auth_type',
  'metadata',
  'current_version',
  'binding',
  'expires_at',
  'is_deleted',
  'created_at',
  'updated_at',
] as const;

/** What {@link SecretRow} is read from; `table` is the alias of `secrets` in a join. */
export function secretColumns(scope: Scope, db: Knex, table?: string): readonly (string | Knex.Raw)[] {
  const { dialect } = scope.connections;
  return COLUMNS.map((column) => (table === undefined ? column : `${table}.${column}`)).map((column) =>
    column.endsWith('metadata') ? dialect.jsonText(db, column) : column,
  );
}

/** The secret of a name, locked against other writers until the transaction ends. */
export async function findForUpdate(scope: Scope, trx: Knex, name: string): Promise<SecretRow | undefined> {
  return asRow<SecretRow>(
    await trx(scope.tables.secrets)
      .where({ tenant_id: scope.tenantId, name })
      .whereRaw('not is_deleted')
      .forUpdate()
      .first(...secretColumns(scope, trx)),
  );
}

/** As {@link findForUpdate}, but a missing secret is refused and its pointers are checked. */
export async function requireForUpdate(scope: Scope, trx: Knex, name: string, kek: Keyring): Promise<SecretRow> {
  const row = await findForUpdate(scope, trx, name);
  if (row === undefined) {
    await verifyAbsence(scope, trx, name, [kek]);
    throw notFound(scope);
  }
  await verifyBindings(scope, trx, [row], [kek]);
  return row;
}

/**
 * Checks that a name that is not found is not that of a secret that somebody marked as deleted by hand. The living secret
 * of a name is younger than its deleted ones, so the youngest tells.
 *
 * @throws SecretsError `ERR_SECRETS_INTEGRITY`
 */
export async function verifyAbsence(scope: Scope, db: Knex, name: string, atHand: readonly Keyring[]): Promise<void> {
  const row = asRow<SecretRow>(
    await db(scope.tables.secrets)
      .where({ tenant_id: scope.tenantId, name })
      .whereRaw('is_deleted')
      .orderBy('id', 'desc')
      .first(...secretColumns(scope, db)),
  );
  if (row === undefined) return;
  const [kek] = await scope.tenantKeys.find(db, scope.tenantId, [bindingKekId(row.binding) ?? '']);
  // What a destroyed key signed cannot be checked, and what it encrypted cannot come back.
  if (kek?.status === 'destroyed') return;
  await verifyBindings(scope, db, [row], atHand);
}

export function notFound(scope: Scope): SecretsError {
  return new SecretsError('ERR_SECRETS_NOT_FOUND', { context: { tenantId: scope.tenantId } });
}

export function factsOf(scope: Scope, row: SecretRow): BoundFacts {
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
 * @throws SecretsError `ERR_SECRETS_INTEGRITY` for the first row that was edited
 */
export async function verifyBindings(
  scope: Scope,
  db: Knex,
  rows: readonly SecretRow[],
  atHand: readonly Keyring[],
): Promise<void> {
  const keks = new Map(atHand.map((kek) => [kek.activeKid, kek]));
  const needed = new Set<string>();
  for (const row of rows) {
    const kekId = bindingKekId(row.binding);
    if (kekId === undefined) throw edited(scope, row);
    if (!keks.has(kekId)) needed.add(kekId);
  }
  if (needed.size > 0) {
    for (const row of await scope.tenantKeys.find(db, scope.tenantId, [...needed])) {
      keks.set(row.kek_id, await scope.tenantKeys.unwrap(db, row));
    }
  }
  for (const row of rows) {
    const kek = keks.get(bindingKekId(row.binding) ?? '');
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
    createdAt: new Date(toMillis(row.created_at)),
    updatedAt: new Date(toMillis(row.updated_at)),
  };
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

export function edited(scope: Scope, row: SecretRow): SecretsError {
  return new SecretsError('ERR_SECRETS_INTEGRITY', { context: { tenantId: scope.tenantId, secretId: row.id } });
}
