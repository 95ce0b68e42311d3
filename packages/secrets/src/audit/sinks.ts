import type { AuditSinkEntry } from '@keywright/envelope';
import type { Knex } from 'knex';
import { SYSTEM_TENANT } from '../arguments.ts';
import { SecretsError } from '../errors.ts';
import { databaseError } from '../internal/database-error.ts';
import { type Lease, withLease } from '../internal/lease.ts';
import { asRow, asRows } from '../internal/rows.ts';
import { atomically } from '../internal/transactions.ts';
import { lastCheckpoint, type TrustedCheckpoint } from './checkpoints.ts';
import type { AuditEnvironment } from './environment.ts';
import type { NamedAuditSink } from './options.ts';
import { AUDIT_COLUMNS, type AuditRow } from './row.ts';
import { lockTree } from './tree/state.ts';

/** What became of one sink's share. */
export type AuditShipment = {
  readonly name: string;
  /** Entries that it took. */
  readonly shipped: number;
} & (
  | { readonly done: true }
  /** `ERR_SECRETS_SINK_FAILED` where the sink failed; what was not taken comes again. */
  | { readonly done: false; readonly error: unknown }
);

const BATCH = 500;
const WRITE_TIMEOUT_MS = 30_000;

/**
 * Gives a sink what it has not got of the log, in order, up to the last checkpoint. One process at a time does it for a
 * sink; the place is kept in the database, and moves on when the sink has taken a batch.
 */
export async function shipTo(
  env: AuditEnvironment,
  named: NamedAuditSink,
  signal: AbortSignal | undefined,
): Promise<AuditShipment> {
  const { name } = named;
  let shipped = 0;
  try {
    await withLease(env, `audit.sink.${name}`, {}, async (lease) => {
      const last = await lastCheckpoint(env);
      let next = await placeOf(env, lease, name);
      if (last === undefined) return;
      const size = last.checkpoint.treeSize;
      // It was given more than there is now: the log was put back.
      if (next > size) throw new SecretsError('ERR_SECRETS_AUDIT_TAMPERED', { context: { leafIndex: size } });
      while (next < size) {
        if (signal?.aborted === true) throw new SecretsError('ERR_SECRETS_ABORTED');
        const end = Math.min(size, next + BATCH);
        shipped += await giveBatch(env, lease, named, { next, end, last, signal });
        next = end;
      }
    });
    return { name, shipped, done: true };
  } catch (thrown) {
    return { name, shipped, done: false, error: databaseError(thrown, 'audit.ship') };
  }
}

/** Ends the place of a sink that is gone for good, which keeps `prune()` from removing what it has not got. */
export async function forgetSink(env: AuditEnvironment, name: string, actor: string): Promise<boolean> {
  const { knex, dialect, tables, audit } = env;
  return await atomically(knex, dialect, tables, async (trx) => {
    const forgotten = (await trx(tables.auditSinks).where({ name }).delete()) > 0;
    // Nothing keeps its rows from being pruned any more.
    await audit.record(trx, {
      tenantId: SYSTEM_TENANT,
      actor,
      action: 'audit.forget-sink',
      outcome: 'success',
      context: { sink: name, known: forgotten ? 'yes' : 'no' },
    });
    return forgotten;
  });
}

/** The next leaf of a sink. A new one starts with the first that is left. */
async function placeOf(env: AuditEnvironment, lease: Lease, name: string): Promise<number> {
  const { tables } = env;
  return await atomically(env.knex, env.dialect, tables, async (trx) => {
    await lease.hold(trx);
    const { pruned } = await lockTree(trx, tables);
    await trx(tables.auditSinks)
      .insert({ name, next_leaf: pruned, updated_at: new Date() })
      .onConflict('name')
      .ignore();
    const row = asRow<{ next_leaf: number | string }>(await trx(tables.auditSinks).where({ name }).first('next_leaf'));
    return Number(row?.next_leaf ?? pruned);
  });
}

interface Batch {
  readonly next: number;
  readonly end: number;
  readonly last: TrustedCheckpoint;
  readonly signal: AbortSignal | undefined;
}

async function giveBatch(
  env: AuditEnvironment,
  lease: Lease,
  { name, sink }: NamedAuditSink,
  { next, end, last, signal }: Batch,
): Promise<number> {
  const { tables, knex } = env;
  const entries = await entriesOf(knex, env, next, end);
  if (entries.length !== end - next) {
    env.logger?.error(`Audit rows between leaf ${next} and ${end} are missing; sink ${name} does not get them.`);
  }
  const timeout = AbortSignal.timeout(WRITE_TIMEOUT_MS);
  const ended = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  if (entries.length > 0) {
    try {
      const options = { signal: ended, checkpoint: last.checkpoint.note };
      await Promise.race([sink.write(entries, options), whenAborted(ended)]);
    } catch (error) {
      throw new SecretsError('ERR_SECRETS_SINK_FAILED', { context: { driver: name }, cause: error, retryable: true });
    }
  }
  await atomically(knex, env.dialect, tables, async (trx) => {
    await lease.hold(trx);
    await trx(tables.auditSinks).where({ name, next_leaf: next }).update({ next_leaf: end, updated_at: new Date() });
  });
  return entries.length;
}

async function entriesOf(
  knex: Knex,
  { tables, audit }: AuditEnvironment,
  next: number,
  end: number,
): Promise<readonly AuditSinkEntry[]> {
  const rows = asRows<AuditRow>(
    await knex(tables.auditLog)
      .where('leaf_index', '>=', next)
      .where('leaf_index', '<', end)
      .orderBy('leaf_index')
      .select(...AUDIT_COLUMNS),
  );
  return rows.map((row) => {
    const entry = audit.entryOf(row);
    return {
      leafIndex: Number(row.leaf_index),
      tenantId: row.tenant_id,
      id: entry.id,
      at: entry.at,
      actor: entry.actor,
      action: entry.action,
      outcome: entry.outcome,
      secretId: entry.secretId,
      secretName: entry.secretName,
      version: entry.version,
      context: entry.context,
      request: entry.request,
    };
  });
}

async function whenAborted(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  throw signal.reason;
}
