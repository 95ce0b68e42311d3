import { isKeywrightError, type KeyWrapper } from '@keywright/envelope';
import type { Knex } from 'knex';
import { SecretsError } from '../errors.ts';
import { asRows } from '../internal/rows.ts';
import type { Tables } from '../tables.ts';
import { answerOf } from './root-calls.ts';

interface RootKeyRow {
  readonly kid: string;
  readonly status: 'active' | 'retired';
  readonly check_value: Buffer;
}

/**
 * Compares the configured root keys with those that this database was written with, and registers the active one.
 * One id can never come to mean two keys, and a wrong key is refused by name before anything is read or written.
 *
 * @throws SecretsError `ERR_SECRETS_ROOT_KEY_WRONG`, `ERR_SECRETS_ROOT_KEY_MISSING`, `ERR_SECRETS_ROOT_UNAVAILABLE`
 */
export async function verifyRootKeys(db: Knex, tables: Tables, root: KeyWrapper, timeoutMs: number): Promise<void> {
  const known = await readRootKeys(db, tables);
  for (const row of known) {
    if (row.status === 'active' || row.kid === root.activeKid) await verifyRootKey(root, row, timeoutMs);
  }
  const active = known.find(({ kid }) => kid === root.activeKid);
  if (active?.status === 'active') return;
  if (active === undefined) {
    await db(tables.rootKeys)
      .insert({
        kid: root.activeKid,
        provider: root.provider,
        status: 'active',
        check_value: Buffer.from(await answerOf(timeoutMs, () => root.checkValue(root.activeKid))),
        created_at: new Date(),
      })
      .onConflict('kid')
      .ignore();
  } else {
    await db(tables.rootKeys).where({ kid: root.activeKid }).update({ status: 'active' });
  }
  // Another process may have registered the id first, with another key.
  for (const row of await readRootKeys(db, tables)) {
    if (row.kid === root.activeKid) await verifyRootKey(root, row, timeoutMs);
  }
}

/** Root keys that no tenant key is under any more, the active one apart, become retired; returns their ids. */
export async function retireRootKeys(db: Knex, tables: Tables, activeKid: string): Promise<readonly string[]> {
  const unused = (await db(tables.rootKeys)
    .where({ status: 'active' })
    .whereNot({ kid: activeKid })
    .whereNotExists(
      db(tables.tenantKeys)
        .select(db.raw('1'))
        .whereRaw('?? = ??', [`${tables.tenantKeys}.root_kid`, `${tables.rootKeys}.kid`])
        .whereNot(`${tables.tenantKeys}.status`, 'destroyed'),
    )
    .select('kid')) as readonly { kid: string }[];
  const kids = unused.map(({ kid }) => kid);
  if (kids.length > 0) await db(tables.rootKeys).whereIn('kid', kids).update({ status: 'retired' });
  return kids;
}

async function readRootKeys(db: Knex, tables: Tables): Promise<readonly RootKeyRow[]> {
  return asRows<RootKeyRow>(await db(tables.rootKeys).select('kid', 'status', 'check_value'));
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
