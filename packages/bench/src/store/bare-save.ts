import type { Pool, PoolClient } from 'pg';
import { BARE } from './database.ts';
import { timeOrderedId } from './rows.ts';

/** The columns that a save of the store fills with bytes, as long as it makes them. */
export interface StoredBytes {
  readonly binding: Buffer;
  readonly wrappedDek: Buffer;
  readonly ciphertext: Buffer;
  readonly mac: Buffer;
}

export interface BareTenant {
  readonly tenant: string;
  readonly kekId: string;
}

const INSERT_SECRET = {
  name: 'bare_insert_secret',
  text: `insert into ${BARE}.secrets
      (tenant_id, id, name, metadata, current_version, binding, created_at, updated_at, created_by)
    values ($1, $2, $3, '{}', 1, $4, $5, $5, $6)`,
};
const NEXT_VERSION = {
  name: 'bare_next_version',
  text: `update ${BARE}.secrets set current_version = current_version + 1, binding = $3, updated_at = $4
    where tenant_id = $1 and name = $2 and not is_deleted returning id, current_version`,
};
const INSERT_VERSION = {
  name: 'bare_insert_version',
  text: `insert into ${BARE}.secret_versions
      (tenant_id, secret_id, version, kek_id, wrapped_dek, ciphertext, created_at, created_by)
    values ($1, $2, $3, $4, $5, $6, $7, $8)`,
};
const INSERT_AUDIT = {
  name: 'bare_insert_audit',
  text: `insert into ${BARE}.secret_audit_log
      (tenant_id, id, at, actor, action, secret_id, secret_name, version, outcome, context, mac)
    values ($1, $2, $3, $4, 'secret.save', $5, $6, $7, 'success', '{}', $8)`,
};
const ACTOR = 'bench';

/** A transaction of three inserts, all prepared. */
export async function bareInsert(
  pg: Pool,
  { tenant, kekId }: BareTenant,
  name: string,
  bytes: StoredBytes,
): Promise<number> {
  return await inTransaction(pg, async (client) => {
    const id = timeOrderedId();
    const now = new Date();
    await client.query({ ...INSERT_SECRET, values: [tenant, id, name, bytes.binding, now, ACTOR] });
    await insertVersion(client, { tenant, kekId }, { id, name, version: 1 }, bytes, now);
    return 1;
  });
}

/** A transaction of an update that also finds the secret, and two inserts, all prepared. */
export async function bareUpdate(
  pg: Pool,
  { tenant, kekId }: BareTenant,
  name: string,
  bytes: StoredBytes,
): Promise<number> {
  return await inTransaction(pg, async (client) => {
    const now = new Date();
    const { rows } = await client.query<{ id: string; current_version: number }>({
      ...NEXT_VERSION,
      values: [tenant, name, bytes.binding, now],
    });
    const found = rows[0];
    if (found === undefined) throw new Error(`There is no secret "${name}".`);
    await insertVersion(client, { tenant, kekId }, { id: found.id, name, version: found.current_version }, bytes, now);
    return found.current_version;
  });
}

async function insertVersion(
  client: PoolClient,
  { tenant, kekId }: BareTenant,
  { id, name, version }: { readonly id: string; readonly name: string; readonly version: number },
  { wrappedDek, ciphertext, mac }: StoredBytes,
  now: Date,
): Promise<void> {
  await client.query({
    ...INSERT_VERSION,
    values: [tenant, id, version, kekId, wrappedDek, ciphertext, now, ACTOR],
  });
  await client.query({
    ...INSERT_AUDIT,
    values: [tenant, timeOrderedId(), now, ACTOR, id, name, version, mac],
  });
}

async function inTransaction<T>(pg: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pg.connect();
  let result: T;
  try {
    await client.query('begin');
    result = await work(client);
    await client.query('commit');
  } catch (error) {
    client.release(true); // its transaction with it
    throw error;
  }
  client.release();
  return result;
}
