import { leafHash, payloadMatches } from './canonical.ts';
import { type AuditCheckpoint, openCheckpoint } from './checkpoint.ts';
import { type AuditExportRow, importRow } from './export-row.ts';
import { decodeBase64, type NoteKey, parseVerifierKey } from './note.ts';
import { provesConsistency, provesInclusion } from './tree/proofs.ts';

/** Shows that a row is in the log. It is plain JSON, and needs no database to be verified. */
export interface AuditProof {
  readonly row: AuditExportRow;
  /** Hashes beside the way from the leaf to the root, as base64 (RFC 6962, section 2.1.1). */
  readonly path: readonly string[];
  /** The signed note whose root the way ends at. */
  readonly checkpoint: string;
}

/** Shows that the log of one size begins with that of another. */
export interface AuditConsistencyProof {
  readonly oldSize: number;
  readonly newSize: number;
  /** Base64 (RFC 6962, section 2.1.2). */
  readonly path: readonly string[];
}

/** Whether a proof holds, and of which log; else why not. */
export type ProofVerification =
  | { readonly valid: true; readonly checkpoint: AuditCheckpoint }
  | { readonly valid: false; readonly reason: 'malformed' | 'checkpoint' | 'payload' | 'path' };

/** Verifier keys that are trusted: one, or one after another where the signer was changed. */
export type VerifierKeys = string | readonly string[];

/**
 * Whether a row is in the log that a trusted key has signed. Nothing but the proof and the key is looked at.
 *
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` for a verifier key that is none
 *
 * @example
 * ```ts
 * import { type AuditProof, verifyInclusion } from '@keywright/secrets/audit';
 *
 * export function wasLogged(proof: AuditProof, verifierKey: string): boolean {
 *   return verifyInclusion(proof, verifierKey).valid;
 * }
 * ```
 */
export function verifyInclusion(proof: AuditProof, verifierKeys: VerifierKeys): ProofVerification {
  const keys = noteKeys(verifierKeys);
  const row = importRow(proof?.row);
  const path = hashes(proof?.path);
  if (row === undefined || path === undefined) return { valid: false, reason: 'malformed' };
  const opened = openCheckpoint(proof.checkpoint, keys);
  if (!opened.valid) return { valid: false, reason: 'checkpoint' };
  if (!payloadMatches(row)) return { valid: false, reason: 'payload' };
  const { treeSize } = opened.checkpoint;
  const claim = { leafIndex: proof.row.leaf, leafHash: leafHash(row), treeSize, rootHash: opened.root };
  return provesInclusion(claim, path)
    ? { valid: true, checkpoint: opened.checkpoint }
    : { valid: false, reason: 'path' };
}

/**
 * Whether the log of a newer checkpoint begins with that of an older one: nothing before was edited, removed or put in
 * another order. The checkpoint of the answer is the newer one.
 *
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` for a verifier key that is none
 */
export function verifyConsistency(
  proof: AuditConsistencyProof,
  checkpoints: { readonly older: string; readonly newer: string },
  verifierKeys: VerifierKeys,
): ProofVerification {
  const keys = noteKeys(verifierKeys);
  const path = hashes(proof?.path);
  if (path === undefined) return { valid: false, reason: 'malformed' };
  const older = openCheckpoint(checkpoints.older, keys);
  const newer = openCheckpoint(checkpoints.newer, keys);
  if (!older.valid || !newer.valid) return { valid: false, reason: 'checkpoint' };
  const claim = {
    oldSize: older.checkpoint.treeSize,
    oldRoot: older.root,
    newSize: newer.checkpoint.treeSize,
    newRoot: newer.root,
  };
  return provesConsistency(claim, path)
    ? { valid: true, checkpoint: newer.checkpoint }
    : { valid: false, reason: 'path' };
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function noteKeys(verifierKeys: VerifierKeys): readonly NoteKey[] {
  const texts: readonly unknown[] = Array.isArray(verifierKeys) ? verifierKeys : [verifierKeys];
  return texts.map((text) => parseVerifierKey(text, 'verifierKey'));
}

function hashes(path: unknown): readonly Uint8Array[] | undefined {
  if (!Array.isArray(path) || path.length > 128) return undefined;
  const decoded = path.map((hash: unknown) => (typeof hash === 'string' ? decodeBase64(hash) : undefined));
  return decoded.every((hash) => hash !== undefined) ? decoded : undefined;
}
