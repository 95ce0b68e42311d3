import { SecretsError } from './errors.ts';

const MAX_NAME = 255;
const MAX_METADATA_BYTES = 16 * 1024;
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
  if (typeof text !== 'string') throw invalidArgument(argument, expected, text === null ? 'null' : typeof text);
  if (text.length === 0 || text.length > MAX_NAME) {
    throw invalidArgument(argument, expected, `string of length ${text.length}`);
  }
  if (CONTROL.test(text) || !text.isWellFormed()) throw invalidArgument(argument, expected, 'other characters');
  return text;
}

export function checkVersion(version: unknown): number {
  if (Number.isSafeInteger(version) && (version as number) > 0 && (version as number) < 2 ** 31) {
    return version as number;
  }
  throw invalidArgument('version', 'a positive integer', typeof version);
}

export function checkLimit(limit: unknown, max: number): number {
  if (Number.isSafeInteger(limit) && (limit as number) > 0 && (limit as number) <= max) return limit as number;
  throw invalidArgument('limit', `an integer from 1 to ${max}`, typeof limit);
}

/**
 * The JSON text of metadata. NUL and lone surrogates are refused here, because jsonb refuses them later, in the middle
 * of a caller's transaction.
 */
export function metadataText(metadata: unknown, argument: string): string {
  const expected = 'a JSON object of at most 16 KiB';
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw invalidArgument(argument, expected, typeof metadata);
  }
  let text: string;
  try {
    text = JSON.stringify(metadata, (key, value: unknown) => {
      if (!storable(key) || (typeof value === 'string' && !storable(value))) throw new TypeError('not storable');
      return value;
    });
  } catch {
    throw invalidArgument(argument, expected, 'what JSON or the database cannot hold');
  }
  if (Buffer.byteLength(text) > MAX_METADATA_BYTES) {
    throw invalidArgument(argument, expected, `${Buffer.byteLength(text)} bytes`);
  }
  return text;
}

export function invalidArgument(argument: string, expected: string, received: string): SecretsError {
  return new SecretsError('ERR_SECRETS_INVALID_ARGUMENT', { context: { argument, expected, received } });
}

function storable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}
