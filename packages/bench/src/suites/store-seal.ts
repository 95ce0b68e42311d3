import type { LoadContender, LoadSuite } from '../load/suite.ts';
import { bareSeal } from '../store/bare-seal.ts';
import { BARE, openStoreDatabase, type StoreDatabase } from '../store/database.ts';
import { loadSecrets, secretName, tenantName } from '../store/load.ts';

const BARE_NAME = 'bare pg';
const PER_TENANT = 500;
const SIZES = { full: { tenants: 20, calls: 40 }, quick: { tenants: 2, calls: 2 } } as const;

const about = `The audit rows of 20,000 reads get their places in the log's tree, and the tree is signed. Counted are rows; new ones are
written before each slice, out of the figures.

- **${BARE_NAME}**, the baseline: reads as many rows with the same columns, in batches as large, makes a SHA-256 over the fields of
  each and numbers a batch by one \`UPDATE\`. It keeps no hash, checks no MAC and takes no lease.
- **keywright**: \`store.audit.seal()\`: every row's MAC checked, its leaf hashed and put into the tree's tiles, a checkpoint
  signed with Ed25519, under a lease.`;

/** Sealing of the audit log against hashing and numbering its rows. */
export const storeSeal: LoadSuite = {
  kind: 'load',
  name: 'store-seal',
  title: 'Audit log: sealing',
  about,
  operations: 'rows',
  rounds: 7,
  sliceMs: 1000,

  async open({ serverUrl, size, progress }) {
    const db = await openStoreDatabase(serverUrl);
    const { tenants, calls } = SIZES[size];
    await loadSecrets(db, tenants, PER_TENANT, progress);
    const rows = calls * PER_TENANT;
    return {
      cases: [
        {
          name: `${rows.toLocaleString('en')} rows`,
          callers: 1,
          once: true,
          contenders: [bare(db, rows), keywright(db, tenants, calls)],
        },
      ],
      facts: `${rows.toLocaleString('en')} rows in a slice.`,
      close: db.close,
    };
  },
};

function bare(db: StoreDatabase, rows: number): LoadContender {
  const columns =
    'at, actor, action, secret_id, secret_name, version, outcome, context, payload, salt, payload_hash, mac';
  // As the store wrote them, under ids in the order of time.
  const before = async (): Promise<void> => {
    await db.knex.raw(
      `insert into ${BARE}.secret_audit_log (tenant_id, id, ${columns})
        select tenant_id, uuidv7(), ${columns} from secret_audit_log where action = 'secret.get' limit ?`,
      [rows],
    );
  };
  return {
    name: BARE_NAME,
    role: 'baseline',
    operations: rows,
    before,
    call: () => bareSeal(db.pg),
    check: async () => {
      await read(db, 1, Math.ceil(rows / PER_TENANT));
      await before();
      const sealed = await bareSeal(db.pg);
      if (sealed !== rows) throw new Error(`${sealed} rows were numbered, of ${rows}.`);
    },
  };
}

function keywright(db: StoreDatabase, tenants: number, calls: number): LoadContender {
  return {
    name: 'keywright',
    role: 'subject',
    operations: calls * PER_TENANT,
    before: () => read(db, tenants, calls),
    call: () => db.store.audit.seal(),
    check: async () => {
      await db.store.audit.seal();
      await read(db, tenants, calls);
      const { sealed, forged } = await db.store.audit.seal();
      if (sealed !== calls * PER_TENANT || forged > 0) throw new Error(`${sealed} rows were sealed, ${forged} forged.`);
      const { intact } = await db.store.audit.verify();
      if (!intact) throw new Error('The log does not verify.');
    },
    budgets: [{ measure: 'throughput', against: BARE_NAME, least: 0.5 }],
  };
}

/** Writes audit rows, by reading secrets. */
async function read(db: StoreDatabase, tenants: number, calls: number): Promise<void> {
  const names = Array.from({ length: PER_TENANT }, (_, index) => secretName(index));
  for (let call = 0; call < calls; call++) {
    await db.store.tenant(tenantName(call % tenants), { actor: 'bench' }).getMany(names);
  }
}
