import type { Knex } from 'knex';
import { kidBytes } from '../internal/keyed-mac.ts';
import { asRow } from '../internal/rows.ts';
import type { Tables } from '../tables.ts';

/** Rows that need one of a tenant's keys, or all but one of them. */
export interface KeyUsers {
  /** Versions whose data key is under it. */
  readonly versions: number;
  /** Secrets whose pointers are authenticated with it. */
  readonly bindings: number;
}

/** Rows of a tenant that need this key. */
export async function countUsers(db: Knex, tables: Tables, tenantId: string, kekId: string): Promise<KeyUsers> {
  return await count(db, tables, tenantId, kekId, '=');
}

/** Rows of a tenant that are under another key than this one; under any, where there is none. */
export async function countOthers(
  db: Knex,
  tables: Tables,
  tenantId: string,
  kekId: string | undefined,
): Promise<KeyUsers> {
  return await count(db, tables, tenantId, kekId, '<>');
}

async function count(
  db: Knex,
  tables: Tables,
  tenantId: string,
  kekId: string | undefined,
  compare: '=' | '<>',
): Promise<KeyUsers> {
  const versions = db(tables.versions).where({ tenant_id: tenantId });
  const bindings = db(tables.secrets).where({ tenant_id: tenantId });
  if (kekId !== undefined) {
    versions.where('kek_id', compare, kekId);
    bindings.whereRaw(`substr(binding, 1, 16) ${compare} ?`, [kidBytes(kekId)]);
  }
  return { versions: await counted(versions), bindings: await counted(bindings) };
}

async function counted(query: Knex.QueryBuilder): Promise<number> {
  const row = asRow<{ rows: number | string }>(await query.count({ rows: '*' }).first());
  return Number(row?.rows ?? 0);
}
