import type { SecretStore } from '@keywright/secrets';
import type { Knex } from 'knex';
import type { Budget, LoadCase, LoadContender, LoadSuite } from '../load/suite.ts';
import { bareGet, usualGet } from '../store/bare.ts';
import { BARE, CONNECTIONS, openStoreDatabase, type StoreDatabase } from '../store/database.ts';
import { type Address, loadSecrets } from '../store/load.ts';

const BARE_NAME = 'bare pg';
const USUAL_NAME = 'usual knex';
const ACTOR = 'bench';
const SIZES = { full: { tenants: 200, perTenant: 1000 }, quick: { tenants: 3, perTenant: 20 } } as const;
/** Gets that a caller does in one transaction before it commits and begins another. */
const GETS_PER_TRANSACTION = 100;

const throughput = (least: number, against: string = BARE_NAME): Budget => ({ measure: 'throughput', against, least });
const median = (most: number): Budget => ({ measure: 'p50', against: BARE_NAME, most });

/** What the store has to reach, by callers. */
const BUDGETS: Readonly<Record<number, readonly Budget[]>> = {
  1: [median(1.25)],
  16: [],
  64: [throughput(2), throughput(8, USUAL_NAME), median(1)],
  256: [throughput(3), throughput(8, USUAL_NAME), median(1)],
};

const about = `A secret by its name, the read audited before it is handed out. Which of the 200,000 secrets is random; their 200 tenants'
keys are in memory. Pools have ${CONNECTIONS} connections.

- **${BARE_NAME}**, the baseline: one prepared statement of \`pg\` that selects the columns that the store selects, from the
  same tables, and inserts an audit row of the same columns into a table with the same indexes. Nothing is decrypted, no
  MAC is made or checked.
- **${USUAL_NAME}**: what is usually written: a knex transaction with a select of two joins and an insert. Nothing is decrypted.
- **keywright**: \`tenant.get(name)\`: the secret's key and its value decrypted, its pointers' MAC checked, the audit row
  under a MAC.
- **keywright, no prepared statements**: with \`preparedStatements: false\`, for poolers that cannot hold them.
- **keywright under RLS**: with PostgreSQL's row-level security, as a role that sees one tenant at a time.
- **keywright in transactions**: every caller has its own open transaction, in which it reads ${GETS_PER_TRANSACTION} secrets before it
  commits. Audit rows are committed beside it, by the store's own connections.`;

/** Reads with their audit rows, against the database without a store. */
export const storeGet: LoadSuite = {
  kind: 'load',
  name: 'store-get',
  title: 'Secrets: get',
  about,
  operations: 'gets',
  rounds: 7,
  sliceMs: 1000,

  async open({ serverUrl, size, progress }) {
    const db = await openStoreDatabase(serverUrl);
    const { tenants, perTenant } = SIZES[size];
    const addresses = await loadSecrets(db, tenants, perTenant, progress);
    const stores: Stores = {
      plain: { store: db.store, knex: db.knex },
      unprepared: db.reopen({ preparedStatements: false }),
      secured: await db.secure(),
    };
    return {
      cases: [
        ...[1, 16, 64, 256].map((callers) => poolCase(db, stores, addresses, callers)),
        transactionCase(db, stores, addresses),
      ],
      facts: `${addresses.length.toLocaleString('en')} secrets of 256 bytes.`,
      close: db.close,
    };
  },
};

interface Stores {
  readonly plain: OnKnex;
  readonly unprepared: SecretStore;
  readonly secured: OnKnex;
}

interface OnKnex {
  readonly store: SecretStore;
  readonly knex: Knex;
}

function poolCase(db: StoreDatabase, stores: Stores, addresses: readonly Address[], callers: number): LoadCase {
  return {
    name: `${callers} ${callers === 1 ? 'caller' : 'callers'}`,
    callers,
    contenders: [
      bare(db, addresses),
      usual(db, addresses),
      { ...keywright(db, db.store, addresses), name: 'keywright', budgets: BUDGETS[callers] ?? [] },
      { ...keywright(db, stores.secured.store, addresses), name: 'keywright under RLS', budgets: [throughput(0.45)] },
      { ...keywright(db, stores.unprepared, addresses), name: 'keywright, no prepared statements' },
    ],
  };
}

function transactionCase(db: StoreDatabase, { plain, secured }: Stores, addresses: readonly Address[]): LoadCase {
  return {
    name: `${CONNECTIONS} transactions`,
    callers: CONNECTIONS,
    contenders: [
      bare(db, addresses),
      { ...inTransactions(db, plain, addresses), name: 'keywright in transactions', budgets: [throughput(0.6)] },
      { ...inTransactions(db, secured, addresses), name: 'the same under RLS', budgets: [throughput(0.45)] },
    ],
  };
}

function bare(db: StoreDatabase, addresses: readonly Address[]): LoadContender {
  return {
    name: BARE_NAME,
    role: 'baseline',
    call: () => bareGet(db.pg, pick(addresses)),
    check: () => checked(db.knex, `${BARE}.secret_audit_log`, async (at) => (await bareGet(db.pg, at)).name, addresses),
  };
}

function usual(db: StoreDatabase, addresses: readonly Address[]): LoadContender {
  return {
    name: USUAL_NAME,
    role: 'peer',
    call: () => usualGet(db.knex, pick(addresses)),
    check: () =>
      checked(db.knex, `${BARE}.secret_audit_log`, async (at) => (await usualGet(db.knex, at)).name, addresses),
  };
}

function keywright(db: StoreDatabase, store: SecretStore, addresses: readonly Address[]): Omit<LoadContender, 'name'> {
  const get = (at: Address) => store.tenant(at.tenant, { actor: ACTOR }).get(at.name);
  return {
    role: 'subject',
    call: () => get(pick(addresses)),
    check: async () => {
      // every tenant's key comes into memory
      for (const at of firstOfEachTenant(addresses)) await get(at);
      await checked(db.knex, 'secret_audit_log', async (at) => nameOf(await get(at)), addresses);
    },
  };
}

function inTransactions(
  db: StoreDatabase,
  { store, knex }: OnKnex,
  addresses: readonly Address[],
): Omit<LoadContender, 'name'> {
  const open = new Map<number, { trx: Knex.Transaction; gets: number }>();
  const get = async (caller: number, at: Address) => {
    let own = open.get(caller);
    if (own === undefined) {
      own = { trx: await knex.transaction(), gets: 0 };
      open.set(caller, own);
    }
    const secret = await store.tenant(at.tenant, { actor: ACTOR, trx: own.trx }).get(at.name);
    if (++own.gets === GETS_PER_TRANSACTION) {
      open.delete(caller);
      await own.trx.commit();
    }
    return secret;
  };
  const after = async (): Promise<void> => {
    await Promise.all([...open.values()].map(({ trx }) => trx.commit()));
    open.clear();
  };
  return {
    role: 'subject',
    call: (caller) => get(caller, pick(addresses)),
    after,
    check: async () => {
      await checked(db.knex, 'secret_audit_log', async (at) => nameOf(await get(0, at)), addresses);
      await after();
    },
  };
}

function pick(addresses: readonly Address[]): Address {
  return addresses[Math.floor(Math.random() * addresses.length)] as Address;
}

function firstOfEachTenant(addresses: readonly Address[]): readonly Address[] {
  return [...new Map(addresses.map((address) => [address.tenant, address])).values()];
}

/** The value has to be the loader's: what the store decrypted. */
function nameOf({ name, value }: { readonly name: string; readonly value: unknown }): string {
  return (value as { provider?: unknown }).provider === 'acme' ? name : 'another value';
}

/** A read has to find its secret and leave one audit row. */
async function checked(
  knex: Knex,
  auditTable: string,
  read: (at: Address) => Promise<string>,
  addresses: readonly Address[],
): Promise<void> {
  const rows = async (): Promise<number> => Number((await knex(auditTable).count({ count: '*' }))[0]?.count);
  const at = pick(addresses);
  const before = await rows();
  const name = await read(at);
  if (name !== at.name) throw new Error(`"${at.name}" was asked for, and "${name}" came.`);
  const written = (await rows()) - before;
  if (written !== 1) throw new Error(`${written} audit rows were written for one read.`);
}
