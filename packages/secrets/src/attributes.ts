import { checkText, invalidArgument, kindOf, type Metadata, metadataText } from './arguments.ts';
import { mergePatch } from './merge-patch.ts';

/** What a secret has beside its value, as it is given to `save`. */
export interface SecretAttributes {
  /** Public facts, stored in the clear, at most 16 KiB of JSON and 32 levels. @default what the secret has, or {} */
  readonly metadata?: Metadata | undefined;
  /** What the secret is, at most 64 characters; not interpreted. @default what the secret has, or null */
  readonly authType?: string | null | undefined;
  /** What it is for, in the clear, at most 1,024 characters. @default what the secret has, or null */
  readonly description?: string | null | undefined;
  /** Labels to find it by, in the clear: at most 64, each of 1 to 128 characters. @default what the secret has, or none */
  readonly tags?: readonly string[] | undefined;
  /** From then on its value is read no more; null for never. @default what the secret has, or null */
  readonly expiresAt?: Date | null | undefined;
  /** Change it only with `expectedVersion` from then on. @default what the secret has, or false */
  readonly casRequired?: boolean | undefined;
  /**
   * How many of its newest versions are kept; those before them are removed by the next save. Null for the store's own
   * limit.
   * @default what the secret has, or null
   */
  readonly maxVersions?: number | null | undefined;
}

/** Checked attributes in column form. What is undefined stays as it is. */
export interface Attributes {
  /** JSON text, given what it is now. */
  readonly metadata: ((current: Metadata) => string) | undefined;
  readonly authType: string | null | undefined;
  readonly description: string | null | undefined;
  /** JSON text; null for none. */
  readonly tags: string | null | undefined;
  /** Milliseconds since 1970. */
  readonly expiresAt: number | null | undefined;
  readonly casRequired: boolean | undefined;
  readonly maxVersions: number | null | undefined;
}

/** Nothing is changed but the value. */
export const UNCHANGED: Attributes = Object.freeze({
  metadata: undefined,
  authType: undefined,
  description: undefined,
  tags: undefined,
  expiresAt: undefined,
  casRequired: undefined,
  maxVersions: undefined,
});

const MAX_AUTH_TYPE = 64;
const MAX_DESCRIPTION = 1_024;
const MAX_TAGS = 64;
const MAX_TAG = 128;
const MAX_VERSIONS = 2 ** 31 - 1;
/** The end of the year 9999, which every database can hold. */
export const MAX_TIME = 253_402_300_799_999;
// Line breaks and tabs apart.
const CONTROL = /[^\P{Cc}\n\r\t]/u;

/**
 * @param metadata whether it takes the place of what is there, or is merged into it (RFC 7396)
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`
 */
export function readAttributes(given: SecretAttributes, metadata: 'replace' | 'merge'): Attributes {
  const { authType, description, tags, expiresAt, casRequired, maxVersions } = given;
  return {
    metadata: readMetadata(given.metadata, metadata),
    authType: optional(authType, checkAuthType),
    description: optional(description, checkDescription),
    tags: tags === undefined ? undefined : tagsText(checkTags(tags, 'tags')),
    expiresAt: optional(expiresAt, (date) => checkDate(date, 'expiresAt').getTime()),
    casRequired: casRequired === undefined ? undefined : checkBoolean(casRequired, 'casRequired'),
    maxVersions: optional(maxVersions, checkMaxVersions),
  };
}

/** A valid date from 1970 to 9999; a copy. @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkDate(date: unknown, argument: string): Date {
  const expected = 'a valid Date from 1970 to 9999';
  if (!(date instanceof Date)) throw invalidArgument(argument, expected, kindOf(date));
  // Not `date.getTime()`: a subclass may have its own.
  const at = Date.prototype.getTime.call(date);
  if (at >= 0 && at <= MAX_TIME) return new Date(at);
  throw invalidArgument(argument, expected, Number.isNaN(at) ? 'an invalid Date' : 'another Date');
}

/** Distinct tags in the order they were given. @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkTags(tags: unknown, argument: string): readonly string[] {
  const expected = `at most ${MAX_TAGS} texts of 1 to ${MAX_TAG} characters without control characters`;
  if (!Array.isArray(tags)) throw invalidArgument(argument, expected, kindOf(tags));
  if (tags.length > MAX_TAGS) throw invalidArgument(argument, expected, `${tags.length} of them`);
  const checked = new Set<string>();
  for (const tag of tags as readonly unknown[]) {
    if (checkText(tag, argument).length > MAX_TAG) throw invalidArgument(argument, expected, 'a longer one');
    checked.add(tag as string);
  }
  return [...checked];
}

export function checkAuthType(authType: unknown): string {
  const checked = checkText(authType, 'authType');
  if (checked.length <= MAX_AUTH_TYPE) return checked;
  throw invalidArgument('authType', `at most ${MAX_AUTH_TYPE} characters`, `string of length ${checked.length}`);
}

export function checkBoolean(value: unknown, argument: string): boolean {
  if (typeof value === 'boolean') return value;
  throw invalidArgument(argument, 'a boolean', kindOf(value));
}

export function checkMaxVersions(value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= MAX_VERSIONS) return value as number;
  throw invalidArgument('maxVersions', 'an integer from 1 to 2^31 - 1', kindOf(value));
}

function checkDescription(description: unknown): string {
  const expected = `at most ${MAX_DESCRIPTION} characters, of control characters only line breaks and tabs`;
  if (typeof description !== 'string') throw invalidArgument('description', expected, kindOf(description));
  if (description.length > MAX_DESCRIPTION) {
    throw invalidArgument('description', expected, `string of length ${description.length}`);
  }
  if (!CONTROL.test(description) && description.isWellFormed()) return description;
  throw invalidArgument('description', expected, 'other characters');
}

function readMetadata(metadata: unknown, how: 'replace' | 'merge'): Attributes['metadata'] {
  if (metadata === undefined) return undefined;
  const text = metadataText(metadata, 'metadata');
  if (how === 'replace') return () => text;
  return (current) => metadataText(mergePatch(current, JSON.parse(text) as Metadata), 'metadata');
}

function tagsText(tags: readonly string[]): string | null {
  return tags.length === 0 ? null : JSON.stringify(tags);
}

function optional<Given, Read>(value: Given | null | undefined, read: (value: Given) => Read): Read | null | undefined {
  if (value === undefined || value === null) return value as null | undefined;
  return read(value);
}
