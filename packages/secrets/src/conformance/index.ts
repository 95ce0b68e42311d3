export { type AuditSinkHarness, auditSinkConformance } from './audit-sink.ts';
export type { MakeStoreHarness, StoreHarness } from './harness.ts';
export { storeConformance } from './store.ts';
