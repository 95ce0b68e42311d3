import { isKeywrightError } from '@keywright/envelope';
import { SecretsError } from './errors.ts';
import { plainJson } from './internal/plain-json.ts';

const MAX_NAME = 255;
const MAX_METADATA_BYTES = 16 * 1024;
const MAX_METADATA_DEPTH = 32;
const CONTROL = /\p{Cc}/u;

/** Ids that start so belong to the store itself. */
const RESERVED = '$';

/** Owner of what no tenant owns: the audit key, audit rows of root rotation. */
export const SYSTEM_TENANT = '$system';

/** What JSON can represent, with an object at the top: public facts beside a secret, stored in the clear. */
export type Metadata = Readonly<Record<string, unknown>>;

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkTenantId(tenantId: unknown): string {
  const checked = checkText(tenantId, 'tenantId');
  if (checked.startsWith(RESERVED)) throw invalidArgument('tenantId', 'an id that does not start with "$"', 'reserved');
  return checked;
}

/** A secret's name or an actor: 1 to 255 characters, well-formed, no control characters. */
export function checkText(text: unknown, argument: string): string {
  const expected = `1 to ${MAX_NAME} characters without control characters`;
  if (typeof text !== 'string') throw invalidArgument(argument, expected, kindOf(text));
  if (text.length === 0 || text.length > MAX_NAME) {
    throw invalidArgument(argument, expected, `string of length ${text.length}`);
  }
  if (CONTROL.test(text) || !text.isWellFormed()) throw invalidArgument(argument, expected, 'other characters');
  return text;
}

export function checkVersion(version: unknown, argument = 'version'): number {
  return checkInteger(version, argument, 2 ** 31 - 1);
}

export function checkLimit(limit: unknown, max: number, argument = 'limit'): number {
  return checkInteger(limit, argument, max);
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkInteger(value: unknown, argument: string, max: number): number {
  if (Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= max) return value as number;
  throw invalidArgument(argument, `an integer from 1 to ${max}`, kindOf(value));
}

/**
 * The JSON text of metadata. NUL and lone surrogates are refused here, because jsonb refuses them later, in the middle
 * of a caller's transaction.
 */
export function metadataText(metadata: unknown, argument: string): string {
  const expected = 'a plain object of JSON data, at most 16 KiB and 32 levels';
  const json = plainJson(metadata, MAX_METADATA_BYTES, storable);
  if ('tooLong' in json) throw invalidArgument(argument, expected, 'more');
  if ('refused' in json) throw invalidArgument(argument, expected, json.refused);
  if (!json.text.startsWith('{')) throw invalidArgument(argument, expected, kindOf(metadata));
  if (depthOf(json.text) > MAX_METADATA_DEPTH) throw invalidArgument(argument, expected, 'more levels');
  return json.text;
}

/**
 * Reads a caller's options: nothing is no options, and an object may have getters that throw.
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`
 */
export function readOptions<Options extends object, Read>(
  options: Options | undefined,
  argument: string,
  read: (options: Partial<Options>) => Read,
): Read {
  if (options !== undefined && (typeof options !== 'object' || options === null)) {
    throw invalidArgument(argument, 'an object', kindOf(options));
  }
  try {
    return read(options ?? {});
  } catch (error) {
    if (isKeywrightError(error)) throw error;
    throw invalidArgument(argument, 'an object whose members can be read', 'an object that throws');
  }
}

/** Type of an argument that is refused; its value is not shown. */
export function kindOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

export function invalidArgument(argument: string, expected: string, received: string): SecretsError {
  return new SecretsError('ERR_SECRETS_INVALID_ARGUMENT', { context: { argument, expected, received } });
}

/** Levels of objects and arrays in a JSON text. */
export function depthOf(json: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[[{\]}]/g)) {
    if (token === '{' || token === '[') deepest = Math.max(deepest, ++depth);
    else if (token === '}' || token === ']') depth--;
  }
  return deepest;
}

function storable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}
