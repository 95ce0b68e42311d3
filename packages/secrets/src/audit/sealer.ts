import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Knex } from 'knex';
import { SYSTEM_TENANT } from '../arguments.ts';
import { SecretsError } from '../errors.ts';
import type { Lease } from '../internal/lease.ts';
import { asRows } from '../internal/rows.ts';
import { atomically } from '../internal/transactions.ts';
import { canonicalRow, leafHash } from './canonical.ts';
import type { AuditCheckpoint } from './checkpoint.ts';
import { consistentTree, lastCheckpoint, signCheckpoint, type TrustedCheckpoint } from './checkpoints.ts';
import type { AuditEnvironment } from './environment.ts';
import { AUDIT_COLUMNS, type AuditRow, type NewAuditRow } from './row.ts';
import { orTampered } from './tampered.ts';
import { lockTree, writeTree } from './tree/state.ts';
import { appendLeaves } from './tree/tiles.ts';

export interface SealOptions {
  /** Called after every batch with the number of rows sealed so far. */
  readonly onProgress?: ((sealed: number) => void) | undefined;
  /** Ends the work between two batches. What was sealed stays so; the next call signs it. */
  readonly signal?: AbortSignal | undefined;
}

/** What sealing did. */
export interface AuditSealing {
  /** Rows that got their place in the tree. */
  readonly sealed: number;
  /** Of these, rows that the store did not write as they are. Each is named by an `audit.seal` row, up to 100 a batch. */
  readonly forged: number;
  /** The signed checkpoint that covers all of them; undefined while the log is empty. */
  readonly checkpoint: AuditCheckpoint | undefined;
}

const BATCH = 4_096;
// A run over a long backlog signs in between, so that a crash leaves little unsigned.
const BATCHES_PER_CHECKPOINT = 64;
const MAX_NAMED = 100;
const ROWS_PER_TURN = 256;
// What leaf and MAC are made of: the request is under its hash, and is compared with it by verify().
const LEAF_COLUMNS = AUDIT_COLUMNS.filter((column) => !['leaf_index', 'payload', 'salt'].includes(column));

/** Seals the log; it remembers what it signed last, so that a log put back to an earlier state shows. */
export class Sealer {
  #remembered: TrustedCheckpoint | undefined;

  /**
   * Gives every committed row that has none its leaf, then signs the tree. Nothing is locked that a save or a read waits
   * for; a crash at any point leaves what the next call goes on from.
   *
   * @throws SecretsError `ERR_SECRETS_SIGNER_MISSING`, `ERR_SECRETS_SIGNER_UNAVAILABLE`, `ERR_SECRETS_LEASE_LOST`,
   * `ERR_SECRETS_AUDIT_TAMPERED`, `ERR_SECRETS_ABORTED`
   */
  async sealUnder(env: AuditEnvironment, lease: Lease, options: SealOptions): Promise<AuditSealing> {
    return await orTampered(async () => await this.#seal(env, lease, options));
  }

  async #seal(env: AuditEnvironment, lease: Lease, { onProgress, signal }: SealOptions): Promise<AuditSealing> {
    await consistentTree(env, [await lastCheckpoint(env), this.#remembered]);
    let [sealed, forged] = [0, 0];
    let next: Promise<Batch> | undefined = begin(env, undefined);
    for (let count = 1; next !== undefined; count++) {
      if (signal?.aborted === true) throw new SecretsError('ERR_SECRETS_ABORTED');
      const batch: Batch = await next;
      // Reading and hashing go on while the database is busy with the batch before.
      next = batch.rows.length === BATCH ? begin(env, batch.rows.at(-1)?.id) : undefined;
      sealed += await sealBatch(env, lease, batch);
      forged += batch.forged.length;
      if (batch.rows.length > 0) onProgress?.(sealed);
      if (next === undefined || count % BATCHES_PER_CHECKPOINT === 0) {
        this.#remembered = await signCheckpoint(env, lease, this.#remembered, signal);
      }
    }
    if (forged > 0) env.logger?.error(`${forged} audit rows were not written by the store; audit.seal rows name them.`);
    return { sealed, forged, checkpoint: this.#remembered?.checkpoint };
  }
}

/** Rows that are sealed together, and what was made of them. */
interface Batch {
  readonly rows: readonly AuditRow[];
  readonly leaves: Buffer;
  /** Those that are not authentic. They are sealed too, or they would keep all others waiting. */
  readonly forged: readonly AuditRow[];
}

/** Awaited in its turn, unless something ends the work before: then nobody hears of its failure. */
function begin(env: AuditEnvironment, after: string | undefined): Promise<Batch> {
  const batch = prepare(env, after);
  batch.catch(() => undefined);
  return batch;
}

async function prepare(env: AuditEnvironment, after: string | undefined): Promise<Batch> {
  const rows = await unsealed(env, after);
  await env.keys.load(env.knex, rows);
  const forged: AuditRow[] = [];
  const leaves: Buffer[] = [];
  for (const [index, row] of rows.entries()) {
    const canonical = canonicalRow(row);
    if (!env.audit.isAuthentic(row, canonical)) forged.push(row);
    leaves.push(leafHash(row, canonical));
    if (index % ROWS_PER_TURN === ROWS_PER_TURN - 1) await nextTurn(); // the host has other things to do
  }
  return { rows, leaves: Buffer.concat(leaves), forged };
}

/**
 * The next rows without a leaf. By that alone: a transaction that began long ago commits rows with old ids. `after` only
 * spares a pass the index entries of what it has sealed itself.
 */
async function unsealed({ knex, tables }: AuditEnvironment, after: string | undefined): Promise<readonly AuditRow[]> {
  const query = knex(tables.auditLog).whereNull('leaf_index').orderBy('id').limit(BATCH);
  if (after !== undefined) query.where('id', '>', after);
  const rows = asRows<Omit<AuditRow, 'leaf_index' | 'payload' | 'salt'>>(await query.select(...LEAF_COLUMNS));
  return rows.map((row) => Object.assign(row, { leaf_index: null, payload: null, salt: null }));
}

/** How many rows got their leaves: those of the batch, and those that name the forged ones among them. */
async function sealBatch(env: AuditEnvironment, lease: Lease, { rows, leaves, forged }: Batch): Promise<number> {
  if (rows.length === 0) return 0;
  return await atomically(env.knex, env.dialect, env.tables, async (trx) => {
    await lease.hold(trx);
    const { size, pruned } = await lockTree(trx, env.tables);
    await numberLeaves(env, trx, rows, size);
    // With leaves of their own, so that nobody can remove them before they have one.
    const naming = rowsNaming(env, forged).map((row, index) =>
      Object.assign(row, { leaf_index: size + rows.length + index }),
    );
    if (naming.length > 0) await trx(env.tables.auditLog).insert(naming);
    const all = Buffer.concat([leaves, ...naming.map((row) => leafHash(row))]);
    await appendLeaves(trx, env.tables, size, all);
    await writeTree(trx, env.tables, { size: size + rows.length + naming.length, pruned });
    return rows.length + naming.length;
  });
}

async function numberLeaves(env: AuditEnvironment, trx: Knex, rows: readonly AuditRow[], first: number): Promise<void> {
  const tampered = (): SecretsError =>
    new SecretsError('ERR_SECRETS_AUDIT_TAMPERED', { context: { leafIndex: first } });
  const numbered = await env.dialect.numberLeaves(trx, env.tables, rows, first).catch((error: unknown) => {
    // A row has a leaf that the tree has not come to.
    throw env.dialect.isUniqueViolation(error) ? tampered() : error;
  });
  if (numbered === rows.length) return;
  // SQLite finds a key that is not text by no text.
  if (!rows.every((row) => typeof row.tenant_id === 'string' && typeof row.id === 'string')) throw tampered();
  // Somebody deleted a row, or gave it a leaf by hand, between two statements.
  throw new SecretsError('ERR_SECRETS_DATABASE', { retryable: true });
}

function rowsNaming(env: AuditEnvironment, forged: readonly AuditRow[]): readonly NewAuditRow[] {
  const code = 'ERR_SECRETS_AUDIT_TAMPERED';
  const contexts: Record<string, string | number>[] = forged
    .slice(0, MAX_NAMED)
    .map((row) => ({ code, tenant: row.tenant_id, row: row.id }));
  if (forged.length > MAX_NAMED) contexts.push({ code, more: forged.length - MAX_NAMED });
  return contexts.map((context) =>
    env.audit.rowOf({
      tenantId: SYSTEM_TENANT,
      actor: SYSTEM_TENANT,
      action: 'audit.seal',
      outcome: 'refused',
      context,
    }),
  );
}
