import type { Knex } from 'knex';
import type { Dialect } from '../dialects/dialect.ts';
import { quoted as name, type Tables } from '../tables.ts';
import type { Migration } from './migration.ts';

/** Root keys, tenant keys, secrets, versions, audit log. The tenant leads every key, so the tables can be sharded. */
export const initial: Migration = {
  name: '001-initial',
  losses: [
    { table: 'secrets' },
    { table: 'versions' },
    { table: 'tenantKeys' },
    { table: 'rootKeys' },
    { table: 'auditLog' },
  ],

  async up(trx: Knex, dialect: Dialect, tables: Tables): Promise<void> {
    for (const statement of statements(dialect, tables)) await trx.raw(statement);
  },

  async down(trx: Knex, _dialect: Dialect, tables: Tables): Promise<void> {
    // those that refer to others first
    for (const table of [tables.versions, tables.secrets, tables.tenantKeys, tables.rootKeys, tables.auditLog]) {
      await trx.raw(`drop table ${name(table)}`);
    }
  },
};

function statements({ types: t }: Dialect, tables: Tables): readonly string[] {
  const index = (suffix: string): string => `"${tables.plain(suffix)}"`;
  return [
    `create table ${name(tables.rootKeys)} (
      kid varchar(64) primary key,
      provider varchar(64) not null,
      status varchar(16) not null check (status in ('active', 'retired')),
      check_value ${t.bytes} not null,
      created_at ${t.timestamp} not null,
      rotating_at ${t.timestamp}
    )`,
    `create table ${name(tables.tenantKeys)} (
      tenant_id varchar(255) not null,
      kek_id ${t.uuid} not null,
      wrapped ${t.bytes},
      root_kid varchar(64) not null references ${name(tables.rootKeys)} (kid),
      status varchar(16) not null check (status in ('active', 'decrypt-only', 'disabled', 'destroyed')),
      created_at ${t.timestamp} not null,
      destroyed_at ${t.timestamp},
      primary key (tenant_id, kek_id)
    )`,
    // at most one key to write with, whatever races
    `create unique index ${index('secret_tenant_keys_active')} on ${name(tables.tenantKeys)} (tenant_id)
      where status = 'active'`,
    // which root keys are in use
    `create index ${index('secret_tenant_keys_root')} on ${name(tables.tenantKeys)} (root_kid)
      where status <> 'destroyed'`,
    `create table ${name(tables.secrets)} (
      tenant_id varchar(255) not null,
      id ${t.uuid} not null,
      name varchar(255) not null,
      auth_type varchar(64),
      metadata ${t.json} not null,
      current_version integer not null check (current_version > 0),
      binding ${t.bytes} not null,
      cas_required ${t.boolean} not null default false,
      max_versions integer,
      expires_at ${t.timestamp},
      created_at ${t.timestamp} not null,
      updated_at ${t.timestamp} not null,
      is_deleted ${t.boolean} not null default false,
      deleted_at ${t.timestamp},
      primary key (tenant_id, id)
    )`,
    // get by name, list by name
    `create unique index ${index('secrets_name')} on ${name(tables.secrets)} (tenant_id, name) where not is_deleted`,
    // whether a name that is not found was hidden by an edit
    `create index ${index('secrets_deleted_name')} on ${name(tables.secrets)} (tenant_id, name, id) where is_deleted`,
    `create table ${name(tables.versions)} (
      tenant_id varchar(255) not null,
      secret_id ${t.uuid} not null,
      version integer not null check (version > 0),
      kek_id ${t.uuid} not null,
      wrapped_dek ${t.bytes},
      ciphertext ${t.bytes},
      created_at ${t.timestamp} not null,
      created_by varchar(255) not null,
      expires_at ${t.timestamp},
      destroyed_at ${t.timestamp},
      primary key (tenant_id, secret_id, version),
      foreign key (tenant_id, secret_id) references ${name(tables.secrets)} (tenant_id, id),
      foreign key (tenant_id, kek_id) references ${name(tables.tenantKeys)} (tenant_id, kek_id)
    )`,
    // ids are UUIDv7, so the primary key is also the order of time
    `create table ${name(tables.auditLog)} (
      tenant_id varchar(255) not null,
      id ${t.uuid} not null,
      at ${t.timestamp} not null,
      actor varchar(255) not null,
      action varchar(64) not null,
      secret_id ${t.uuid},
      secret_name varchar(255),
      version integer,
      outcome varchar(16) not null check (outcome in ('success', 'refused')),
      context text not null,
      payload ${t.bytes},
      salt ${t.bytes},
      payload_hash ${t.bytes},
      mac ${t.bytes} not null,
      leaf_index bigint,
      primary key (tenant_id, id)
    )`,
  ];
}
