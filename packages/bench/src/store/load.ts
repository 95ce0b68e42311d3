import { Fixtures } from '../fixtures.ts';
import type { StoreDatabase } from './database.ts';
import { insertSecrets, secretRows, tenantKey } from './rows.ts';

/** Where a secret is, for whoever reads it. */
export interface Address {
  readonly tenant: string;
  readonly name: string;
}

const BATCH = 1000;
const PROGRESS = 50_000;
const ACTOR = 'loader';

/** Fills a store with secrets that can be read; the tables have fresh statistics then. */
export async function loadSecrets(
  db: StoreDatabase,
  tenants: number,
  perTenant: number,
  progress: (line: string) => void,
): Promise<readonly Address[]> {
  const addresses: Address[] = [];
  await makeTenants(db, tenants);
  for (let index = 0; index < tenants; index++) {
    addresses.push(...(await loadTenant(db, tenantName(index), perTenant)));
    if (addresses.length % PROGRESS < perTenant)
      progress(`  ${addresses.length.toLocaleString('en')} secrets encrypted`);
  }
  await db.knex.raw('vacuum analyze');
  return addresses;
}

/** Tenants with their keys, by a first secret of each. */
export async function makeTenants({ store }: StoreDatabase, tenants: number): Promise<void> {
  for (let index = 0; index < tenants; index++) {
    await store.tenant(tenantName(index), { actor: ACTOR }).save('first', 'made by the store');
  }
}

/** Secrets of a tenant that has its key. */
export async function loadTenant(
  { knex, root }: StoreDatabase,
  tenant: string,
  secrets: number,
): Promise<readonly Address[]> {
  const fixtures = new Fixtures(secrets);
  const kek = await tenantKey(knex, root, tenant);
  const addresses: Address[] = [];
  for (let from = 0; from < secrets; from += BATCH) {
    const rows = Array.from({ length: Math.min(BATCH, secrets - from) }, (_, place) =>
      secretRows(kek, tenant, secretName(from + place), fixtures),
    );
    await insertSecrets(knex, tenant, kek.activeKid, rows);
    for (const { name } of rows) addresses.push({ tenant, name });
  }
  return addresses;
}

export function tenantName(index: number): string {
  return `tenant-${String(index).padStart(6, '0')}`;
}

export function secretName(index: number): string {
  return `connection-${String(index).padStart(8, '0')}`;
}
