import type { Knex } from 'knex';
import type { Dialect } from '../dialects/dialect.ts';
import { quoted as name, type Tables } from '../tables.ts';
import type { Migration } from './migration.ts';

/** Descriptions and tags, the sealed audit log, leases of long work, and the change feed. */
export const complete: Migration = {
  name: '002-complete',
  losses: [
    { table: 'secrets', where: 'description is not null or tags is not null' },
    // what going up again would not find: its first version is gone
    {
      table: 'secrets',
      where: (tables) => `created_by is not null and created_by is distinct from ${firstCreator(tables)}`,
    },
    { table: 'auditLog', where: 'leaf_index is not null' },
    { table: 'auditTree' },
    { table: 'auditLeaves' },
    { table: 'auditCheckpoints' },
    { table: 'auditSinks' },
    { table: 'changes' },
    { table: 'leases', where: 'holder is not null or state is not null' },
  ],

  async up(trx: Knex, dialect: Dialect, tables: Tables): Promise<void> {
    await dialect.refuseBlindness(trx, tables.secrets); // it fills a column
    for (const statement of statements(dialect, tables)) await trx.raw(statement);
    if (dialect.name === 'postgres') for (const statement of filterIndexes(tables)) await trx.raw(statement);
  },

  async down(trx: Knex, dialect: Dialect, tables: Tables): Promise<void> {
    const { changes, leases, auditSinks, auditCheckpoints, auditLeaves, auditTree } = tables;
    for (const table of [changes, leases, auditSinks, auditCheckpoints, auditLeaves, auditTree]) {
      await trx.raw(`drop table ${name(table)}`);
    }
    const indexes = [
      'secret_audit_log_records',
      'secret_audit_log_unsealed',
      'secret_audit_log_leaf',
      'secret_versions_kek',
    ];
    const filters = dialect.name === 'postgres' ? ['secrets_tags', 'secrets_metadata'] : [];
    for (const index of [...indexes, ...filters]) {
      const plain = tables.plain(index);
      await trx.raw(`drop index ${name(tables.schema === undefined ? plain : `${tables.schema}.${plain}`)}`);
    }
    for (const column of ['description', 'tags', 'created_by']) {
      await trx.raw(`alter table ${name(tables.secrets)} drop column ${column}`);
    }
    // Places in a tree that is gone. Another tree would count rows from 0 again.
    await dialect.refuseBlindness(trx, tables.auditLog);
    await trx.raw(`update ${name(tables.auditLog)} set leaf_index = null where leaf_index is not null`);
  },
};

function statements({ types: t, name: engine }: Dialect, tables: Tables): readonly string[] {
  const index = (suffix: string): string => `"${tables.plain(suffix)}"`;
  // What orders changes as they were committed: the transaction's id, or SQLite's only writer's count.
  const position = engine === 'postgres' ? 'xid8 not null default pg_current_xact_id()' : t.rowCount;
  const changesKey = engine === 'postgres' ? ', primary key (tenant_id, id)' : '';
  return [
    `alter table ${name(tables.secrets)} add column description varchar(1024)`,
    `alter table ${name(tables.secrets)} add column tags ${t.json}`,
    `alter table ${name(tables.secrets)} add column created_by varchar(255)`,
    `update ${name(tables.secrets)} set created_by = ${firstCreator(tables)}`,
    // what still needs a tenant key: its rotation, and whether it may be destroyed
    `create index ${index('secret_versions_kek')} on ${name(tables.versions)} (tenant_id, kek_id, secret_id, version)`,
    // what the sealer takes next; a row leaves it when it is sealed
    `create index ${index('secret_audit_log_unsealed')} on ${name(tables.auditLog)} (id) where leaf_index is null`,
    // the log in the order of its tree: verification, export, retention
    `create unique index ${index('secret_audit_log_leaf')} on ${name(tables.auditLog)} (leaf_index)
      where leaf_index is not null`,
    // which payloads were erased and up to where the log was pruned: verification asks before it reads the log
    `create index ${index('secret_audit_log_records')} on ${name(tables.auditLog)} (tenant_id, id)
      where action in ('audit.prune', 'audit.redact')`,
    // one row: how far the log is sealed, and from where on its rows are still there
    `create table ${name(tables.auditTree)} (
      id smallint primary key check (id = 1),
      size bigint not null,
      pruned bigint not null,
      updated_at ${t.timestamp} not null
    )`,
    // hashes of the tree in tiles of 256: of leaves at level 0, of whole tiles of the level below above that
    `create table ${name(tables.auditLeaves)} (
      level smallint not null,
      tile bigint not null,
      hashes ${t.bytes} not null,
      primary key (level, tile)
    )`,
    `create table ${name(tables.auditCheckpoints)} (
      tree_size bigint primary key,
      root_hash ${t.bytes} not null,
      note text not null,
      created_at ${t.timestamp} not null
    )`,
    // how far each sink has been given the log
    `create table ${name(tables.auditSinks)} (
      name varchar(64) primary key,
      next_leaf bigint not null,
      updated_at ${t.timestamp} not null
    )`,
    // one holder of each piece of long work; the fence rises with every holder
    `create table ${name(tables.leases)} (
      name varchar(255) primary key,
      holder ${t.uuid},
      fence bigint not null,
      expires_at ${t.timestamp} not null,
      state text
    )`,
    `create table ${name(tables.changes)} (
      position ${position},
      tenant_id varchar(255) not null,
      id ${t.uuid} not null,
      at ${t.timestamp} not null,
      kind varchar(16) not null,
      secret_id ${t.uuid} not null,
      secret_name varchar(255) not null,
      previous_name varchar(255),
      version integer not null
      ${changesKey}
    )`,
    // what watches read, and what is trimmed
    `create index ${index('secret_changes_position')} on ${name(tables.changes)} (position, id)`,
  ];
}

/** Who saved the first version of a secret that is left. */
function firstCreator(tables: Tables): string {
  return `(select v.created_by from ${name(tables.versions)} as v
    where v.tenant_id = ${name(tables.secrets)}.tenant_id and v.secret_id = ${name(tables.secrets)}.id order by v.version limit 1)`;
}

/** For filters by tag and metadata; secrets without them cost nothing. SQLite looks through the tenant's secrets. */
function filterIndexes(tables: Tables): readonly string[] {
  const index = (suffix: string): string => `"${tables.plain(suffix)}"`;
  return [
    `create index ${index('secrets_tags')} on ${name(tables.secrets)} using gin (tags jsonb_path_ops)
      where tags is not null`,
    `create index ${index('secrets_metadata')} on ${name(tables.secrets)} using gin (metadata jsonb_path_ops)
      where metadata <> '{}'`,
  ];
}
