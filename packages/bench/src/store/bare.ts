import type { Knex } from 'knex';
import type { Pool, QueryResult } from 'pg';
import { BARE } from './database.ts';
import type { Address } from './load.ts';
import { timeOrderedId } from './rows.ts';

/** What an audit row of the store holds, as many bytes of it: its MAC is not made here. */
const MAC = Buffer.alloc(48, 7);
const AUDIT_COLUMNS = 'tenant_id, id, at, actor, action, secret_id, secret_name, version, outcome, context, mac';

/** The columns that the store reads: the secret, the current version, the state of its key. */
const SELECT = `select s.id, s.name, s.auth_type, s.metadata::text as metadata, s.current_version, s.binding, s.expires_at,
    s.is_deleted, s.created_at, s.updated_at, v.version, v.wrapped_dek, v.ciphertext, k.kek_id, k.status
  from secrets s
  left join secret_versions v
    on v.tenant_id = s.tenant_id and v.secret_id = s.id and v.version = s.current_version
  left join secret_tenant_keys k on k.tenant_id = v.tenant_id and k.kek_id = v.kek_id
  where s.tenant_id = $1 and s.name = $2 and not s.is_deleted`;

/** One statement, prepared: the select, and the insert of an audit row that says what was read. */
const GET = {
  name: 'bare_get',
  text: `with found as (${SELECT}), logged as (
    insert into ${BARE}.secret_audit_log (${AUDIT_COLUMNS})
    select $1, $3, $4, $5, 'secret.get', found.id, $2, found.version, 'success', '{}', $6
    from (select 1) as one left join found on true
  ) select * from found`,
};

export interface FoundRow {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly ciphertext: Buffer;
}

/** The least that an audited read takes: one prepared statement, one round trip. */
export async function bareGet(pg: Pool, { tenant, name }: Address): Promise<FoundRow> {
  const result: QueryResult<FoundRow> = await pg.query({
    ...GET,
    values: [tenant, name, timeOrderedId(), new Date(), 'bench', MAC],
  });
  return result.rows[0] as FoundRow;
}

/** As it is usually written: a transaction with a joined select and an insert, by knex. */
export async function usualGet(knex: Knex, { tenant, name }: Address): Promise<FoundRow> {
  return await knex.transaction(async (trx) => {
    const row = (await trx({ s: 'secrets' })
      .leftJoin({ v: 'secret_versions' }, (on) => {
        on.on('v.tenant_id', 's.tenant_id').andOn('v.secret_id', 's.id').andOn('v.version', 's.current_version');
      })
      .leftJoin({ k: 'secret_tenant_keys' }, (on) => {
        on.on('k.tenant_id', 'v.tenant_id').andOn('k.kek_id', 'v.kek_id');
      })
      .where({ 's.tenant_id': tenant, 's.name': name, 's.is_deleted': false })
      .first(
        ...['id', 'name', 'auth_type', 'metadata', 'current_version', 'binding', 'expires_at', 'is_deleted'].map(
          (column) => `s.${column}`,
        ),
        's.created_at',
        's.updated_at',
        'v.version',
        'v.wrapped_dek',
        'v.ciphertext',
        'k.kek_id',
        'k.status',
      )) as FoundRow;
    await trx(`${BARE}.secret_audit_log`).insert({
      tenant_id: tenant,
      id: timeOrderedId(),
      at: new Date(),
      actor: 'bench',
      action: 'secret.get',
      secret_id: row.id,
      secret_name: name,
      version: row.version,
      outcome: 'success',
      context: '{}',
      mac: MAC,
    });
    return row;
  });
}
