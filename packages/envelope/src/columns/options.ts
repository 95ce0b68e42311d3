import { usableEntry } from '../keyring.ts';
import { describe } from '../keywright-error.ts';
import type { ColumnCodecOptions } from './column-codec.ts';
import { ColumnError } from './errors.ts';
import { isName } from './place.ts';

/** Options with their defaults, checked against each other, frozen. */
export type CheckedOptions = {
  readonly [Option in Exclude<keyof ColumnCodecOptions, 'tenant' | 'onLegacy'>]-?: NonNullable<
    ColumnCodecOptions[Option]
  >;
} & Pick<ColumnCodecOptions, 'tenant' | 'onLegacy'>;

const DEFAULTS = Object.freeze({ binds: 'row', payload: 'json', legacy: 'reject', v1: 'reject', write: 'v2' });
const CHOICES = Object.freeze({
  binds: ['row', 'column'],
  payload: ['json', 'text', 'bytes'],
  storage: ['text', 'json', 'bytes'],
  jsonAs: ['object', 'string'],
  legacy: ['reject', 'allow'],
  v1: ['reject', 'allow'],
  write: ['plaintext', 'v1', 'v2'],
});

/** @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT`; KeyringError `ERR_KEYRING_INVALID_ARGUMENT` */
export function checkOptions(options: ColumnCodecOptions): CheckedOptions {
  if (typeof options !== 'object' || options === null) throw invalid('options', 'an object', describe(options));
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const storage = given.payload === 'bytes' ? 'bytes' : 'text';
  const checked = { ...DEFAULTS, storage, jsonAs: 'object', ...given } as CheckedOptions;
  const { keyring, table, column, tenant, onLegacy, payload, write } = checked;
  usableEntry(keyring, keyring?.activeKid);
  if (!isName(table)) throw invalid('table', 'a text that is not empty', describe(table));
  if (!isName(column)) throw invalid('column', 'a text that is not empty', describe(column));
  for (const [argument, choices] of Object.entries(CHOICES)) {
    const value = checked[argument as keyof typeof CHOICES];
    if (!choices.includes(value)) throw invalid(argument, choices.join(' | '), describe(value));
  }
  if (tenant !== undefined && typeof tenant !== 'function' && !isName(tenant)) {
    throw invalid('tenant', 'a text that is not empty, or a function', describe(tenant));
  }
  if (onLegacy !== undefined && typeof onLegacy !== 'function') {
    throw invalid('onLegacy', 'a function', describe(onLegacy));
  }
  // Bytes in a text column have as many old spellings as there were programs.
  if (payload === 'bytes' && checked.storage !== 'bytes')
    throw invalid('storage', "'bytes' for bytes", checked.storage);
  if (write === 'v1' && checked.storage === 'bytes') throw invalid('write', "'v2' for bytes", write);
  // A codec that cannot read what it writes loses it.
  if (write === 'plaintext' && checked.legacy === 'reject') throw invalid('legacy', "'allow' to write it", 'reject');
  if (write === 'v1' && checked.v1 === 'reject') throw invalid('v1', "'allow' to write it", 'reject');
  return Object.freeze(checked);
}

/** An argument of a codec or an adapter that is not what it must be. */
export function invalid(argument: string, expected: string, received: string): ColumnError {
  return new ColumnError('ERR_COLUMN_INVALID_ARGUMENT', { context: { argument, expected, received } });
}
