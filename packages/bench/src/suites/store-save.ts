import { Fixtures } from '../fixtures.ts';
import type { Budget, LoadCase, LoadContender, LoadSuite } from '../load/suite.ts';
import { type BareTenant, bareInsert, bareUpdate, type StoredBytes } from '../store/bare-save.ts';
import { BARE, CONNECTIONS, openStoreDatabase, type StoreDatabase } from '../store/database.ts';
import { secretName, tenantName } from '../store/load.ts';

const BARE_NAME = 'bare pg';
const ACTOR = 'bench';
const SIZES = { full: { tenants: 100, perTenant: 100 }, quick: { tenants: 2, perTenant: 5 } } as const;
const VALUE = new Fixtures(256).credentials(256);
const BUDGETS: readonly Budget[] = [{ measure: 'throughput', against: BARE_NAME, least: 0.7 }];

const about = `A value of 256 bytes is saved, without a transaction of the caller's. Pools have ${CONNECTIONS} connections.

- **${BARE_NAME}**, the baseline: prepared statements of \`pg\` that write the same rows, as many bytes of them, to tables of the
  same definition with the same indexes and foreign keys. A new secret is a transaction of three inserts: secret, version,
  audit row. A new version is one of an update, which also finds the secret and counts its version up, and two inserts.
  Nothing is encrypted, and nothing is looked at before it is replaced.
- **keywright**: \`tenant.save(name, value)\`: the value under a new key, that under the tenant's key, MACs over the secret's
  pointers and over the audit row; an older row that somebody put back is noticed before it is replaced.`;

interface Setting {
  readonly db: StoreDatabase;
  readonly tenants: readonly BareTenant[];
  readonly perTenant: number;
  readonly bytes: StoredBytes;
}

/** Saves against the statements that they come down to. */
export const storeSave: LoadSuite = {
  kind: 'load',
  name: 'store-save',
  title: 'Secrets: save',
  about,
  operations: 'saves',
  rounds: 7,
  sliceMs: 1000,

  async open({ serverUrl, size }) {
    const db = await openStoreDatabase(serverUrl);
    const setting = await prepare(db, SIZES[size].tenants, SIZES[size].perTenant);
    return {
      cases: [
        ...[1, 16, 64].map((callers) => saveCase(setting, 'new secrets', callers)),
        ...[1, 16, 64].map((callers) => saveCase(setting, 'new versions', callers)),
      ],
      facts: `${setting.tenants.length} tenants, new versions of ${setting.tenants.length * setting.perTenant} secrets.`,
      close: db.close,
    };
  },
};

/** The tenants and the secrets that get new versions, by the store; then the same rows for what is bare. */
async function prepare(db: StoreDatabase, tenants: number, perTenant: number): Promise<Setting> {
  const { knex, store } = db;
  for (let tenant = 0; tenant < tenants; tenant++) {
    const secrets = store.tenant(tenantName(tenant), { actor: ACTOR });
    await secrets.save(secretName(0), VALUE);
    await Promise.all(Array.from({ length: perTenant - 1 }, (_, index) => secrets.save(secretName(index + 1), VALUE)));
  }
  for (const table of ['secret_root_keys', 'secret_tenant_keys', 'secrets', 'secret_versions']) {
    await knex.raw('insert into ?? select * from ??', [`${BARE}.${table}`, table]);
  }
  await knex.raw('vacuum analyze');
  const first = (await knex('secrets')
    .join('secret_versions', 'secret_id', 'id')
    .first('binding', 'wrapped_dek', 'ciphertext')) as { binding: Buffer; wrapped_dek: Buffer; ciphertext: Buffer };
  const audit = (await knex('secret_audit_log').first('mac')) as { mac: Buffer };
  const keys = (await knex('secret_tenant_keys').whereLike('tenant_id', 'tenant-%').select('tenant_id', 'kek_id')) as {
    tenant_id: string;
    kek_id: string;
  }[];
  return {
    db,
    perTenant,
    tenants: keys.map((key) => ({ tenant: key.tenant_id, kekId: key.kek_id })),
    bytes: { binding: first.binding, wrappedDek: first.wrapped_dek, ciphertext: first.ciphertext, mac: audit.mac },
  };
}

type Kind = 'new secrets' | 'new versions';

function saveCase(setting: Setting, kind: Kind, callers: number): LoadCase {
  return {
    name: `${kind}, ${callers === 1 ? '1 caller' : `${callers} callers`}`,
    callers,
    contenders: [bare(setting, kind), keywright(setting, kind)],
  };
}

let made = 0;

function bare({ db, tenants, perTenant, bytes }: Setting, kind: Kind): LoadContender {
  const save = (): Promise<number> =>
    kind === 'new secrets'
      ? bareInsert(db.pg, pick(tenants), `new-${made++}`, bytes)
      : bareUpdate(db.pg, pick(tenants), secretName(Math.floor(Math.random() * perTenant)), bytes);
  return { name: BARE_NAME, role: 'baseline', call: save, check: () => checked(db, `${BARE}.`, save) };
}

function keywright({ db, tenants, perTenant }: Setting, kind: Kind): LoadContender {
  const save = async (): Promise<number> => {
    const tenant = db.store.tenant(pick(tenants).tenant, { actor: ACTOR });
    const name = kind === 'new secrets' ? `new-${made++}` : secretName(Math.floor(Math.random() * perTenant));
    return (await tenant.save(name, VALUE)).version;
  };
  return { name: 'keywright', role: 'subject', call: save, budgets: BUDGETS, check: () => checked(db, '', save) };
}

function pick<T>(items: readonly T[]): T {
  return items[Math.floor(Math.random() * items.length)] as T;
}

/** A save leaves one version and one audit row. */
async function checked({ knex }: StoreDatabase, schema: string, save: () => Promise<unknown>): Promise<void> {
  const counts = async (): Promise<number[]> =>
    await Promise.all(
      ['secret_versions', 'secret_audit_log'].map(async (table) =>
        Number((await knex(`${schema}${table}`).count({ count: '*' }))[0]?.count),
      ),
    );
  const before = await counts();
  await save();
  const written = (await counts()).map((count, index) => count - (before[index] ?? 0));
  if (written.some((count) => count !== 1)) throw new Error(`A save wrote ${written.join(' and ')} rows.`);
}
