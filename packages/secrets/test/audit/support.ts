import type { SecretStore, SecretStoreOptions } from '@keywright/secrets';
import { type AuditSigner, type GeneratedAuditSigner, generateAuditSigner } from '@keywright/secrets/audit';
import type { TestEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { type Fixture, openFixture } from '../support.ts';

export const SIGNING: GeneratedAuditSigner = generateAuditSigner('example.com/audit');
export const SIGNER: AuditSigner = SIGNING.signer;
export const VERIFIER_KEY: string = SIGNING.verifierKey;

/** A store whose log is sealed by a key of the test's. */
export async function openSealed(engine: TestEngine, options: Partial<SecretStoreOptions> = {}): Promise<Fixture> {
  return await openFixture(engine, { ...options, audit: { signer: SIGNER, ...options.audit } });
}

/** Another process on the same database. */
export function another(fixture: Fixture, signer: AuditSigner = SIGNER): SecretStore {
  return fixture.reopen(fixture.root, { audit: { signer } });
}

const AT_ONCE = 20;

/** Writes `count` audit rows of a tenant, in about this order, every other one with a request. */
export async function act(store: SecretStore, tenantId: string, count: number): Promise<void> {
  const one = async (index: number): Promise<void> => {
    const request = { ip: `203.0.113.${index % 250}` };
    const options = index % 2 === 0 ? { actor: 'user:1', request } : { actor: 'user:2' };
    await store.tenant(tenantId, options).exists(`name ${index}`);
  };
  for (let first = 0; first < count; first += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, index) => one(first + index)));
  }
}

const TABLES = [
  'secret_audit_log',
  'secret_audit_tree',
  'secret_audit_leaves',
  'secret_audit_checkpoints',
  'secret_audit_sinks',
];

/** Runs `work`, then puts the whole log back as it was. */
export async function undone<T>(knex: Knex, work: () => Promise<T>): Promise<T> {
  for (const table of TABLES) await knex.raw('create table ?? as select * from ??', [`undo_${table}`, table]);
  try {
    return await work();
  } finally {
    for (const table of TABLES) {
      await knex(table).delete();
      await knex.raw('insert into ?? select * from ??', [table, `undo_${table}`]);
      await knex.schema.dropTable(`undo_${table}`);
    }
  }
}

export async function lines(source: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const line of source) all.push(line);
  return all;
}

/** Rows of the log in the order of their leaves. */
export async function sealedRows(knex: Knex): Promise<readonly SealedRow[]> {
  const rows = (await knex('secret_audit_log').whereNotNull('leaf_index').orderBy('leaf_index')) as SealedRow[];
  return rows.map((row) => Object.assign(row, { leaf_index: Number(row.leaf_index) }));
}

export interface SealedRow extends Record<string, unknown> {
  readonly tenant_id: string;
  readonly id: string;
  readonly action: string;
  readonly context: string;
  readonly leaf_index: number;
}
