import { isKeywrightError, type KeyWrapper } from '@keywright/envelope';
import type { Knex } from 'knex';
import { SecretsError } from '../errors.ts';
import { asRow, asRows } from '../internal/rows.ts';
import type { Tables } from '../tables.ts';
import { answerOf } from './root-calls.ts';

const COLUMNS = ['kid', 'status', 'check_value'] as const;

interface RootKeyRow {
  readonly kid: string;
  readonly status: 'active' | 'retired';
  readonly check_value: Buffer;
}

/** A root key as the database knows it, or is about to: compared with the configured one outside any transaction. */
export interface RootCandidate {
  readonly kid: string;
  readonly checkValue: Buffer;
}

/**
 * Compares the configured root keys with those that this database was written with: the active one, and every one that
 * a tenant key is under. A wrong key is refused by name before anything is read or written. Nothing is stored: a key
 * that nothing is under yet must not be asked of the other processes. Returns what was compared.
 *
 * @param census what says whether a tenant key is under a root key: the tenant keys, or the root key's status where
 * `db` does not see those of every tenant
 * @throws SecretsError `ERR_SECRETS_ROOT_KEY_WRONG`, `ERR_SECRETS_ROOT_KEY_MISSING`, `ERR_SECRETS_ROOT_UNAVAILABLE`
 */
export async function verifyRootKeys(
  db: Knex,
  tables: Tables,
  root: KeyWrapper,
  timeoutMs: number,
  census: 'tenant-keys' | 'status' = 'tenant-keys',
): Promise<readonly RootCandidate[]> {
  const known = asRows<RootKeyRow>(await db(tables.rootKeys).select(...COLUMNS));
  const notRetired = known.filter(({ status }) => status === 'active').map(({ kid }) => kid);
  const inUse = census === 'status' ? notRetired : await rootKeysInUse(db, tables);
  const asked = known.filter(({ kid }) => inUse.includes(kid) || kid === root.activeKid);
  for (const row of asked) await verifyRootKey(root, row, timeoutMs);
  return asked.map((row) => ({ kid: row.kid, checkValue: row.check_value }));
}

/** Ids of the root keys that a tenant key is under. The tenant keys say so; the status of a root key is a note. */
export async function rootKeysInUse(db: Knex, tables: Tables): Promise<readonly string[]> {
  const rows = await db({ r: tables.rootKeys })
    .whereExists(
      db({ k: tables.tenantKeys })
        .select(db.raw('1'))
        .whereRaw('?? = ??', ['k.root_kid', 'r.kid'])
        .whereNot('k.status', 'destroyed'),
    )
    .orderBy('r.kid')
    .select('r.kid');
  return asRows<{ kid: string }>(rows).map(({ kid }) => kid);
}

/**
 * What {@link holdRootKey} needs to know of a root key; the key's holder may be remote, so it is asked beforehand.
 * @throws SecretsError `ERR_SECRETS_ROOT_KEY_WRONG`, `ERR_SECRETS_ROOT_UNAVAILABLE`
 */
export async function rootCandidate(
  db: Knex,
  tables: Tables,
  root: KeyWrapper,
  kid: string,
  timeoutMs: number,
): Promise<RootCandidate> {
  const row = asRow<RootKeyRow>(
    await db(tables.rootKeys)
      .where({ kid })
      .first(...COLUMNS),
  );
  if (row !== undefined) await verifyRootKey(root, row, timeoutMs);
  return { kid, checkValue: row?.check_value ?? Buffer.from(await answerOf(timeoutMs, () => root.checkValue(kid))) };
}

/**
 * Registers a root key with the first tenant key under it, in the transaction that stores that, and keeps it from being
 * retired until that transaction ends. Returns it as it is registered.
 *
 * @throws SecretsError `ERR_SECRETS_ROOT_KEY_RETIRED`, `ERR_SECRETS_ROOT_KEY_WRONG`
 */
export async function holdRootKey(
  trx: Knex,
  tables: Tables,
  root: KeyWrapper,
  candidate: RootCandidate,
  timeoutMs: number,
): Promise<RootCandidate> {
  const row = (await lockedRow(trx, tables, candidate.kid)) ?? (await registered(trx, tables, root, candidate));
  if (row.status !== 'active') {
    // The tenant key may have been wrapped before the active root key changed.
    const retryable = candidate.kid !== root.activeKid;
    throw new SecretsError('ERR_SECRETS_ROOT_KEY_RETIRED', { context: { kid: candidate.kid }, retryable });
  }
  // Another process was faster to register the id: it must mean the same key.
  if (!row.check_value.equals(candidate.checkValue)) await verifyRootKey(root, row, timeoutMs);
  return { kid: row.kid, checkValue: row.check_value };
}

async function registered(
  trx: Knex,
  tables: Tables,
  { provider }: KeyWrapper,
  { kid, checkValue }: RootCandidate,
): Promise<RootKeyRow> {
  await trx(tables.rootKeys)
    .insert({ kid, provider, status: 'active', check_value: checkValue, created_at: new Date() })
    .onConflict('kid')
    .ignore();
  const row = await lockedRow(trx, tables, kid);
  // A snapshot from before the other process's commit cannot see its row: the transaction has to start over.
  if (row === undefined) throw new SecretsError('ERR_SECRETS_DATABASE', { context: { kid }, retryable: true });
  return row;
}

/** Locked against retirement only: others may make tenant keys under the same root key meanwhile. */
async function lockedRow(trx: Knex, tables: Tables, kid: string): Promise<RootKeyRow | undefined> {
  return asRow<RootKeyRow>(
    await trx(tables.rootKeys)
      .where({ kid })
      .forKeyShare()
      .first(...COLUMNS),
  );
}

async function verifyRootKey(root: KeyWrapper, { kid, check_value }: RootKeyRow, timeoutMs: number): Promise<void> {
  let matches: boolean;
  try {
    matches = await answerOf(timeoutMs, () => root.verifyCheckValue(kid, check_value));
  } catch (error) {
    if (!isKeywrightError(error) || error.code !== 'ERR_KEYRING_KID_UNKNOWN') throw error;
    throw new SecretsError('ERR_SECRETS_ROOT_KEY_MISSING', { context: { kid }, cause: error });
  }
  if (!matches) throw new SecretsError('ERR_SECRETS_ROOT_KEY_WRONG', { context: { kid } });
}
