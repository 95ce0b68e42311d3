import type { Knex } from 'knex';
import { SecretsError } from '../../errors.ts';
import { asRow } from '../../internal/rows.ts';
import type { Tables } from '../../tables.ts';

/** How far the log is sealed, and from where on its rows are still there. */
export interface TreeState {
  readonly size: number;
  readonly pruned: number;
}

const ROW = { id: 1 };

/**
 * The state of the tree; of an empty one where nothing was ever sealed.
 * @throws SecretsError `ERR_SECRETS_AUDIT_TAMPERED` for one that no tree can be in
 */
export async function readTree(db: Knex, tables: Tables): Promise<TreeState> {
  return stateOf(await db(tables.auditTree).where(ROW).first('size', 'pruned'));
}

/** As {@link readTree}, and nobody else changes the tree until the transaction ends. */
export async function lockTree(trx: Knex, tables: Tables): Promise<TreeState> {
  await trx(tables.auditTree)
    .insert({ ...ROW, size: 0, pruned: 0, updated_at: new Date() })
    .onConflict('id')
    .ignore();
  return stateOf(await trx(tables.auditTree).where(ROW).forUpdate().first('size', 'pruned'));
}

export async function writeTree(trx: Knex, tables: Tables, state: TreeState): Promise<void> {
  await trx(tables.auditTree)
    .where(ROW)
    .update({ ...state, updated_at: new Date() });
}

function stateOf(found: unknown): TreeState {
  const row = asRow<{ size: number | string; pruned: number | string }>(found);
  const [size, pruned] = [Number(row?.size ?? 0), Number(row?.pruned ?? 0)];
  if (Number.isSafeInteger(size) && Number.isSafeInteger(pruned) && 0 <= pruned && pruned <= size) {
    return { size, pruned };
  }
  throw new SecretsError('ERR_SECRETS_AUDIT_TAMPERED', { context: { table: 'tree' } });
}
