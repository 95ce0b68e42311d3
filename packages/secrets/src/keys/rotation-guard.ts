import type { Knex } from 'knex';
import { SecretsError } from '../errors.ts';
import { asRows } from '../internal/rows.ts';
import { type Timestamp, toMillis } from '../internal/time.ts';
import type { Tables } from '../tables.ts';
import { rootKeysInUse } from './root-keys.ts';

// A rotation that was killed gives way after this. One that is only slow is refused by its next claim.
const STALE_MS = 10 * 60_000;

interface GuardRow {
  readonly kid: string;
  readonly status: 'active' | 'retired';
  readonly rotating_at: Timestamp | null;
}

/**
 * Says that every tenant key is being put under `kid`, at the start of a rotation and again in each of its transactions.
 * Two rotations to one key do no harm to each other; of two to different keys, each would retire the other's.
 *
 * @throws SecretsError `ERR_SECRETS_ROTATION_CONFLICT`, `ERR_SECRETS_ROOT_KEY_RETIRED`
 */
export async function claimRotation(trx: Knex, tables: Tables, kid: string): Promise<void> {
  const rows = asRows<GuardRow>(
    await trx(tables.rootKeys).orderBy('kid').forNoKeyUpdate().select('kid', 'status', 'rotating_at'),
  );
  // Whoever still has the retired key active would undo what the others have agreed on.
  if (rows.some((row) => row.kid === kid && row.status === 'retired')) {
    throw new SecretsError('ERR_SECRETS_ROOT_KEY_RETIRED', { context: { kid } });
  }
  for (const row of rows) {
    if (row.kid === kid || row.rotating_at === null) continue;
    if (isClaimed(row)) throw conflict(row.kid);
    await trx(tables.rootKeys).where({ kid: row.kid }).update({ rotating_at: null });
  }
  await trx(tables.rootKeys).where({ kid }).update({ rotating_at: new Date() });
}

/** Whether tenant keys are being put under this root key, by a rotation that may have just begun. */
export function isClaimed({ rotating_at: at }: Pick<GuardRow, 'rotating_at'>): boolean {
  return at !== null && toMillis(at) > Date.now() - STALE_MS;
}

/** Takes the claim back: the rotation has ended, or failed. */
export async function releaseRotation(trx: Knex, tables: Tables, kid: string): Promise<void> {
  await trx(tables.rootKeys).where({ kid }).update({ rotating_at: null });
}

/** What a rotation could retire at its end. */
export interface Retirement {
  readonly retired: readonly string[];
  /** A tenant key was made under an older root key meanwhile: there is more to rewrap. */
  readonly unfinished: boolean;
}

/**
 * Retires the root keys that no tenant key is under any more. Transactions that have made a tenant key and are still open
 * hold their root key's row: they are waited for, and looked for again.
 */
export async function retireRootKeys(trx: Knex, tables: Tables, kid: string): Promise<Retirement> {
  await claimRotation(trx, tables, kid);
  const others = asRows<{ kid: string }>(
    await trx(tables.rootKeys).where({ status: 'active' }).whereNot({ kid }).orderBy('kid').forUpdate().select('kid'),
  );
  const inUse = await rootKeysInUse(trx, tables);
  const retired = others.map((row) => row.kid).filter((other) => !inUse.includes(other));
  if (retired.length > 0) await trx(tables.rootKeys).whereIn('kid', retired).update({ status: 'retired' });
  const unfinished = inUse.some((used) => used !== kid);
  if (!unfinished) await releaseRotation(trx, tables, kid);
  return { retired, unfinished };
}

export function conflict(kid: string): SecretsError {
  return new SecretsError('ERR_SECRETS_ROTATION_CONFLICT', { context: { kid }, retryable: true });
}
