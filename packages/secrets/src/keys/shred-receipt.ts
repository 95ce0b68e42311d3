import { noteOf } from '../audit/note.ts';
import type { AuditSigner } from '../audit/signer.ts';
import { signedBy } from '../audit/signing.ts';

/** A tenant key that is gone. */
export interface ShreddedKey {
  readonly id: string;
  /** The root key that it was under: whoever has that and a backup can unwrap it. */
  readonly rootKey: string;
  readonly createdAt: string;
  readonly destroyedAt: string;
}

/** What is written down of a shredded tenant. Times are ISO 8601, UTC. */
export interface ShredFacts {
  readonly tenantId: string;
  /** When this was written; the keys say when each of them was destroyed. */
  readonly at: string;
  /** Who asked for it. The tenant's audit log says who asked first. */
  readonly actor: string;
  readonly keys: readonly ShreddedKey[];
  /** Secrets, and versions with a value, that cannot be read any more. */
  readonly secrets: number;
  readonly versions: number;
  /** Until then backups may hold the wrapped keys, as the caller said. */
  readonly backupHorizonDays: number;
  readonly recoverableFromBackupsUntil: string;
  /** What is still in the database, in the clear. */
  readonly remaining: readonly string[];
  /** What the store knows nothing of. */
  readonly outside: readonly string[];
}

/** A receipt for the destruction of all of a tenant's keys. */
export interface ShredReceipt extends ShredFacts {
  /** Name of the audit signer that signed {@link note}; null where none is configured. */
  readonly signedBy: string | null;
  /**
   * The facts as text: a line that says what it is, a line of JSON, and, where there is a signer, its signature: a signed
   * note (C2SP) that `verifierKey(signer)` checks.
   */
  readonly note: string;
}

export const REMAINING: readonly string[] = Object.freeze([
  'names, descriptions, tags and metadata of secrets, until they are purged',
  'the audit log',
  'ciphertexts, which nothing opens',
]);

export const OUTSIDE: readonly string[] = Object.freeze([
  'files of the database itself: they hold the wrapped keys until the space is used again (VACUUM)',
  'backups, replicas that lag behind, and write-ahead logs: they hold the wrapped keys until they expire',
  'signing keys of a KMS, software ones included, and key chains',
  'values that were read before: in caches, in memory, with the systems they were sent to',
]);

/** First line of a receipt. It has spaces, so it can never be taken for the origin of a checkpoint. */
const TITLE = 'Keywright shred receipt v1';

/** @throws SecretsError `ERR_SECRETS_SIGNER_UNAVAILABLE` */
export async function receiptOf(facts: ShredFacts, signer: AuditSigner | undefined): Promise<ShredReceipt> {
  const text = `${TITLE}\n${JSON.stringify(facts)}\n`;
  if (signer === undefined) return Object.freeze({ ...facts, signedBy: null, note: text });
  const signature = await signedBy(signer, Buffer.from(text), undefined);
  const note = noteOf(text, signer.name, signer.publicKey, signature);
  return Object.freeze({ ...facts, signedBy: signer.name, note });
}
