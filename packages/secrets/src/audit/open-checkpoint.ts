import { type AuditCheckpoint, openCheckpoint } from './checkpoint.ts';
import { noteKeys, type VerifierKeys } from './offline-proof.ts';

/** A signed note that was looked at: the checkpoint in it, or why it is not to be believed. */
export type SignedCheckpoint =
  | { readonly valid: true; readonly checkpoint: AuditCheckpoint }
  | { readonly valid: false; readonly reason: 'malformed' | 'unknown-key' | 'signature' };

/**
 * Reads a signed note, if one of these keys has signed it as the log of its own name.
 *
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` for a verifier key that is none
 */
export function openSignedCheckpoint(note: string, verifierKeys: VerifierKeys): SignedCheckpoint {
  const opened = openCheckpoint(note, noteKeys(verifierKeys));
  return opened.valid ? { valid: true, checkpoint: opened.checkpoint } : opened;
}
