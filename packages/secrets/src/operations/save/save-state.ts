import type { Knex } from 'knex';
import type { Fields } from '../../dialects/statement.ts';
import { asRow, asRows } from '../../internal/rows.ts';
import type { TenantKeyRow } from '../../keys/tenant-keys.ts';
import type { PlannedRow } from '../plan.ts';
import { MAX_DELETED, type SecretRow } from '../rows.ts';
import type { Scope } from '../scope.ts';

/** What of a secret a save looks at. */
export type SaveRow = PlannedRow & Pick<SecretRow, 'cas_required'>;

/** What a save has to know of a name. */
export interface SaveState {
  readonly living: SaveRow | undefined;
  /** Whether there is a version above its current one. */
  readonly newer: boolean;
  /** Where there is no living one. */
  readonly deleted: readonly SaveRow[];
  /** The key that the tenant writes with. */
  readonly key: TenantKeyRow | undefined;
}

const COLUMNS = [
  'id',
  'name',
  'current_version',
  'binding',
  'cas_required',
  'max_versions',
  'expires_at',
  'is_deleted',
  'created_at',
  'updated_at',
] as const satisfies readonly (keyof SaveRow)[];

/** Reads it in a transaction, without the key: a living secret is locked against other writers until that ends. */
export async function readStateLocked(scope: Scope, trx: Knex, name: string): Promise<Omit<SaveState, 'key'>> {
  const { tenantId, tables } = scope;
  const named = (): Knex.QueryBuilder => trx(tables.secrets).where({ tenant_id: tenantId, name });
  const living = asRow<SaveRow>(
    await named()
      .whereRaw('not is_deleted')
      .forUpdate()
      .first(...COLUMNS),
  );
  if (living === undefined) {
    const query = named().whereRaw('is_deleted').orderBy('id', 'desc').limit(MAX_DELETED);
    return { living, newer: false, deleted: asRows<SaveRow>(await query.select(...COLUMNS)) };
  }
  const newer: unknown = await trx(tables.versions)
    .where({ tenant_id: tenantId, secret_id: living.id })
    .where('version', '>', living.current_version)
    .first('version');
  return { living, newer: asRow(newer) !== undefined, deleted: [] };
}

/** The rows that a state statement returns for one name. */
export function stateOf(tenantId: string, name: string, rows: readonly Fields[]): SaveState {
  const [, kekId, wrapped, rootKid] = rows[0] ?? [];
  const key: TenantKeyRow | undefined =
    typeof kekId !== 'string'
      ? undefined
      : {
          tenant_id: tenantId,
          kek_id: kekId,
          wrapped: typeof wrapped === 'string' ? Buffer.from(wrapped, 'hex') : null,
          root_kid: rootKid as string,
          status: 'active',
        };
  const secrets = rows.filter(([, , , , id]) => typeof id === 'string').map((row) => secretOf(name, row));
  const living = secrets.find(({ is_deleted: deleted }) => !deleted);
  return {
    living,
    newer: rows.some((row) => isTrue(row[13])),
    deleted: secrets.filter(({ is_deleted: deleted }) => deleted),
    key,
  };
}

function secretOf(name: string, fields: Fields): SaveRow {
  const [id, version, binding, casRequired, maxVersions, expiresAt, isDeleted, createdAt, updatedAt] = fields.slice(4);
  return {
    id: id as string,
    name,
    current_version: Number(version),
    binding: Buffer.from(binding as string, 'hex'),
    cas_required: isTrue(casRequired),
    max_versions: numberOrNull(maxVersions),
    expires_at: numberOrNull(expiresAt),
    is_deleted: isTrue(isDeleted),
    created_at: Number(createdAt),
    updated_at: Number(updatedAt),
  };
}

type Field = string | number | boolean | null | undefined;

// A driver that parses fields in spite of what it is asked gives numbers and booleans of its own.

function isTrue(field: Field): boolean {
  return field === 't' || field === true;
}

function numberOrNull(field: Field): number | null {
  return field === null || field === undefined ? null : Number(field);
}
