import { quoted, type Tables } from '../../tables.ts';
import type { Statement, Typed } from '../statement.ts';

/** Bits of `sets`: which columns that may be null are written. */
export const SETS = { auth_type: 1, description: 2, tags: 4, expires_at: 8, max_versions: 16 } as const;

/** Another bit of `sets`: the caller has said which version it expects. */
export const CONDITIONAL = 32;

/** How long others are waited for, at most, who are making a secret of the same name. */
const MAX_WAIT_MS = 100;

// One element of each array per save.
const PARAMETERS = [
  ['tenants', 'text[]'],
  ['keks', 'uuid[]'],
  ['ids', 'uuid[]'],
  ['names', 'text[]'],
  /** Binding of the row that was read; null for a secret that was not there. */
  ['was', 'bytea[]'],
  ['versions', 'integer[]'],
  ['bindings', 'bytea[]'],
  /** When it is saved, and never before it was last changed. */
  ['times', 'timestamptz[]'],
  ['actors', 'text[]'],
  ['wrapped_deks', 'bytea[]'],
  ['ciphertexts', 'bytea[]'],
  /** Versions up to this one are removed; 0 for none. */
  ['remove_tos', 'integer[]'],
  /** Null to leave it as it is. */
  ['metadatas', 'text[]'],
  ['cas', 'boolean[]'],
  ['sets', 'integer[]'],
  ['auth_types', 'text[]'],
  ['descriptions', 'text[]'],
  ['tag_lists', 'text[]'],
  ['expiries', 'timestamptz[]'],
  /** Where it is not written: what it was when the secret was read. */
  ['max_version_counts', 'integer[]'],
  ['audit_ids', 'uuid[]'],
  ['audit_times', 'timestamptz[]'],
  ['payloads', 'bytea[]'],
  ['salts', 'bytea[]'],
  ['payload_hashes', 'bytea[]'],
  ['macs', 'bytea[]'],
  /** Null where no change is recorded. */
  ['change_ids', 'uuid[]'],
] as const;

/** Names of the statement's parameters, in order; those of one save are values in place of arrays. */
export type SaveParameter = (typeof PARAMETERS)[number][0];

export const SAVE_PARAMETERS: readonly SaveParameter[] = PARAMETERS.map(([name]) => name);

/**
 * Saves that were planned: secret, version, audit row and change of each are written if its tenant key is still active
 * and the secret still as it was read (or still missing), by its binding and by what that does not cover and a save
 * depends on; else nothing of it is. Answers with those that were written, counted from 1.
 *
 * One save that goes alone has a form of its own, which takes half the time of a batch of one.
 *
 * Rows are locked in the order that is asked for, which is the same for everybody, so that two of these do not wait for
 * each other. Nor do they wait for the transactions of others, who may take their time, and with them those who share the
 * statement or come after it: what is locked counts as changed, and a name that somebody is about to take is waited for
 * only so long that it fails with a lock timeout. Each is looked up by itself, whatever the statistics say.
 */
export function saveStatement(tables: Tables, form: 'one' | 'many'): Statement {
  const parameters: readonly Typed[] =
    form === 'many' ? PARAMETERS : PARAMETERS.map(([name, type]) => [name, type.replace('[]', '')]);
  const values = PARAMETERS.map(([, type], index) => `(select $${index + 1}::${type})`).join(', ');
  const asked =
    form === 'many'
      ? `select * from unnest(${values}) with ordinality as a (${SAVE_PARAMETERS.join(', ')}, n)`
      : `select ${parameters.map(([name, type], index) => `$${index + 1}::${type} as ${name}`).join(', ')}, 1 as n`;
  const set = (column: keyof typeof SETS, value: string): string =>
    `${column} = case when a.sets & ${SETS[column]} > 0 then ${value} else s.${column} end`;
  const sql = `with asked as materialized (
    ${asked}
  ), held as materialized (
    select a.n, k.one from asked as a cross join lateral (
      select 1 as one from ${quoted(tables.tenantKeys)} as k
      where k.tenant_id = a.tenants and k.kek_id = a.keks and k.status = 'active' for key share skip locked
    ) as k
  ), found as materialized (
    select a.n from asked as a join held as h on h.n = a.n cross join lateral (
      select 1 as one from ${quoted(tables.secrets)} as s
      where s.tenant_id = a.tenants and s.id = a.ids and s.binding = a.was
        and (not s.cas_required or a.sets & ${CONDITIONAL} > 0)
        and (a.sets & ${SETS.max_versions} > 0 or s.max_versions is not distinct from a.max_version_counts)
      for no key update skip locked
    ) as s where a.was is not null
  ), changed as (
    update ${quoted(tables.secrets)} as s set current_version = a.versions, binding = a.bindings, updated_at = a.times,
      metadata = coalesce(a.metadatas::jsonb, s.metadata), cas_required = coalesce(a.cas, s.cas_required),
      ${set('auth_type', 'a.auth_types')}, ${set('description', 'a.descriptions')},
      ${set('tags', 'a.tag_lists::jsonb')}, ${set('expires_at', 'a.expiries')},
      ${set('max_versions', 'a.max_version_counts')}
    from asked as a join found as f on f.n = a.n
    where s.tenant_id = a.tenants and s.id = a.ids returning a.n
  ), made as (
    insert into ${quoted(tables.secrets)} (tenant_id, id, name, auth_type, metadata, description, tags, current_version,
      binding, cas_required, max_versions, expires_at, created_at, created_by, updated_at)
    select a.tenants, a.ids, a.names, a.auth_types, coalesce(a.metadatas, '{}')::jsonb, a.descriptions,
      a.tag_lists::jsonb, a.versions, a.bindings, coalesce(a.cas, false), a.max_version_counts, a.expiries, a.times,
      a.actors, a.times
    from asked as a join held as h on h.n = a.n where a.was is null and (select count(*) from changed) >= 0
      and (select set_config('lock_timeout', '${MAX_WAIT_MS}ms', true)) is not null
    on conflict (tenant_id, name) where not is_deleted do nothing returning id
  ), saved as materialized (
    select a.* from asked as a where a.n in (select n from changed)
    union all
    select a.* from asked as a where a.was is null and a.ids in (select id from made)
  ), version as (
    insert into ${quoted(tables.versions)} (tenant_id, secret_id, version, kek_id, wrapped_dek, ciphertext, created_at,
      created_by)
    select tenants, ids, versions, keks, wrapped_deks, ciphertexts, times, actors from saved
  ), audit as (
    insert into ${quoted(tables.auditLog)} (tenant_id, id, at, actor, action, secret_id, secret_name, version, outcome,
      context, payload, salt, payload_hash, mac)
    select tenants, audit_ids, audit_times, actors, 'secret.save', ids, names, versions, 'success', '{}', payloads,
      salts, payload_hashes, macs
    from saved
  ), change as (
    insert into ${quoted(tables.changes)} (tenant_id, id, at, kind, secret_id, secret_name, version)
    select tenants, change_ids, times, 'save', ids, names, versions from saved where change_ids is not null
  ), removed as (
    delete from ${quoted(tables.versions)} as v using saved as a
    where a.remove_tos > 0 and v.tenant_id = a.tenants and v.secret_id = a.ids and v.version <= a.remove_tos
  )
  select n::integer from saved`;
  return { name: form === 'one' ? 'secret_save_one' : 'secret_save', parameters, columns: [['n', 'integer']], sql };
}
