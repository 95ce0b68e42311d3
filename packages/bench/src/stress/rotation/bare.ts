import type { Knex } from 'knex';
import { BARE, type Key, type Phase } from './protocol.ts';

type Row = Readonly<Record<string, unknown>>;

/** The least that a rotation of these rows must do: read them in the order of their key, and write them back. */
interface BareLoop {
  readonly read: string;
  readonly write: string;
  readonly key: readonly string[];
  readonly columns: readonly string[];
}

const LOOPS: Readonly<Record<Phase, BareLoop>> = {
  'tenant-keys': {
    read: `select tenant_id, kek_id, wrapped, root_kid, status from ${BARE}.secret_tenant_keys
      where (tenant_id, kek_id) > (?, ?) order by tenant_id, kek_id limit ?`,
    write: `update ${BARE}.secret_tenant_keys as t set wrapped = v.wrapped, root_kid = v.root_kid
      from unnest(?::text[], ?::uuid[], ?::bytea[], ?::text[]) as v(tenant_id, kek_id, wrapped, root_kid)
      where t.tenant_id = v.tenant_id and t.kek_id = v.kek_id`,
    key: ['tenant_id', 'kek_id'],
    columns: ['tenant_id', 'kek_id', 'wrapped', 'root_kid'],
  },
  'data-keys': {
    read: `select secret_id, version, wrapped_dek, kek_id from ${BARE}.secret_versions
      where tenant_id = ? and (secret_id, version) > (?, ?) order by secret_id, version limit ?`,
    write: `update ${BARE}.secret_versions as t set wrapped_dek = v.wrapped_dek, kek_id = v.kek_id
      from unnest(?::uuid[], ?::integer[], ?::bytea[], ?::uuid[]) as v(secret_id, version, wrapped_dek, kek_id)
      where t.tenant_id = ? and t.secret_id = v.secret_id and t.version = v.version`,
    key: ['secret_id', 'version'],
    columns: ['secret_id', 'version', 'wrapped_dek', 'kek_id'],
  },
  bindings: {
    read: `select id, name, current_version, expires_at, is_deleted, binding from ${BARE}.secrets
      where tenant_id = ? and id > ? order by id limit ?`,
    write: `update ${BARE}.secrets as t set binding = v.binding
      from unnest(?::uuid[], ?::bytea[]) as v(id, binding)
      where t.tenant_id = ? and t.id = v.id`,
    key: ['id'],
    columns: ['id', 'binding'],
  },
};

/** Where a loop begins. */
export const STARTS: Readonly<Record<Phase, Key>> = {
  'tenant-keys': ['', '00000000-0000-0000-0000-000000000000'],
  'data-keys': ['00000000-0000-0000-0000-000000000000', 0],
  bindings: ['00000000-0000-0000-0000-000000000000'],
};

/** One batch. Returns its rows and the last one's key; no rows at the end of the table. */
export async function bareBatch(
  knex: Knex,
  phase: Phase,
  tenant: string,
  after: Key,
  limit: number,
): Promise<{ readonly rows: number; readonly after: Key }> {
  const { read, write, key, columns } = LOOPS[phase];
  const scope = phase === 'tenant-keys' ? [] : [tenant];
  const { rows } = (await knex.raw(read, [...scope, ...after, limit])) as { rows: readonly Row[] };
  const last = rows.at(-1);
  if (last === undefined) return { rows: 0, after };
  await knex.raw(write, [...columns.map((column) => rows.map((row) => row[column])), ...scope] as never);
  return { rows: rows.length, after: key.map((column) => last[column] as string | number) };
}
