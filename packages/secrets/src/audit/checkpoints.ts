import type { Knex } from 'knex';
import { SecretsError } from '../errors.ts';
import type { Lease } from '../internal/lease.ts';
import { asRow } from '../internal/rows.ts';
import { atomically } from '../internal/transactions.ts';
import { type AuditCheckpoint, checkpointText, openCheckpoint } from './checkpoint.ts';
import { type AuditEnvironment, signerOf } from './environment.ts';
import { noteOf } from './note.ts';
import { signedBy } from './signing.ts';
import { consistencyPath, rootOf } from './tree/nodes.ts';
import { equal, provesConsistency } from './tree/proofs.ts';
import { readTree } from './tree/state.ts';
import { tileReader } from './tree/tiles.ts';

/** A checkpoint as it is stored. */
export interface CheckpointRow {
  readonly tree_size: number | string;
  readonly root_hash: Buffer;
  readonly note: string;
}

/** A stored checkpoint, its signature checked. */
export interface TrustedCheckpoint {
  readonly checkpoint: AuditCheckpoint;
  readonly root: Buffer;
}

/** The stored checkpoint of the largest tree, as it is. */
export async function lastCheckpointRow(db: Knex, { tables }: AuditEnvironment): Promise<CheckpointRow | undefined> {
  return asRow<CheckpointRow>(
    await db(tables.auditCheckpoints).orderBy('tree_size', 'desc').first('tree_size', 'root_hash', 'note'),
  );
}

/** `undefined` for a row that is not what one of the signers signed. */
export function trusted(env: AuditEnvironment, row: CheckpointRow): TrustedCheckpoint | undefined {
  const opened = openCheckpoint(row.note, env.noteKeys);
  if (!opened.valid || opened.checkpoint.treeSize !== Number(row.tree_size)) return undefined;
  return row.root_hash instanceof Uint8Array && equal(opened.root, row.root_hash) ? opened : undefined;
}

/** @throws SecretsError `ERR_SECRETS_AUDIT_TAMPERED` */
export async function lastCheckpoint(env: AuditEnvironment): Promise<TrustedCheckpoint | undefined> {
  const row = await lastCheckpointRow(env.knex, env);
  if (row === undefined) return undefined;
  const found = trusted(env, row);
  if (found === undefined) throw new SecretsError('ERR_SECRETS_AUDIT_TAMPERED', { context: { table: 'checkpoints' } });
  return found;
}

/**
 * Checks that the tree in the database begins with the one of every given checkpoint, and returns its size and root. A
 * log must never sign what contradicts what it has signed.
 *
 * @throws SecretsError `ERR_SECRETS_AUDIT_TAMPERED`
 */
export async function consistentTree(
  env: AuditEnvironment,
  earlier: readonly (TrustedCheckpoint | undefined)[],
): Promise<{ readonly size: number; readonly root: Uint8Array }> {
  const { size } = await readTree(env.knex, env.tables);
  const read = tileReader(env.knex, env.tables);
  const newRoot = await rootOf(read, size);
  for (const known of earlier) {
    if (known === undefined) continue;
    const { treeSize: oldSize } = known.checkpoint;
    const path = oldSize > size ? [] : await consistencyPath(read, oldSize, size);
    if (provesConsistency({ oldSize, oldRoot: known.root, newSize: size, newRoot }, path)) continue;
    throw new SecretsError('ERR_SECRETS_AUDIT_TAMPERED', { context: { table: 'leaves', leafIndex: oldSize } });
  }
  return { size, root: newRoot };
}

/**
 * Signs the tree as it is, unless that was done. No transaction is open while the signer works: it may be remote.
 *
 * @throws SecretsError `ERR_SECRETS_AUDIT_TAMPERED`, `ERR_SECRETS_SIGNER_UNAVAILABLE`, `ERR_SECRETS_LEASE_LOST`
 */
export async function signCheckpoint(
  env: AuditEnvironment,
  lease: Lease,
  remembered: TrustedCheckpoint | undefined,
  signal: AbortSignal | undefined,
): Promise<TrustedCheckpoint | undefined> {
  const last = await lastCheckpoint(env);
  const { size, root } = await consistentTree(env, [last, remembered]);
  if (size === 0 || size === last?.checkpoint.treeSize) return last;
  const signer = signerOf(env);
  const text = checkpointText(signer.name, size, root);
  const note = noteOf(text, signer.name, signer.publicKey, await signedBy(signer, Buffer.from(text), signal));
  await atomically(env.knex, env.dialect, env.tables, async (trx) => {
    await lease.hold(trx);
    await trx(env.tables.auditCheckpoints)
      .insert({ tree_size: size, root_hash: Buffer.from(root), note, created_at: new Date() })
      .onConflict('tree_size')
      .merge();
  });
  const rootHash = Buffer.from(root).toString('base64');
  return { checkpoint: { origin: signer.name, treeSize: size, rootHash, note }, root: Buffer.from(root) };
}
