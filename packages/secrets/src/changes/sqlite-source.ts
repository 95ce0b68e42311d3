import { asRow } from '../internal/rows.ts';
import { quoted, type Tables } from '../tables.ts';
import { type ChangeJson, type ChangeSource, changeOf, PAGE, TRIM_LEASE, trimmedTo } from './source.ts';

/** The last change that was read. SQLite has one writer at a time, so its count of rows is the order of commits. */
export interface SqlitePosition {
  readonly last: number;
}

interface PollRow {
  readonly newest: number | null;
  readonly kept: string | null;
  readonly changes: string;
}

export function sqliteSource(tables: Tables): ChangeSource<SqlitePosition> {
  const changes = quoted(tables.changes);
  const leases = quoted(tables.leases);
  const newest = 'select seq from sqlite_sequence where name = ?';

  return {
    async read(db, from, { tenantId, names }) {
      const since = typeof from === 'string' ? undefined : from.last;
      const conditions = ['position > ?'];
      const bindings: unknown[] = [since ?? (from === 'oldest' ? 0 : Number.MAX_SAFE_INTEGER)];
      if (tenantId !== undefined) {
        conditions.push('tenant_id = ?');
        bindings.push(tenantId);
      }
      if (names !== undefined) {
        const list = '(select value from json_each(?))';
        conditions.push(`(secret_name in ${list} or previous_name in ${list})`);
        bindings.push(JSON.stringify(names), JSON.stringify(names));
      }
      const rows = (await db.raw(
        `select (${newest}) as newest, (select state from ${leases} where name = ?) as kept,
          (select json_group_array(json_object('position', position, 'tenant_id', tenant_id, 'id', id, 'at', at,
            'kind', kind, 'secret_id', secret_id, 'secret_name', secret_name, 'previous_name', previous_name,
            'version', version)) from (
              select * from ${changes} where ${conditions.join(' and ')} order by position limit ${PAGE + 1}
            )) as changes`,
        [tables.changes, TRIM_LEASE, ...bindings] as never,
      )) as readonly unknown[];
      const row = asRow<PollRow>(rows[0]) as PollRow;
      const now = row.newest ?? 0;
      const trimmed = Number(trimmedTo(row.kept));
      if (since !== undefined && (since > now || since + 1 < trimmed)) {
        return { changes: [], next: { last: now }, more: false, lost: true };
      }
      const found = JSON.parse(row.changes) as readonly (Omit<ChangeJson, 'position'> & { position: number })[];
      const more = found.length > PAGE;
      const shown = found.slice(0, PAGE).map((json) => ({
        change: changeOf({ ...json, position: String(json.position) }),
        after: { last: json.position },
      }));
      const next = more ? (shown.at(-1)?.after ?? { last: now }) : { last: now };
      return { changes: shown, next, more, lost: false };
    },

    encode: ({ last }) => JSON.stringify([last]),

    decode(text) {
      const [last] = JSON.parse(text) as readonly unknown[];
      return Number.isSafeInteger(last) && Number(last) >= 0 ? { last: Number(last) } : undefined;
    },

    async horizon(db) {
      const rows = (await db.raw(newest, [tables.changes])) as readonly unknown[];
      return String((asRow<{ seq: number }>(rows[0])?.seq ?? 0) + 1);
    },

    async deleteBelow(trx, position, limit) {
      return await trx(tables.changes)
        .whereIn(
          'position',
          trx(tables.changes)
            .where('position', '<', Number(position))
            .orderBy('position')
            .limit(limit)
            .select('position'),
        )
        .delete();
    },
  };
}
