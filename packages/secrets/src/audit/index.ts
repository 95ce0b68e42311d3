export type { AuditSink, AuditSinkEntry, AuditSinkOptions } from '@keywright/envelope';
export type { AuditCheckpoint } from './checkpoint.ts';
export type { AuditExportRow } from './export-row.ts';
export type { AuditDamage, AuditFinding, AuditFindingReason } from './finding.ts';
export { createJsonLinesSink } from './json-lines-sink.ts';
export {
  type AuditExportVerification,
  type ExportHeader,
  type VerifyExportOptions,
  verifyAuditExport,
} from './offline-export.ts';
export {
  type AuditConsistencyProof,
  type AuditProof,
  type ProofVerification,
  type VerifierKeys,
  verifyConsistency,
  verifyInclusion,
} from './offline-proof.ts';
export { openSignedCheckpoint, type SignedCheckpoint } from './open-checkpoint.ts';
export {
  type AuditSigner,
  createEd25519Signer,
  type Ed25519SignerOptions,
  type GeneratedAuditSigner,
  generateAuditSigner,
  verifierKey,
} from './signer.ts';
