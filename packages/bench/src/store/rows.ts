import { randomBytes } from 'node:crypto';
import { createKeyring, type KeyedMac, type Keyring, type KeyWrapper } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { Fixtures } from '../fixtures.ts';

/** First byte of the plaintext of a JSON value. */
const JSON_TAG = 2;
const VALUE_BYTES = 256;
const CREATED_BY = 'loader';

/** A secret that can be read, as the columns of its two rows. */
export interface SecretRows {
  readonly id: string;
  readonly name: string;
  readonly binding: Buffer;
  readonly wrappedDek: Buffer;
  readonly ciphertext: Buffer;
}

/** A row of tenant keys. */
export interface TenantKeyRow {
  readonly tenant_id: string;
  readonly kek_id: string;
  readonly root_kid: string;
  readonly wrapped: Uint8Array;
}

/** The key that a tenant writes with, from the row that the store made. */
export async function tenantKey(knex: Knex, root: KeyWrapper, tenant: string): Promise<Keyring> {
  const row: unknown = await knex('secret_tenant_keys').where({ tenant_id: tenant, status: 'active' }).first();
  return await unwrapTenantKey(root, row as TenantKeyRow);
}

export async function unwrapTenantKey(root: KeyWrapper, row: TenantKeyRow): Promise<Keyring> {
  const context = { kek: row.kek_id, kind: 'tenant-kek', tenant: row.tenant_id };
  const key = await root.unwrapKey({ kid: row.root_kid, wrapped: row.wrapped }, { context });
  return createKeyring({ keys: { [row.kek_id]: key }, activeKid: row.kek_id });
}

/**
 * A secret of one version, encrypted as the store does it, with credentials of 256 bytes. The store would write some
 * thousands of these in a second; what is measured needs more of them. That it can read them is checked before.
 */
export function secretRows(kek: Keyring, tenant: string, name: string, fixtures: Fixtures): SecretRows {
  const id = timeOrderedId();
  const secret = { secret: id, tenant, version: '1' };
  const key = randomBytes(32);
  const dek = createKeyring({ keys: { dek: key }, activeKid: 'dek' });
  const value = Buffer.from(JSON.stringify(fixtures.credentials(VALUE_BYTES)));
  return {
    id,
    name,
    binding: packed(kek.mac('secrets.binding', [tenant, id, name, '1', '', '0'])),
    wrappedDek: kek.encryptBytes(key, { context: { ...secret, kek: kek.activeKid, kind: 'dek' } }),
    ciphertext: dek.encryptBytes(Buffer.concat([Buffer.of(JSON_TAG), value]), {
      context: { ...secret, kind: 'secret-value' },
    }),
  };
}

/** A version that the store has written, decrypted. Text only. */
export function openText(
  kek: Keyring,
  at: { readonly tenant: string; readonly secretId: string; readonly version: number },
  sealed: { readonly wrappedDek: Uint8Array; readonly ciphertext: Uint8Array },
): string {
  const secret = { secret: at.secretId, tenant: at.tenant, version: String(at.version) };
  const key = kek.decryptBytes(sealed.wrappedDek, { context: { ...secret, kek: kek.activeKid, kind: 'dek' } });
  const dek = createKeyring({ keys: { dek: key }, activeKid: 'dek' });
  return dek.decryptBytes(sealed.ciphertext, { context: { ...secret, kind: 'secret-value' } }).toString('utf8', 1);
}

/** Two statements, however many rows. */
export async function insertSecrets(
  knex: Knex,
  tenant: string,
  kekId: string,
  rows: readonly SecretRows[],
): Promise<void> {
  const now = new Date();
  await knex.raw(
    `insert into secrets (tenant_id, id, name, metadata, current_version, binding, created_at, updated_at, created_by)
      select ?, v.id, v.name, '{}', 1, v.binding, ?, ?, ?
      from unnest(?::uuid[], ?::text[], ?::bytea[]) as v(id, name, binding)`,
    [tenant, now, now, CREATED_BY, rows.map(({ id }) => id), rows.map(({ name }) => name), rows.map((r) => r.binding)],
  );
  await knex.raw(
    `insert into secret_versions
        (tenant_id, secret_id, version, kek_id, wrapped_dek, ciphertext, created_at, created_by)
      select ?, v.id, 1, ?::uuid, v.dek, v.ciphertext, ?, ?
      from unnest(?::uuid[], ?::bytea[], ?::bytea[]) as v(id, dek, ciphertext)`,
    [
      tenant,
      kekId,
      now,
      CREATED_BY,
      rows.map(({ id }) => id),
      rows.map(({ wrappedDek }) => wrappedDek),
      rows.map(({ ciphertext }) => ciphertext),
    ],
  );
}

/** UUID version 7. */
export function timeOrderedId(): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

function packed({ kid, mac }: KeyedMac): Buffer {
  return Buffer.concat([Buffer.from(kid.replaceAll('-', ''), 'hex'), mac]);
}
