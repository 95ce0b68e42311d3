import type { Keyring } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { Metadata } from '../arguments.ts';
import { type BoundFacts, bindingKekId, bindingMatches } from '../binding.ts';
import { SecretsError } from '../errors.ts';
import { asRow } from '../internal/rows.ts';
import { type Timestamp, toMillis } from '../internal/time.ts';
import type { SecretInfo } from '../secret.ts';
import type { Scope } from './scope.ts';

/** A row of `secrets`. */
export interface SecretRow {
  readonly id: string;
  readonly name: string;
  readonly auth_type: string | null;
  readonly metadata: string | Metadata;
  readonly current_version: number;
  readonly binding: Buffer;
  readonly expires_at: Timestamp | null;
  readonly is_deleted: boolean | number;
  readonly created_at: Timestamp;
  readonly updated_at: Timestamp;
}

export const SECRET_COLUMNS = [
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

/** The secret of a name, locked against other writers until the transaction ends. */
export async function findForUpdate(scope: Scope, trx: Knex, name: string): Promise<SecretRow | undefined> {
  const query = trx(scope.tables.secrets)
    .where({ tenant_id: scope.tenantId, name })
    .whereRaw('not is_deleted')
    .first(...SECRET_COLUMNS);
  if (scope.connections.dialect.name === 'postgres') query.forUpdate();
  return asRow<SecretRow>(await query);
}

/** As {@link findForUpdate}, but a missing secret is refused and its pointers are checked. */
export async function requireForUpdate(scope: Scope, trx: Knex, name: string, kek: Keyring): Promise<SecretRow> {
  const row = await findForUpdate(scope, trx, name);
  if (row === undefined) throw notFound(scope);
  await verifyBindings(scope, trx, [row], [kek]);
  return row;
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

export function infoOf(row: SecretRow): SecretInfo {
  return {
    id: row.id,
    name: row.name,
    currentVersion: row.current_version,
    authType: row.auth_type,
    // jsonb arrives parsed, SQLite's text does not
    metadata: typeof row.metadata === 'string' ? (JSON.parse(row.metadata) as Metadata) : row.metadata,
    createdAt: new Date(toMillis(row.created_at)),
    updatedAt: new Date(toMillis(row.updated_at)),
  };
}

function edited(scope: Scope, row: SecretRow): SecretsError {
  return new SecretsError('ERR_SECRETS_INTEGRITY', { context: { tenantId: scope.tenantId, secretId: row.id } });
}
