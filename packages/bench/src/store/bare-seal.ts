import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { BARE } from './database.ts';

/** As many rows at a time as the store takes. */
const BATCH = 4096;

interface Row {
  readonly tenant_id: string;
  readonly id: string;
  readonly at: Date;
  readonly actor: string;
  readonly action: string;
  readonly secret_id: string | null;
  readonly secret_name: string | null;
  readonly version: number | null;
  readonly outcome: string;
  readonly context: string;
  readonly payload_hash: Buffer | null;
  readonly mac: Buffer;
}

/**
 * The least that sealing takes: reads the rows that have no leaf in batches, hashes each, and numbers a batch by one
 * UPDATE. The hashes go nowhere, no MAC is checked, nothing is signed. Returns how many rows there were.
 */
export async function bareSeal(pg: Pool): Promise<number> {
  let sealed = 0;
  let after = '00000000-0000-0000-0000-000000000000';
  for (;;) {
    const { rows } = await pg.query<Row>(
      `select tenant_id, id, at, actor, action, secret_id, secret_name, version, outcome, context, payload, salt,
          payload_hash, mac
        from ${BARE}.secret_audit_log where leaf_index is null and id > $1 order by id limit ${BATCH}`,
      [after],
    );
    const last = rows.at(-1);
    if (last === undefined) return sealed;
    for (const row of rows) hashOf(row);
    await pg.query(
      `update ${BARE}.secret_audit_log as t set leaf_index = $3 + v.n
        from unnest($1::text[], $2::uuid[]) with ordinality as v(tenant_id, id, n)
        where t.tenant_id = v.tenant_id and t.id = v.id`,
      [rows.map((row) => row.tenant_id), rows.map((row) => row.id), await nextLeaf(pg)],
    );
    sealed += rows.length;
    after = last.id;
  }
}

async function nextLeaf(pg: Pool): Promise<number> {
  const { rows } = await pg.query<{ next: string }>(
    `select coalesce(max(leaf_index), 0) as next from ${BARE}.secret_audit_log where leaf_index is not null`,
  );
  return Number(rows[0]?.next);
}

function hashOf(row: Row): Buffer {
  const text = [row.tenant_id, row.id, row.at.getTime(), row.actor, row.action, row.secret_id, row.secret_name];
  const hash = createHash('sha256').update(JSON.stringify([...text, row.version, row.outcome, row.context]));
  if (row.payload_hash !== null) hash.update(row.payload_hash);
  return hash.update(row.mac).digest();
}
