import { quoted, type Tables } from '../../tables.ts';
import type { Statement, Typed } from '../statement.ts';

const PARAMETERS: readonly Typed[] = [
  ['tenants', 'text[]'],
  ['names', 'text[]'],
];

/** Times are milliseconds since 1970 and bytes are hex, as in a get. */
const COLUMNS: readonly Typed[] = [
  ['n', 'integer'],
  ['kek_id', 'text'],
  ['wrapped', 'text'],
  ['root_kid', 'text'],
  ['id', 'text'],
  ['current_version', 'integer'],
  ['binding', 'text'],
  ['cas_required', 'boolean'],
  ['max_versions', 'integer'],
  ['expires_at', 'float8'],
  ['is_deleted', 'boolean'],
  ['created_at', 'float8'],
  ['updated_at', 'float8'],
  ['newer', 'boolean'],
];

/**
 * What saves have to know, each of one name: the key that its tenant writes with, and the living secret, or else the
 * deleted ones. At least one row for each, whose `id` is null where there is no secret.
 *
 * @param maxDeleted how many of these at most, those made last
 */
export function saveStateStatement(tables: Tables, maxDeleted: number): Statement {
  const secrets = quoted(tables.secrets);
  const millis = (column: string): string => `round(date_part('epoch', ${column}) * 1000)::float8`;
  const hex = (column: string): string => `encode(${column}, 'hex')`;
  const living = `from ${secrets} as s where s.tenant_id = a.tenants and s.name = a.names and not s.is_deleted`;
  const sql = `select a.n::integer, k.kek_id::text, ${hex('k.wrapped')}, k.root_kid::text, s.id::text, s.current_version,
    ${hex('s.binding')}, s.cas_required, s.max_versions, ${millis('s.expires_at')}, s.is_deleted,
    ${millis('s.created_at')}, ${millis('s.updated_at')}, coalesce(
      not s.is_deleted and (
        select v.version from ${quoted(tables.versions)} as v
        where v.tenant_id = a.tenants and v.secret_id = s.id order by v.version desc limit 1
      ) > s.current_version, false)
  from unnest((select $1::text[]), (select $2::text[])) with ordinality as a (tenants, names, n)
  left join lateral (
    select * from ${quoted(tables.tenantKeys)} as k where k.tenant_id = a.tenants and k.status = 'active' limit 1
  ) as k on true
  left join lateral (
    (select * ${living} limit 1)
    union all
    (
      select * from ${secrets} as s where s.tenant_id = a.tenants and s.name = a.names and s.is_deleted
        and not exists (select ${living})
      order by s.id desc limit ${maxDeleted}
    )
  ) as s on true`;
  return { name: 'secret_save_state', parameters: PARAMETERS, columns: COLUMNS, sql };
}
