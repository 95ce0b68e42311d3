import type { Knex } from 'knex';
import { invalidArgument, readOptions } from '../arguments.ts';
import { checkKnex } from '../connections.ts';
import { dialectOf } from '../dialects/index.ts';
import { postgres } from '../dialects/postgres.ts';
import { SecretsError } from '../errors.ts';
import type { Tables } from '../tables.ts';
import type { Isolation } from './isolation.ts';
import { verifyRowSecurity } from './self-test.ts';
import { proveSweeping } from './sweeping-proof.ts';
import { setTenant, withTenant } from './tenant-setting.ts';

/** Row-level security of PostgreSQL, once the SQL of `rowSecuritySql()` has been run. */
export interface RowSecurityOptions {
  /**
   * Pool of the maintenance role, for work across tenants: rotation of the root key, sealing and verification of the
   * audit log, retention. The host closes it.
   * @default none: such work is refused with `ERR_SECRETS_RLS_BLIND`, for services that only serve tenants
   */
  readonly maintenance?: Knex | undefined;
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkRowSecurity(knex: Knex, options: RowSecurityOptions): RowSecurityOptions {
  const maintenance = readOptions(options ?? null, 'rowSecurity', (given) => given.maintenance);
  if (dialectOf(knex) !== postgres) {
    throw invalidArgument('rowSecurity', 'nothing where the database has no row-level security', 'an object');
  }
  if (maintenance === undefined) return Object.freeze({});
  const checked = checkKnex(maintenance, 'rowSecurity.maintenance');
  if (dialectOf(checked) === postgres && !checked.isTransaction && checked.client !== knex.client) {
    return Object.freeze({ maintenance: checked });
  }
  throw invalidArgument('rowSecurity.maintenance', 'a knex instance of the maintenance role on PostgreSQL', 'another');
}

/** Tenants are kept apart by policies of the database too, which see the tenant of each call and of nothing else. */
export function rowSecurity(tables: Tables, { maintenance }: RowSecurityOptions): Isolation {
  const scoped = async <T>(db: Knex, tenantId: string, work: (db: Knex) => Promise<T>): Promise<T> => {
    if (db.isTransaction) return await withTenant(db, tenantId, () => work(db));
    // The setting ends with the transaction, so a connection goes back to its pool without it.
    return await db.transaction(async (trx) => {
      await setTenant(trx, tenantId);
      return await work(trx);
    }, postgres.transaction);
  };
  return {
    enforced: true,
    scoped,
    sweeping: async (knex, proved) => {
      if (maintenance === undefined) throw new SecretsError('ERR_SECRETS_RLS_BLIND');
      await proveSweeping({ knex, maintenance, tables, scoped }, proved);
      return maintenance;
    },
    verify: async (db) => await verifyRowSecurity(db, tables),
  };
}
