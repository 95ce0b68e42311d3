import { SecretsError } from '../errors.ts';
import { asRow } from '../internal/rows.ts';
import { quoted, type Tables } from '../tables.ts';
import type { ChangeFilter } from './change.ts';
import { parseSnapshot, type Snapshot, snapshotText } from './snapshot.ts';
import {
  type ChangeJson,
  type ChangePage,
  type ChangeSource,
  changeOf,
  PAGE,
  TRIM_LEASE,
  trimmedTo,
} from './source.ts';

/**
 * What a watch has read: the changes that `since` sees. While what `upto` sees besides takes more than one page, those
 * up to `after` too.
 */
export interface PostgresPosition {
  readonly since: Snapshot;
  readonly page?: { readonly upto: Snapshot; readonly after: readonly [position: string, id: string] } | undefined;
}

interface PollRow {
  readonly now: string;
  readonly standby: boolean;
  readonly kept: string | null;
  readonly changes: string | null;
}

/**
 * Changes of PostgreSQL. Their position is the id of the transaction that wrote them, and transactions do not commit in
 * the order of their ids: a watermark would skip whoever commits late. So a position is a snapshot, and a poll reads
 * what its own snapshot sees and the last one did not. A transaction that stays open hides nobody else's changes, and
 * nothing is read twice or remembered, however long it does.
 */
export function postgresSource(tables: Tables): ChangeSource<PostgresPosition> {
  const changes = quoted(tables.changes);
  const leases = quoted(tables.leases);

  return {
    async read(db, from, filter) {
      const since = typeof from === 'string' ? undefined : from;
      const { sql, bindings } = selection(changes, from === 'oldest' ? OLDEST : since, filter);
      const row = asRow<PollRow>(
        (
          (await db.raw(
            `select pg_current_snapshot()::text as now, pg_is_in_recovery() as standby,
              (select state from ${leases} where name = ?) as kept,
              (select json_agg(c)::text from (${sql}) as c) as changes`,
            [TRIM_LEASE, ...bindings] as never,
          )) as { readonly rows: readonly unknown[] }
        ).rows[0],
      );
      const now = parseSnapshot(row?.now);
      // A standby does not say which transactions are in progress; it may become the primary.
      if (row === undefined || now === undefined || row.standby) {
        throw new SecretsError('ERR_SECRETS_DATABASE', { context: { operation: 'watch' }, retryable: true });
      }
      const seen = since?.page?.upto ?? since?.since;
      if (since !== undefined && seen !== undefined && isLost(since.since, seen, now, row.kept)) {
        return { changes: [], next: { since: now }, more: false, lost: true };
      }
      const position = since ?? (from === 'oldest' ? { since: keptFrom(row.kept, now) } : { since: now });
      return pageOf(position, now, JSON.parse(row.changes ?? '[]') as readonly ChangeJson[]);
    },

    encode: ({ since, page }) =>
      JSON.stringify([snapshotText(since), ...(page === undefined ? [] : [snapshotText(page.upto), ...page.after])]),

    decode(text) {
      const [first, second, position, id] = JSON.parse(text) as readonly unknown[];
      const since = parseSnapshot(first);
      if (since === undefined || second === undefined) return since === undefined ? undefined : { since };
      const upto = parseSnapshot(second);
      const valid = typeof position === 'string' && /^\d{1,19}$/.test(position) && typeof id === 'string';
      return upto === undefined || !valid || !UUID.test(id)
        ? undefined
        : { since, page: { upto, after: [position, id] } };
    },

    async horizon(db) {
      const { rows } = (await db.raw('select pg_snapshot_xmin(pg_current_snapshot())::text as horizon')) as {
        readonly rows: readonly unknown[];
      };
      return asRow<{ horizon: string }>(rows[0])?.horizon ?? '0';
    },

    async deleteBelow(trx, position, limit) {
      const { rows } = (await trx.raw(
        `with old as (
          select position, id from ${changes}
          where position < ?::xid8
          order by position, id limit ?
        ), gone as (
          delete from ${changes} where (position, id) in (select position, id from old) returning 1
        ) select count(*)::int as count from gone`,
        [position, limit],
      )) as { readonly rows: readonly unknown[] };
      return asRow<{ count: number }>(rows[0])?.count ?? 0;
    },
  };
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const COLUMNS = `position::text as position, tenant_id, id, (extract(epoch from at) * 1000)::float8 as at, kind, secret_id,
  secret_name, previous_name, version`;

const OLDEST: PostgresPosition = { since: { xmin: '0', xmax: '0', xip: [] } };

/**
 * The changes that the statement's own snapshot sees and `from` does not: of transactions that had not begun then, and
 * of those that were in progress. Two range scans of one index.
 */
function selection(
  changes: string,
  from: PostgresPosition | undefined,
  { tenantId, names }: ChangeFilter,
): { readonly sql: string; readonly bindings: readonly unknown[] } {
  if (from === undefined) return { sql: 'select 1 where false', bindings: [] };
  const { since, page } = from;
  // Ids that this server has not given out yet came with a dump of another one.
  const conditions = ['position < pg_snapshot_xmax(pg_current_snapshot())'];
  const bindings: unknown[] = [];
  const where = (condition: string, ...values: readonly unknown[]): void => {
    conditions.push(condition);
    bindings.push(...values);
  };
  if (page !== undefined) {
    where('(position, id) > (?::xid8, ?::uuid)', ...page.after);
    where('position < ?::xid8 and position <> all (?::xid8[])', page.upto.xmax, arrayOf(page.upto.xip));
  }
  if (tenantId !== undefined) where('tenant_id = ?', tenantId);
  if (names !== undefined) {
    where('(secret_name = any (?::text[]) or previous_name = any (?::text[]))', names, names);
  }
  const part = (range: string): string =>
    `(select ${COLUMNS} from ${changes} where ${range} and ${conditions.join(' and ')}
      order by ${changes}.position, id limit ${PAGE + 1})`;
  return {
    sql: `select * from (${part('position = any (?::xid8[])')} union all ${part('position >= ?::xid8')}) as found
      order by found.position::xid8, found.id limit ${PAGE + 1}`,
    bindings: [arrayOf(since.xip), ...bindings, since.xmax, ...bindings],
  };
}

/** As text, because a host may have changed how its driver writes arrays. */
function arrayOf(numbers: readonly string[]): string {
  return `{${numbers.join()}}`;
}

function pageOf(
  { since, page }: PostgresPosition,
  now: Snapshot,
  rows: readonly ChangeJson[],
): ChangePage<PostgresPosition> {
  const upto = page?.upto ?? now;
  const more = rows.length > PAGE;
  const shown = rows.slice(0, PAGE);
  const changes = shown.map((row, index) => ({
    change: changeOf(row),
    after:
      !more && index === shown.length - 1
        ? { since: upto }
        : { since, page: { upto, after: [row.position, row.id] as const } },
  }));
  // A page that was left half-way ends at its own snapshot; what came after that is the next poll's.
  const next = more ? (changes.at(-1)?.after ?? { since: upto }) : { since: upto };
  return { changes, next, more: more || page !== undefined, lost: false };
}

/** The position of somebody who has read what was trimmed and nothing else. */
function keptFrom(kept: string | null, now: Snapshot): Snapshot {
  const trimmed = trimmedTo(kept);
  const from = trimmed <= BigInt(now.xmax) ? String(trimmed) : '0';
  return { xmin: from, xmax: from, xip: [] };
}

/** A snapshot that sees transactions this server has not begun is of a state that it was put back from. */
function isLost(since: Snapshot, seen: Snapshot, now: Snapshot, kept: string | null): boolean {
  if (BigInt(seen.xmax) > BigInt(now.xmax)) return true;
  const trimmed = trimmedTo(kept);
  return trimmed > BigInt(since.xmin) && trimmed <= BigInt(now.xmax);
}
