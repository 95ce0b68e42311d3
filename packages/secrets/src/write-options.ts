import { checkLimit, checkVersion, invalidArgument, kindOf, type Metadata, readOptions } from './arguments.ts';
import { type Attributes, checkDate, readAttributes, type SecretAttributes } from './attributes.ts';
import { type Conditional, checkExpected, checkExpectedOrNone } from './conditions.ts';
import { plainJson } from './internal/plain-json.ts';
import type { SecretValue } from './value.ts';

export interface SaveOptions extends SecretAttributes, Conditional {
  /** Refuse if the name is taken, instead of adding a version. @default false */
  readonly ifAbsent?: boolean | undefined;
  /**
   * Compare-and-set: refuse unless this is the current version, or, with 0, unless there is no secret of that name.
   * @default whatever it is
   */
  readonly expectedVersion?: number | undefined;
}

export interface UpdateChanges extends Omit<SecretAttributes, 'metadata'> {
  /** A new value makes a new version. */
  readonly value?: SecretValue | object | undefined;
  /** JSON merge patch (RFC 7396): null removes a member. */
  readonly metadata?: Metadata | undefined;
}

/** Options of `purgeDeleted`. */
export interface PurgeOptions {
  /** Those that were deleted before. @default all that were deleted */
  readonly before?: Date | undefined;
  /** How many of them, 1 to 1,000: what one transaction removes. @default 100 */
  readonly limit?: number | undefined;
}

const DEFAULT_PURGE = 100;
const MAX_PURGE = 1_000;
const MAX_DESTROY = 1_000;

export interface CheckedSave {
  readonly attributes: Attributes;
  readonly ifAbsent: boolean;
  readonly expected: number | undefined;
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function readSaveOptions(options: SaveOptions | undefined): CheckedSave {
  return readOptions(options, 'options', (given) => ({
    attributes: readAttributes(given, 'replace'),
    ifAbsent: given.ifAbsent === true,
    expected: checkExpectedOrNone(given.expectedVersion),
  }));
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function readChanges(changes: UpdateChanges): {
  readonly value: SecretValue | object | undefined;
  readonly attributes: Attributes;
} {
  const read = readOptions(changes ?? null, 'changes', (given) => ({
    value: given.value,
    attributes: readAttributes(given, 'merge'),
  }));
  const { value, attributes } = read;
  if (value === undefined && Object.values(attributes).every((attribute) => attribute === undefined)) {
    throw invalidArgument('changes', 'something to change', 'nothing');
  }
  return read;
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function readCondition(options: Conditional | undefined): number | undefined {
  return readOptions(options, 'options', ({ expectedVersion }) => checkExpected(expectedVersion));
}

/** The JSON text of a merge patch. @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function readPatch(patch: unknown, maxBytes: number): string {
  const expected = 'a plain object of JSON data, no larger than a value';
  const json = plainJson(patch, maxBytes);
  if ('text' in json && json.text.startsWith('{')) return json.text;
  const received = 'text' in json ? kindOf(patch) : 'refused' in json ? json.refused : 'more';
  throw invalidArgument('patch', expected, received);
}

/** Distinct versions. @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function readVersions(versions: number | readonly number[]): readonly number[] {
  if (!Array.isArray(versions)) return [checkVersion(versions)];
  if (versions.length === 0 || versions.length > MAX_DESTROY) {
    throw invalidArgument('version', `1 to ${MAX_DESTROY} versions`, `${versions.length} of them`);
  }
  return [...new Set(versions.map((version: unknown) => checkVersion(version)))];
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function readPurge(options: PurgeOptions | undefined): {
  readonly before: Date | undefined;
  readonly limit: number;
} {
  return readOptions(options, 'options', ({ before, limit = DEFAULT_PURGE }) => ({
    before: before === undefined ? undefined : checkDate(before, 'before'),
    limit: checkLimit(limit, MAX_PURGE),
  }));
}
