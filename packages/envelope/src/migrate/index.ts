export {
  type BackfillCounts,
  type BackfillFailure,
  type BackfillOptions,
  type BackfillProgress,
  type BackfillResult,
  backfill,
} from './backfill.ts';
export { type Census, type CensusOptions, census, type KidCount } from './census.ts';
export { ColumnMigrationError, type ColumnMigrationErrorCode } from './errors.ts';
export { type Finalised, type FinaliseOptions, finalise } from './finalise.ts';
export { type KnexDatabase, type KnexRowSourceOptions, knexRowSource } from './knex/knex-row-source.ts';
export { type MemoryRowSource, memoryRowSource } from './memory-row-source.ts';
export type { RowChange, RowKey, RowPage, RowSource, ScanOptions, SourceRow } from './row-source.ts';
export type { ColumnConstraint, ColumnRule, EnvelopeForm } from './rule.ts';
export type { Target } from './target.ts';
