import type { LoadContender, LoadSuite } from '../load/suite.ts';
import { openStoreDatabase } from '../store/database.ts';
import { loadSecrets, secretName, tenantName } from '../store/load.ts';

const ACTOR = 'bench';
const MANY = 100;
const SIZES = { full: { tenants: 20, perTenant: 1000 }, quick: { tenants: 2, perTenant: 150 } } as const;
const ONE_BY_ONE = 'one by one';

const about = `${MANY} secrets of a tenant, each decrypted and each with an audit row of its own, by one caller. Counted are
secrets, not calls.

- **${ONE_BY_ONE}**, the baseline: \`tenant.get(name)\`, awaited before the next.
- **getMany**: \`tenant.getMany(names)\`.
- **all at once**: as many \`tenant.get(name)\` under one \`Promise.all\`: gets that wait at the same time share a statement.`;

/** Many secrets in one call. */
export const storeGetMany: LoadSuite = {
  kind: 'load',
  name: 'store-get-many',
  title: 'Secrets: getMany',
  about,
  operations: 'secrets',
  rounds: 7,
  sliceMs: 1000,

  async open({ serverUrl, size, progress }) {
    const db = await openStoreDatabase(serverUrl);
    const { tenants, perTenant } = SIZES[size];
    const addresses = await loadSecrets(db, tenants, perTenant, progress);
    const some = () => {
      const tenant = tenantName(Math.floor(Math.random() * tenants));
      const from = Math.floor(Math.random() * (perTenant - MANY));
      const names = Array.from({ length: MANY }, (_, index) => secretName(from + index));
      return { secrets: db.store.tenant(tenant, { actor: ACTOR }), names };
    };
    const contender = (name: string, call: () => Promise<readonly unknown[]>): LoadContender => ({
      name,
      role: 'subject',
      operations: MANY,
      call,
      check: async () => {
        const rows = async (): Promise<number> =>
          Number((await db.knex('secret_audit_log').count({ count: '*' }))[0]?.count);
        const before = await rows();
        const values = await call();
        if (!values.every(isCredentials)) throw new Error(`${name} read something else.`);
        const written = (await rows()) - before;
        if (written !== MANY) throw new Error(`${name} wrote ${written} audit rows for ${MANY} reads.`);
      },
    });
    const contenders: readonly LoadContender[] = [
      {
        ...contender(ONE_BY_ONE, async () => {
          const { secrets, names } = some();
          const values: unknown[] = [];
          for (const name of names) values.push((await secrets.get(name)).value);
          return values;
        }),
        role: 'baseline',
      },
      {
        ...contender('getMany', async () => {
          const { secrets, names } = some();
          return (await secrets.getMany(names)).map((result) =>
            result.outcome === 'found' ? result.secret.value : undefined,
          );
        }),
        budgets: [{ measure: 'throughput', against: ONE_BY_ONE, least: 6 }],
      },
      contender('all at once', async () => {
        const { secrets, names } = some();
        return (await Promise.all(names.map((name) => secrets.get(name)))).map(({ value }) => value);
      }),
    ];
    return {
      cases: [{ name: '1 caller', callers: 1, contenders }],
      facts: `${addresses.length.toLocaleString('en')} secrets of 256 bytes.`,
      close: db.close,
    };
  },
};

function isCredentials(value: unknown): boolean {
  return (value as { provider?: unknown } | undefined)?.provider === 'acme';
}
