import { randomBytes, randomUUID } from 'node:crypto';
import { createKeyring, type Keyring } from '@keywright/envelope';
import { createSecretStore, migrateSecretStore } from '@keywright/secrets';
import type { Knex } from 'knex';
import { timeOrderedId, unwrapTenantKey } from '../../store/rows.ts';
import { BARE, nameOf, seededValue } from './protocol.ts';

// First byte of the plaintext of a text value.
const TEXT_TAG = 1;
const ROWS = 5_000;

/** Tables of the store, and the same tables, empty, for what is not the store. */
export async function createTables(knex: Knex): Promise<void> {
  await migrateSecretStore({ knex });
  await knex.raw('create schema ??', [BARE]);
  await migrateSecretStore({ knex, tables: { schema: BARE } });
}

/** Tenants with a key each under the root key. The first `read` have a secret that the store has saved. */
export async function seedTenants(
  knex: Knex,
  root: Keyring,
  tenants: number,
  read: number,
): Promise<readonly string[]> {
  const store = createSecretStore({ knex, root });
  const readable = Array.from({ length: read }, (_, index) => `reader-${index}`);
  for (const tenant of readable) {
    await store.tenant(tenant, { actor: 'seed' }).save(nameOf(0), seededValue(tenant, nameOf(0)));
  }
  await store.close();
  for (let from = read; from < tenants; from += ROWS) {
    const rows = await Promise.all(
      Array.from({ length: Math.min(ROWS, tenants - from) }, async (_, index) => {
        const row = { tenant: `tenant-${from + index}`, kek: randomUUID() };
        const context = { ...row, kind: 'tenant-kek' };
        return { ...row, wrapped: Buffer.from((await root.wrapKey(randomBytes(32), { context })).wrapped) };
      }),
    );
    await knex.raw(
      `insert into secret_tenant_keys (tenant_id, kek_id, wrapped, root_kid, status, created_at)
        select v.tenant, v.kek, v.wrapped, ?, 'active', now()
        from unnest(?::text[], ?::uuid[], ?::bytea[]) as v(tenant, kek, wrapped)`,
      [root.activeKid, rows.map((row) => row.tenant), rows.map((row) => row.kek), rows.map((row) => row.wrapped)],
    );
  }
  return readable;
}

/**
 * A tenant with so many secrets, encrypted as the store does it. They share a data key, which no reader can tell, and
 * which saves most of the time.
 */
export async function seedSecrets(knex: Knex, root: Keyring, tenant: string, secrets: number): Promise<void> {
  const store = createSecretStore({ knex, root });
  await store.tenant(tenant, { actor: 'seed' }).save(nameOf(0), seededValue(tenant, nameOf(0)));
  await store.close();
  const row: unknown = await knex('secret_tenant_keys').where({ tenant_id: tenant, status: 'active' }).first();
  const kek = await unwrapTenantKey(root, row as never);
  const key = randomBytes(32);
  const dek = createKeyring({ keys: { dek: key }, activeKid: 'dek' });
  let writing: Promise<unknown> = Promise.resolve();
  for (let from = 1; from < secrets; from += ROWS) {
    const rows = Array.from({ length: Math.min(ROWS, secrets - from) }, (_, index) =>
      secretOf(kek, dek, key, tenant, nameOf(from + index)),
    );
    await writing;
    writing = insert(knex, tenant, kek.activeKid, rows);
    writing.catch(() => undefined);
  }
  await writing;
}

/** Rows of the store's tables for the other side. */
export async function copyToBare(knex: Knex): Promise<void> {
  for (const table of ['secret_root_keys', 'secret_tenant_keys', 'secrets', 'secret_versions']) {
    await unchecked(knex, `insert into ${BARE}.${table} select * from public.${table}`, []);
  }
  for (const table of ['secret_tenant_keys', 'secrets', 'secret_versions']) {
    await knex.raw(`vacuum analyze public.${table}`);
    await knex.raw(`vacuum analyze ${BARE}.${table}`);
  }
}

interface SeededSecret {
  readonly id: string;
  readonly name: string;
  readonly binding: Buffer;
  readonly wrappedDek: Buffer;
  readonly ciphertext: Buffer;
}

function secretOf(kek: Keyring, dek: Keyring, key: Buffer, tenant: string, name: string): SeededSecret {
  const id = timeOrderedId();
  const secret = { secret: id, tenant, version: '1' };
  const { kid, mac } = kek.mac('secrets.binding', [tenant, id, name, '1', '', '0']);
  return {
    id,
    name,
    binding: Buffer.concat([Buffer.from(kid.replaceAll('-', ''), 'hex'), mac]),
    wrappedDek: kek.encryptBytes(key, { context: { ...secret, kek: kid, kind: 'dek' } }),
    ciphertext: dek.encryptBytes(Buffer.concat([Buffer.of(TEXT_TAG), Buffer.from(seededValue(tenant, name))]), {
      context: { ...secret, kind: 'secret-value' },
    }),
  };
}

async function insert(knex: Knex, tenant: string, kekId: string, rows: readonly SeededSecret[]): Promise<void> {
  const ids = rows.map(({ id }) => id);
  await unchecked(
    knex,
    `with v as (select * from unnest(?::uuid[], ?::text[], ?::bytea[], ?::bytea[], ?::bytea[])
        as v(id, name, binding, dek, ciphertext)),
      s as (insert into secrets (tenant_id, id, name, metadata, current_version, binding, created_at, updated_at, created_by)
        select ?, id, name, '{}', 1, binding, now(), now(), 'seed' from v)
      insert into secret_versions
        (tenant_id, secret_id, version, kek_id, wrapped_dek, ciphertext, created_at, created_by)
        select ?, id, 1, ?::uuid, dek, ciphertext, now(), 'seed' from v`,
    [
      ids,
      rows.map(({ name }) => name),
      rows.map(({ binding }) => binding),
      rows.map(({ wrappedDek }) => wrappedDek),
      rows.map(({ ciphertext }) => ciphertext),
      tenant,
      tenant,
      kekId,
    ],
  );
}

/** Without looking at foreign keys, which hold by the way the rows are made. */
async function unchecked(knex: Knex, sql: string, bindings: readonly unknown[]): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx.raw('set local session_replication_role = replica');
    await trx.raw(sql, bindings as never);
  });
}
