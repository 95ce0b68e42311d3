import type { Knex } from 'knex';
import { TENANT } from './capture.ts';

/** Of all secrets, one in so many is of the tenant whose statements are explained. */
const SHARE = 50;

/**
 * Rows by SQL, one version and one audit row for each secret, so that a plan that reads them all is a bad one. Nobody
 * decrypts them.
 */
export async function fillPostgres(knex: Knex, secrets: number): Promise<void> {
  await knex.transaction(async (trx) => {
    // foreign keys are true by the way rows are made; to look at each would take most of the time
    await trx.raw('set local session_replication_role = replica');
    await trx.raw(
      `insert into secret_tenant_keys (tenant_id, kek_id, wrapped, root_kid, status, created_at)
        select 'filler-' || i, lpad(to_hex(i), 32, '0')::uuid, '\\x00'::bytea, 'v1', 'active', now() from generate_series(1, ?::int) as i`,
      [Math.ceil(secrets / 10)],
    );
    await trx.raw(
      `insert into secrets (tenant_id, id, name, metadata, tags, current_version, binding, created_at, updated_at,
          is_deleted, deleted_at, created_by)
        select case when i % ${SHARE} = 0 then ? else 'filler-' || i % 1000 end, lpad(to_hex(i), 32, '0')::uuid, 'filler-' || i,
          case when i % 10 = 0 then jsonb_build_object('region', 'r' || i % 97) else '{}' end,
          case when i % 10 = 0 then jsonb_build_array('tag-' || i % 89) end,
          1, '\\x00'::bytea, now(), now(), i % 20 = 7, case when i % 20 = 7 then now() end, 'filler'
        from generate_series(1, ?::int) as i`,
      [TENANT, secrets],
    );
    await trx.raw(
      `insert into secret_versions (tenant_id, secret_id, version, kek_id, wrapped_dek, ciphertext, created_at, created_by)
        select tenant_id, id, 1, md5('kek')::uuid, '\\x00'::bytea, '\\x00'::bytea, now(), 'filler' from secrets
        where created_by = 'filler'`,
    );
    await trx.raw(
      `insert into secret_audit_log (tenant_id, id, at, actor, action, outcome, context, mac, leaf_index)
        select tenant_id, id, now(), 'filler', 'secret.get', 'success', '{}', '\\x00'::bytea,
          1000 + row_number() over ()
        from secrets where created_by = 'filler'`,
    );
  });
  await knex.raw('vacuum analyze');
}

export async function fillSqlite(knex: Knex, secrets: number): Promise<void> {
  const series = 'with recursive series(i) as (select 1 union all select i + 1 from series where i < ?)';
  await knex.raw('pragma foreign_keys = off');
  await knex.raw(
    `${series} insert into secret_tenant_keys (tenant_id, kek_id, wrapped, root_kid, status, created_at)
      select 'filler-' || i, 'kek-' || i, x'00', 'v1', 'active', 0 from series`,
    [Math.ceil(secrets / 10)],
  );
  await knex.raw(
    `${series} insert into secrets (tenant_id, id, name, metadata, tags, current_version, binding, created_at, updated_at,
        is_deleted, deleted_at, created_by)
      select iif(i % ${SHARE} = 0, ?, 'filler-' || i % 1000), printf('%08x-0000-4000-8000-000000000000', i), 'filler-' || i,
        '{}', null, 1, x'00', 0, 0, i % 20 = 7, iif(i % 20 = 7, 0, null), 'filler'
      from series`,
    [secrets, TENANT],
  );
  await knex.raw(
    `insert into secret_versions (tenant_id, secret_id, version, kek_id, wrapped_dek, ciphertext, created_at, created_by)
      select tenant_id, id, 1, 'kek', x'00', x'00', 0, 'filler' from secrets where created_by = 'filler'`,
  );
  await knex.raw(
    `insert into secret_audit_log (tenant_id, id, at, actor, action, outcome, context, mac, leaf_index)
      select tenant_id, 'audit-' || id, 0, 'filler', 'secret.get', 'success', '{}', x'00', 1000 + row_number() over ()
      from secrets where created_by = 'filler'`,
  );
  await knex.raw('analyze');
}
