import { testEngines } from '@keywright/testkit/engines';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Captured, captureStatements, type Sent } from './plans/capture.ts';
import { explainGeneric, explainPostgres, explainSqlite, type Plan } from './plans/explain.ts';
import { fillPostgres, fillSqlite } from './plans/filler.ts';
import type { Fixture } from './support.ts';

// A million take PostgreSQL longer to load than a test may; which index is chosen is settled long before.
const SECRETS = { postgres: 100_000, sqlite: 100_000 } as const;

/** Counts once, before it begins, the keys that it will go through; SQLite has no index for that, and needs none. */
const COUNTS_FIRST = 'rotation of the root key';

const NAME = 'secrets_name';
const ID = { postgres: 'secrets_pkey', sqlite: 'sqlite_autoindex_secrets_1' };
const VERSION = { postgres: 'secret_versions_pkey', sqlite: 'sqlite_autoindex_secret_versions_1' };
const AUDIT = { postgres: 'secret_audit_log_pkey', sqlite: 'sqlite_autoindex_secret_audit_log_1' };
const KEY = { postgres: 'secret_tenant_keys_pkey', sqlite: 'sqlite_autoindex_secret_tenant_keys_1' };

/** What each operation has to read by, among others. No operation may read a big table whole. */
const EXPECTED: Readonly<Record<string, readonly (string | Readonly<Record<Engine, string | undefined>>)[]>> = {
  'save, new': [NAME],
  'save, another version': [NAME],
  update: [NAME],
  rename: [NAME],
  'get by name': [NAME, VERSION],
  'get by id': [ID, VERSION],
  'get of a version': [NAME, VERSION],
  'get in a transaction': [NAME, VERSION],
  getMany: [NAME, VERSION],
  'absence check': [NAME, 'secrets_deleted_name'],
  exists: [NAME],
  versions: [VERSION],
  'list, first page': [NAME],
  'list, next page': [NAME],
  'list, numbered page': [NAME],
  'list by tags': [{ postgres: 'secrets_tags', sqlite: NAME }],
  'list by metadata': [{ postgres: 'secrets_metadata', sqlite: NAME }],
  'list of what has expired': [NAME],
  search: [NAME],
  delete: [NAME],
  'list of what was deleted': ['secrets_deleted_name'],
  restore: ['secrets_deleted_name'],
  'purge of what was deleted': [],
  'audit list': [AUDIT],
  'audit list, next page': [AUDIT],
  seal: ['secret_audit_log_unsealed'],
  verify: ['secret_audit_log_records', 'secret_audit_log_leaf', 'secret_audit_log_unsealed'],
  export: ['secret_audit_log_records', 'secret_audit_log_leaf'],
  prune: ['secret_audit_log_leaf'],
  'redaction of rows': [AUDIT],
  'rotation of a tenant key': ['secret_versions_kek', ID],
  'rotation of the root key': [KEY],
};

type Engine = keyof typeof SECRETS;

describe.for(testEngines())('plans on $name', (engine) => {
  const run = it.skipIf(!engine.available);
  let fixture: Fixture;
  let captured: Captured;
  let plansOf: (sent: Sent) => Promise<readonly Plan[]>;
  let client: pg.Client | undefined;

  beforeAll(async () => {
    if (!engine.available) return;
    ({ fixture, captured } = await captureStatements(engine));
    if (engine.name === 'sqlite') {
      await fillSqlite(fixture.knex, SECRETS.sqlite);
      plansOf = async (sent) => [await explainSqlite(fixture.knex, sent)];
      return;
    }
    await fillPostgres(fixture.knex, SECRETS.postgres);
    const connected = new pg.Client({ connectionString: fixture.url });
    await connected.connect();
    client = connected;
    plansOf = async (sent) => [
      await explainPostgres(connected, sent),
      ...(sent.prepared ? [await explainGeneric(connected, sent)] : []),
    ];
  });
  afterAll(async () => {
    await client?.end();
    await fixture?.close();
  });

  run.for(Object.entries(EXPECTED))('%s reads by index', async ([name, expected]) => {
    const statements = captured.get(name) ?? [];
    expect(statements.length).toBeGreaterThan(0);
    const plans: Plan[] = [];
    for (const sent of statements) {
      for (const plan of await plansOf(sent)) {
        if (name !== COUNTS_FIRST || engine.name === 'postgres') expect(plan.scanned, sent.sql).toEqual([]);
        plans.push(plan);
      }
    }
    const indexes = new Set(plans.flatMap((plan) => plan.indexes));
    for (const one of expected) {
      const index = typeof one === 'string' ? one : one[engine.dialect];
      if (index !== undefined) expect([...indexes]).toContain(index);
    }
  });

  run('finds a statement that reads a table whole', async () => {
    const sent = { sql: "select count(*) from secrets where description = 'x'", bindings: [], prepared: false };
    expect((await plansOf(sent))[0]?.scanned).toEqual(['secrets']);
  });

  run('prepared statements are explained as such where there are any', () => {
    const prepared = (captured.get('get by name') ?? []).some((sent) => sent.prepared);
    expect(prepared).toBe(engine.name === 'postgres');
  });
});
