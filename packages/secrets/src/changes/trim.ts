import type { Dialect } from '../dialects/dialect.ts';
import { type LeaseEnvironment, withLease } from '../internal/lease.ts';
import { atomically } from '../internal/transactions.ts';
import { throwIfAborted } from '../keys/root-calls.ts';
import { type ChangeSource, TRIM_LEASE } from './source.ts';

/** Options of `store.trimChanges()`. */
export interface TrimOptions {
  /** How long a change is kept after it was committed, at least, in milliseconds. @default that of `changeFeed` */
  readonly keepMs?: number | undefined;
  /** Ends it between two batches. What was deleted stays so. */
  readonly signal?: AbortSignal | undefined;
}

/** At this time, everything below this position had been committed. */
type Mark = readonly [at: number, position: string];

interface TrimState {
  /** Changes below may be gone. */
  readonly trimmed: string;
  readonly marks: readonly Mark[];
}

const BATCH = 1_000;
const MAX_MARKS = 64;

/**
 * Deletes changes that were committed longer than `keepMs` ago, in batches. When a change was committed is written
 * nowhere, so each run notes how far everything was committed by then, and deletes up to the newest note that is old
 * enough: the first run finds none. How far it came is noted before anything is deleted, so that a watch that comes too
 * late hears of it.
 *
 * @throws SecretsError `ERR_SECRETS_LEASE_HELD`, `ERR_SECRETS_LEASE_LOST`, `ERR_SECRETS_ABORTED`
 */
export async function trimChanges<Position>(
  env: LeaseEnvironment & { readonly dialect: Dialect },
  source: ChangeSource<Position>,
  keepMs: number,
  signal?: AbortSignal,
): Promise<number> {
  const { knex, dialect, tables } = env;
  return await withLease(env, TRIM_LEASE, {}, async (lease) => {
    const horizon = await source.horizon(knex);
    const now = (await dialect.now(knex)).getTime();
    const state = nextState(lease.state, [now, horizon], keepMs);
    const text = JSON.stringify(state);
    let deleted = 0;
    for (;;) {
      throwIfAborted(signal);
      const count = await atomically(knex, dialect, tables, async (trx) => {
        await lease.hold(trx, text);
        return await source.deleteBelow(trx, state.trimmed, BATCH);
      });
      deleted += count;
      if (count < BATCH) return deleted;
    }
  });
}

function nextState(text: string | null, mark: Mark, keepMs: number): TrimState {
  const [now, horizon] = mark;
  const before = text === null ? undefined : (JSON.parse(text) as TrimState);
  // Notes of another server, whose data was restored here, say nothing of the positions of this one.
  const known = [...(before?.marks ?? []), mark].filter(
    ([at, position]) => at <= now && BigInt(position) <= BigInt(horizon),
  );
  const old = known.findLast(([at]) => now - at >= keepMs);
  const kept = before !== undefined && BigInt(before.trimmed) <= BigInt(horizon) ? before.trimmed : '0';
  const trimmed = old === undefined || BigInt(old[1]) < BigInt(kept) ? kept : old[1];
  const marks = known.filter(([, position]) => BigInt(position) >= BigInt(trimmed));
  return { trimmed, marks: marks.length > MAX_MARKS ? thinned(marks) : marks };
}

/** Every other mark: who calls more often than that keeps changes for a little longer. */
function thinned(marks: readonly Mark[]): readonly Mark[] {
  return marks.filter((_, index) => index % 2 === 0);
}
