import { quoted, type Tables } from '../../tables.ts';
import type { Statement, Typed } from '../statement.ts';

const PARAMETERS: readonly Typed[] = [
  ['tenants', 'text[]'],
  ['ids', 'uuid[]'],
  ['times', 'timestamptz[]'],
  ['actors', 'text[]'],
  ['actions', 'text[]'],
  ['secret_ids', 'uuid[]'],
  ['secret_names', 'text[]'],
  ['versions', 'integer[]'],
  ['outcomes', 'text[]'],
  ['contexts', 'text[]'],
  ['payloads', 'bytea[]'],
  ['salts', 'bytea[]'],
  ['payload_hashes', 'bytea[]'],
  ['macs', 'bytea[]'],
];

/** Writes audit rows, whole. */
export function auditStatement(tables: Tables): Statement {
  const values = PARAMETERS.map(([, type], index) => `(select $${index + 1}::${type})`).join(', ');
  return {
    name: 'secret_audit',
    parameters: PARAMETERS,
    columns: [],
    sql: `insert into ${quoted(tables.auditLog)} (tenant_id, id, at, actor, action, secret_id, secret_name, version,
      outcome, context, payload, salt, payload_hash, mac)
    select * from unnest(${values})`,
  };
}
