import { type LoadCaseResult, measureLoad } from '../../load/measure.ts';
import { loadSlice } from '../../load/slice.ts';
import type { LoadCase, LoadContender } from '../../load/suite.ts';
import { openStoreDatabase, type StoreDatabase } from '../../store/database.ts';
import { fillSecrets } from '../../store/filler.ts';
import { type Address, loadSecrets, loadTenant, makeTenants, tenantName } from '../../store/load.ts';

export interface SizeOptions {
  readonly serverUrl: string;
  /** Secrets of the small store, and those of the large one that are read. */
  readonly read: number;
  /** Secrets of the large store. */
  readonly secrets: number;
  readonly rounds: number;
  readonly sliceMs: number;
  readonly progress: (line: string) => void;
}

export interface SizeResult {
  readonly read: number;
  readonly secrets: number;
  /** Bytes of the large database. */
  readonly bytes: number;
  readonly cases: readonly LoadCaseResult[];
}

/** The most that the median latency may be, as a multiple of that of the small store. */
export const MAX_RATIO = 1.3;

const TENANTS = 20;
const SMALL = 'small';

/** Reads the same number of secrets from a small store and from a large one, in turns. */
export async function measureSize(options: SizeOptions): Promise<SizeResult> {
  const { serverUrl, read, secrets, rounds, sliceMs, progress } = options;
  const perTenant = read / TENANTS;
  const [small, large] = [await openStoreDatabase(serverUrl), await openStoreDatabase(serverUrl)];
  try {
    const addresses = await loadSecrets(small, TENANTS, perTenant, progress);
    await fillLarge(large, secrets, perTenant, progress);
    for (const db of [small, large]) await getOf(db, addresses).check();
    const measured: LoadCaseResult[] = [];
    for (const callers of [1, 16]) {
      progress(`${callers} callers`);
      measured.push(await measureLoad(caseOf(small, large, addresses, callers), { rounds, sliceMs, slice: loadSlice }));
    }
    const { rows } = (await large.knex.raw('select pg_database_size(current_database())::float8 as bytes')) as {
      rows: readonly { bytes: number }[];
    };
    return { read, secrets, bytes: rows[0]?.bytes ?? 0, cases: measured };
  } finally {
    await small.close();
    await large.close();
  }
}

/** A tenant after each part, so that what is read lies among the rest. */
async function fillLarge(
  db: StoreDatabase,
  secrets: number,
  perTenant: number,
  progress: (line: string) => void,
): Promise<void> {
  // The tenants' keys and first secrets, by the store, while it still has its indexes.
  await makeTenants(db, TENANTS);
  let loaded = 0;
  await fillSecrets(
    db.knex,
    secrets,
    async (share) => {
      const until = Math.round(share * TENANTS);
      for (; loaded < until; loaded++) await loadTenant(db, tenantName(loaded), perTenant);
    },
    progress,
  );
}

function caseOf(small: StoreDatabase, large: StoreDatabase, addresses: readonly Address[], callers: number): LoadCase {
  return {
    name: `${callers} ${callers === 1 ? 'caller' : 'callers'}`,
    callers,
    contenders: [
      { ...getOf(small, addresses), name: SMALL, role: 'baseline' },
      {
        ...getOf(large, addresses),
        name: 'large',
        role: 'subject',
        budgets: [{ measure: 'p50', against: SMALL, most: MAX_RATIO }],
      },
    ],
  };
}

function getOf({ store }: StoreDatabase, addresses: readonly Address[]): Pick<LoadContender, 'call' | 'check'> {
  const get = ({ tenant, name }: Address) => store.tenant(tenant, { actor: 'bench' }).get(name);
  return {
    call: () => get(addresses[Math.floor(Math.random() * addresses.length)] as Address),
    // Every one of them: what was loaded beside the filler is there and opens, and every key is in memory.
    check: async () => {
      for (const address of addresses) await get(address);
    },
  };
}
