import type { Knex } from 'knex';
import type { Database } from './database.ts';
import { type KmsTableName, type KmsTables, quoted } from './names.ts';

/** One step of the schema. Its name is recorded when it has run, and never changes. */
export interface Migration {
  readonly name: string;
  /** Tables that it makes. */
  readonly tables: readonly KmsTableName[];
  statements(database: Database, tables: KmsTables): readonly string[];
}

/** Keys of every provider, copies of keys on their way between providers, and the `db` provider's sealed keys. */
const initial: Migration = {
  name: '001-initial',
  tables: ['keys', 'copies', 'softwareKeys'],

  statements({ types: t }, tables) {
    const index = (name: string): string => `"${tables.plain(name)}"`;
    const keys = quoted(tables.keys);
    const copies = quoted(tables.copies);
    const softwareKeys = quoted(tables.softwareKeys);
    // where a key is in its backend, and what is under way there
    const place = `
      tenant_id varchar(255) not null,
      key_id varchar(128) not null,
      provider_id varchar(64) not null,
      name varchar(64) not null,
      external_id varchar(512) check (length(external_id) between 1 and 512),
      external_version varchar(128),
      alg varchar(16) not null,
      busy_until ${t.timestamp},
      attempts integer not null default 0,
      last_error varchar(64),
      created_at ${t.timestamp} not null,
      updated_at ${t.timestamp} not null`;
    return [
      `create table ${keys} (${place},
        public_jwk ${t.json},
        description varchar(1024),
        status varchar(16) not null check (status in ('creating', 'active', 'deleting')),
        primary key (tenant_id, key_id),
        check (status <> 'active' or (external_id is not null and public_jwk is not null))
      )`,
      // what reconcile() has to finish
      `create index ${index('kms_keys_pending')} on ${keys} (status, provider_id, tenant_id, key_id)
        where status <> 'active'`,
      // keys of one provider, in pages
      `create index ${index('kms_keys_provider')} on ${keys} (provider_id, tenant_id, key_id)`,
      // whose the keys are that a backend lists; across tenants, because a backend may know none
      `create index ${index('kms_keys_name')} on ${keys} (name)`,
      `create index ${index('kms_keys_external')} on ${keys} (external_id)`,
      `create table ${copies} (${place},
        status varchar(16) not null check (status in ('creating', 'deleting')),
        primary key (tenant_id, key_id, name)
      )`,
      `create index ${index('kms_key_copies_provider')} on ${copies} (provider_id, tenant_id, key_id, name)`,
      `create index ${index('kms_key_copies_name')} on ${copies} (name)`,
      `create index ${index('kms_key_copies_external')} on ${copies} (external_id)`,
      `create table ${softwareKeys} (
        tenant_id varchar(255) not null,
        provider_id varchar(64) not null,
        external_id varchar(64) not null,
        alg varchar(16) not null,
        public_jwk ${t.json} not null,
        root_kid varchar(64) not null,
        wrapped_key ${t.bytes} not null,
        sealed_key ${t.bytes} not null,
        created_at ${t.timestamp} not null,
        primary key (tenant_id, provider_id, external_id)
      )`,
      // keys of all tenants of one provider, in pages
      `create index ${index('kms_software_keys_provider')} on ${softwareKeys} (provider_id, tenant_id, external_id)`,
      // what is still under a root key
      `create index ${index('kms_software_keys_root')} on ${softwareKeys} (root_kid, tenant_id, provider_id, external_id)`,
    ];
  },
};

export const MIGRATIONS: readonly Migration[] = [initial];

export async function apply(trx: Knex, database: Database, tables: KmsTables, migration: Migration): Promise<void> {
  for (const statement of migration.statements(database, tables)) await trx.raw(statement);
}

export async function undo(trx: Knex, tables: KmsTables, migration: Migration): Promise<void> {
  for (const table of migration.tables.toReversed()) await trx.raw(`drop table ${quoted(tables[table])}`);
}
