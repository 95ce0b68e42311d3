import { TABLE_NAMES, type TableName } from '../tables.ts';

/** What a role may do with a table; text in parentheses are the columns that it is limited to. */
type Privileges = readonly string[];

const AUDIT_INSERT =
  'insert (tenant_id, id, at, actor, action, secret_id, secret_name, version, outcome, context, payload, salt, payload_hash, mac)';

// Its position says when it was committed.
const CHANGES_INSERT = 'insert (tenant_id, id, at, kind, secret_id, secret_name, previous_name, version)';

/**
 * What serving tenants needs. The log is only added to, and what its sealer writes is only read. Keys are made, and never
 * changed; their rows are locked with `for key share`, which PostgreSQL allows to whoever may update some column.
 */
export const APPLICATION_GRANTS: Readonly<Record<TableName, Privileges>> = Object.freeze({
  migrations: ['select'],
  rootKeys: ['select', 'insert', 'update (created_at)'],
  tenantKeys: ['select', 'insert', 'update (created_at)'],
  secrets: ['select', 'insert', 'update', 'delete'],
  versions: ['select', 'insert', 'update', 'delete'],
  auditLog: ['select', AUDIT_INSERT],
  auditTree: ['select'],
  auditLeaves: ['select'],
  auditCheckpoints: ['select'],
  auditSinks: [],
  changes: ['select', CHANGES_INSERT],
  leases: ['select'],
});

/** What work across tenants needs; never TRUNCATE. */
export const MAINTENANCE_GRANTS: Readonly<Record<TableName, Privileges>> = Object.freeze(
  Object.fromEntries(
    (Object.keys(TABLE_NAMES) as TableName[]).map((table) => [
      table,
      table === 'migrations' ? ['select'] : ['select', 'insert', 'update', 'delete'],
    ]),
  ) as unknown as Record<TableName, Privileges>,
);

/**
 * Privileges that the application role must not have: they get round the policies (TRUNCATE, REFERENCES and TRIGGER
 * know none), rewrite the log, or take over keys, the change feed and work across tenants.
 */
export function forbiddenPrivileges(table: TableName): readonly string[] {
  const always = ['TRUNCATE', 'REFERENCES', 'TRIGGER'];
  if (table === 'auditLog') return [...always, 'UPDATE', 'DELETE', 'INSERT (leaf_index)'];
  if (table === 'changes') return [...always, 'INSERT (position)'];
  if (KEYS.has(table)) return [...always, 'DELETE', 'UPDATE except created_at'];
  if (READ_ONLY.has(table)) return [...always, 'INSERT', 'UPDATE', 'DELETE'];
  return always;
}

const KEYS: ReadonlySet<TableName> = new Set(['rootKeys', 'tenantKeys']);
const READ_ONLY: ReadonlySet<TableName> = new Set([
  'migrations',
  'auditTree',
  'auditLeaves',
  'auditCheckpoints',
  'auditSinks',
  'leases',
]);
