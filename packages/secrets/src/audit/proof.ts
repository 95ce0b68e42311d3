import { SecretsError } from '../errors.ts';
import { asRow } from '../internal/rows.ts';
import { lastCheckpoint, type TrustedCheckpoint } from './checkpoints.ts';
import type { AuditEnvironment } from './environment.ts';
import { exportRow } from './export-row.ts';
import type { AuditConsistencyProof, AuditProof } from './offline-proof.ts';
import { AUDIT_COLUMNS, type AuditRow } from './row.ts';
import { orTampered } from './tampered.ts';
import { consistencyPath, inclusionPath } from './tree/nodes.ts';
import { readTree } from './tree/state.ts';
import { tileReader } from './tree/tiles.ts';

/**
 * What shows offline that a row is in the log of the last checkpoint.
 *
 * @throws SecretsError `ERR_SECRETS_NOT_FOUND` where there is no such row, `ERR_SECRETS_NOT_SEALED` where no checkpoint
 * covers it yet, `ERR_SECRETS_AUDIT_TAMPERED`
 */
export async function proveInclusion(env: AuditEnvironment, tenantId: string, rowId: string): Promise<AuditProof> {
  const { knex, tables } = env;
  const row = asRow<AuditRow>(
    await knex(tables.auditLog)
      .where({ tenant_id: tenantId, id: rowId })
      .first(...AUDIT_COLUMNS),
  );
  const context = { tenantId, rowId };
  if (row === undefined) throw new SecretsError('ERR_SECRETS_NOT_FOUND', { context });
  const last = await lastCheckpoint(env);
  const leafIndex = Number(row.leaf_index ?? Number.NaN);
  if (last === undefined || !(leafIndex < last.checkpoint.treeSize)) {
    throw new SecretsError('ERR_SECRETS_NOT_SEALED', { context });
  }
  const { treeSize, note } = last.checkpoint;
  const path = await orTampered(() => inclusionPath(tileReader(knex, tables), leafIndex, treeSize));
  return { row: exportRow(row), path: path.map(base64), checkpoint: note };
}

/**
 * What shows offline that the log of one size begins with that of another.
 *
 * @throws SecretsError `ERR_SECRETS_NOT_FOUND` where the tree never had the size or its hashes were pruned,
 * `ERR_SECRETS_AUDIT_TAMPERED`
 */
export async function proveConsistency(
  env: AuditEnvironment,
  oldSize: number,
  newSize: number,
): Promise<AuditConsistencyProof> {
  const { size, pruned } = await readTree(env.knex, env.tables);
  const known = (one: number): boolean => one === 0 || (one >= pruned && one <= size);
  if (oldSize > newSize || !known(oldSize) || !known(newSize)) {
    throw new SecretsError('ERR_SECRETS_NOT_FOUND', { context: { leafIndex: Math.max(oldSize, newSize) } });
  }
  const path = await orTampered(() => consistencyPath(tileReader(env.knex, env.tables), oldSize, newSize));
  return { oldSize, newSize, path: path.map(base64) };
}

/** The last checkpoint, if there is one. @throws SecretsError `ERR_SECRETS_AUDIT_TAMPERED` */
export async function findCheckpoint(env: AuditEnvironment): Promise<TrustedCheckpoint['checkpoint'] | undefined> {
  return (await lastCheckpoint(env))?.checkpoint;
}

function base64(hash: Uint8Array): string {
  return Buffer.from(hash).toString('base64');
}
