import type { Dialect, TableShape } from '../dialects/dialect.ts';
import { TABLE_NAMES, type TableName } from '../tables.ts';

/** The tables of one version of the schema, by which tables that were not recorded are recognised as the store's. */
export type Schema = Readonly<Partial<Record<TableName, TableShape>>>;

/**
 * The schema after each migration, in their order. A column is `name type`, then `key` where it is part of the primary
 * key, in the key's order, or `null` where it may be null; types are those of {@link Dialect.types} or SQL's.
 */
export function schemas(dialect: Dialect): readonly Schema[] {
  const initial = {
    rootKeys:
      'kid varchar(64) key, provider varchar(64), status varchar(16), check_value bytes, created_at timestamp, rotating_at timestamp null',
    tenantKeys:
      'tenant_id varchar(255) key, kek_id uuid key, wrapped bytes null, root_kid varchar(64), status varchar(16), created_at timestamp, destroyed_at timestamp null; secret_tenant_keys_active unique, secret_tenant_keys_root',
    secrets:
      'tenant_id varchar(255) key, id uuid key, name varchar(255), auth_type varchar(64) null, metadata json, current_version integer, binding bytes, cas_required boolean, max_versions integer null, expires_at timestamp null, created_at timestamp, updated_at timestamp, is_deleted boolean, deleted_at timestamp null; secrets_name unique, secrets_deleted_name',
    versions:
      'tenant_id varchar(255) key, secret_id uuid key, version integer key, kek_id uuid, wrapped_dek bytes null, ciphertext bytes null, created_at timestamp, created_by varchar(255), expires_at timestamp null, destroyed_at timestamp null',
    auditLog:
      'tenant_id varchar(255) key, id uuid key, at timestamp, actor varchar(255), action varchar(64), secret_id uuid null, secret_name varchar(255) null, version integer null, outcome varchar(16), context text, payload bytes null, salt bytes null, payload_hash bytes null, mac bytes, leaf_index bigint null',
  };
  const [position, id] = dialect.name === 'postgres' ? ['xid8', 'key'] : ['integer key', ''];
  const filters = dialect.name === 'postgres' ? ', secrets_tags, secrets_metadata' : '';
  const complete = {
    ...initial,
    secrets: initial.secrets
      .replace(';', `, description varchar(1024) null, tags json null, created_by varchar(255) null;`)
      .concat(filters),
    versions: `${initial.versions}; secret_versions_kek`,
    auditLog: `${initial.auditLog}; secret_audit_log_records, secret_audit_log_unsealed, secret_audit_log_leaf unique`,
    auditTree: 'id smallint key, size bigint, pruned bigint, updated_at timestamp',
    auditLeaves: 'level smallint key, tile bigint key, hashes bytes',
    auditCheckpoints: 'tree_size bigint key, root_hash bytes, note text, created_at timestamp',
    auditSinks: 'name varchar(64) key, next_leaf bigint, updated_at timestamp',
    leases: 'name varchar(255) key, holder uuid null, fence bigint, expires_at timestamp, state text null',
    changes: `position ${position}, tenant_id varchar(255) ${id}, id uuid ${id}, at timestamp, kind varchar(16), secret_id uuid, secret_name varchar(255), previous_name varchar(255) null, version integer; secret_changes_position`,
  };
  return [initial, complete].map((schema) =>
    Object.fromEntries(Object.entries(schema).map(([table, text]) => [table, shape(text, dialect)])),
  );
}

/** Tables that a schema may hold besides the record of its migrations. */
export const SCHEMA_TABLES: readonly TableName[] = (Object.keys(TABLE_NAMES) as TableName[]).filter(
  (table) => table !== 'migrations',
);

function shape(text: string, { types }: Dialect): TableShape {
  const [columns = '', indexes = ''] = text.split(';');
  let keys = 0;
  return {
    columns: list(columns)
      .map((column) => {
        const [name, type = '', mark] = column.split(' ');
        const sql = Object.hasOwn(types, type) ? types[type as keyof typeof types] : type;
        return [name, sql, ...(mark === 'key' ? [`key ${++keys}`] : mark === undefined ? [] : [mark])].join(' ');
      })
      .toSorted(),
    indexes: list(indexes),
  };
}

function list(text: string): readonly string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
