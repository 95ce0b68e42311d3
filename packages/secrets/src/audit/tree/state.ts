import type { Knex } from 'knex';
import { asRow } from '../../internal/rows.ts';
import type { Tables } from '../../tables.ts';

/** How far the log is sealed, and from where on its rows are still there. */
export interface TreeState {
  readonly size: number;
  readonly pruned: number;
}

const ROW = { id: 1 };

/** The state of the tree; of an empty one where nothing was ever sealed. */
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
  return { size: Number(row?.size ?? 0), pruned: Number(row?.pruned ?? 0) };
}
