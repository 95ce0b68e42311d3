import { KeywrightError, type KeywrightErrorOptions } from '../keywright-error.ts';

const MESSAGES = {
  ERR_COLUMN_INVALID_ARGUMENT: 'An argument is missing or not of the form it must have. The context names it.',
  ERR_COLUMN_PLAINTEXT_REFUSED:
    "The column holds a value that is not encrypted. Encrypt the column's old values first, or read them with `legacy: 'allow'` until that is done.",
  ERR_COLUMN_V1_REFUSED:
    "The column holds a version 1 envelope, which is bound to no row, column or tenant. Encrypt it again as version 2, or read it with `v1: 'allow'` until that is done.",
  ERR_COLUMN_STORED_TYPE:
    "The database gave a value of another type than the codec's storage. Set `storage`, and `jsonAs` for a JSON column, to what the driver gives.",
  ERR_COLUMN_PAYLOAD_TYPE:
    "The stored value is not of the codec's payload type. Set `payload` to what the application really keeps in this column.",
  ERR_COLUMN_VALUE_AMBIGUOUS:
    "The value looks like an envelope and would not be read back if it were stored in the clear. It can be stored once the codec encrypts (`write: 'v2'`).",
  ERR_COLUMN_ROW_KEY_MISSING:
    'The value is bound to its row, and the primary key is not known here. Assign the key before the row is written, and read its columns with the encrypted one.',
  ERR_COLUMN_ROW_KEY_INVALID:
    'A primary key that a value is bound to must be made of non-empty strings, safe integers and bigints. Pass other types as the text that the database shows.',
  ERR_COLUMN_TENANT_MISSING:
    'The value is bound to a tenant, and none is known here. Run the work inside withContext({ tenant }, …), or pass the tenant.',
  ERR_COLUMN_STATEMENT_REFUSED:
    'The statement uses an encrypted column in a way that cannot be encrypted or decrypted here. Write plain values, select the column itself, and compare it with nothing but null.',
} as const;

/** Stable codes of {@link ColumnError}. */
export type ColumnErrorCode = keyof typeof MESSAGES;

/** A value cannot pass through a column codec. `context.table` and `context.field` name the column. */
export class ColumnError extends KeywrightError<ColumnErrorCode> {
  constructor(code: ColumnErrorCode, options: KeywrightErrorOptions = {}) {
    super(code, MESSAGES[code], false, options);
  }
}
// Not in a static block: bundlers rename a class that speaks of itself.
Object.defineProperty(ColumnError.prototype, 'name', { value: 'ColumnError' });
