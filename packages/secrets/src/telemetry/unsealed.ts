import type { Connections } from '../connections.ts';
import type { StoreCore } from '../core.ts';
import { asRow } from '../internal/rows.ts';
import { type Timestamp, toMillis } from '../internal/time.ts';
import type { Tables } from '../tables.ts';
import { quietly } from './observed.ts';
import type { UnsealedRows } from './telemetry.ts';

const COUNT_UP_TO = 100_000;

/** Lets the telemetry of a store ask it now and then. Returns what ends that. */
export function observeStore({ options, connections, tables, ready }: StoreCore): (() => void) | undefined {
  const { telemetry } = options;
  if (telemetry === undefined) return undefined;
  const gauges = {
    unsealed: async () => {
      await ready(undefined);
      return await unsealedRows(connections, tables);
    },
  };
  // A store is neither refused nor kept open because it cannot be measured.
  const end = quietly(() => telemetry.observe(gauges));
  return end && (() => quietly(end));
}

/** How much of the audit log waits for its sealer; both questions are answered by the index of those rows. */
export async function unsealedRows(connections: Connections, tables: Tables): Promise<UnsealedRows> {
  const db = await connections.sweeping();
  const waiting = db(tables.auditLog).whereNull('leaf_index').limit(COUNT_UP_TO).select('id').as('waiting');
  const counted = asRow<{ rows: number | string }>(await db.from(waiting).count({ rows: '*' }).first());
  const oldest = asRow<{ at: Timestamp }>(await db(tables.auditLog).whereNull('leaf_index').orderBy('id').first('at'));
  const now = (await connections.dialect.now(db)).getTime();
  return {
    rows: Number(counted?.rows ?? 0),
    ageMs: oldest === undefined ? 0 : Math.max(0, now - toMillis(oldest.at)),
  };
}
