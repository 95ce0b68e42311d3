export type {
  ColumnCodec,
  ColumnCodecOptions,
  ColumnPayload,
  ColumnPlace,
  ColumnStorage,
  LegacyRead,
  StoredForm,
} from './column-codec.ts';
export { columnCodec } from './define-codec.ts';
export { ColumnError, type ColumnErrorCode } from './errors.ts';
export { type ColumnScope, tenantFromContext, withContext } from './tenant-context.ts';
