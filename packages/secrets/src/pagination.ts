import { validate as isUuid } from 'uuid';
import { checkLimit, checkText, invalidArgument, readOptions } from './arguments.ts';

export interface ListOptions {
  /** Items of a page, 1 to 500. @default 50 */
  readonly limit?: number | undefined;
  /** `nextCursor` of the page before. */
  readonly cursor?: string | undefined;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Where the next page starts; undefined on the last. */
  readonly nextCursor: string | undefined;
}

const MAX_PAGE = 500;
const DEFAULT_PAGE = 50;

/** Keyset: how many items, and the key of the last item of the page before. */
export interface Keyset {
  readonly limit: number;
  readonly after: string | undefined;
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function keysetByName(options: ListOptions | undefined): Keyset {
  return readOptions(options, 'options', ({ limit = DEFAULT_PAGE, cursor }) => ({
    limit: checkLimit(limit, MAX_PAGE),
    after: cursor === undefined ? undefined : decodeCursor(cursor),
  }));
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function keysetById(options: ListOptions | undefined): Keyset {
  const keyset = keysetByName(options);
  if (keyset.after !== undefined && !isUuid(keyset.after)) throw invalidCursor(keyset.after);
  return keyset;
}

/** The page of what was read with one item more than `limit`, to know whether there is another page. */
export function pageOf<T>(read: readonly T[], { limit }: Keyset, keyOf: (item: T) => string): Page<T> {
  const items = read.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: read.length > limit && last !== undefined ? encodeCursor(keyOf(last)) : undefined };
}

function encodeCursor(key: string): string {
  return Buffer.from(key).toString('base64url');
}

function decodeCursor(cursor: unknown): string {
  const key = typeof cursor === 'string' ? Buffer.from(cursor, 'base64url').toString() : '';
  if (key === '' || encodeCursor(key) !== cursor) throw invalidCursor(cursor);
  return checkText(key, 'cursor');
}

function invalidCursor(cursor: unknown): Error {
  return invalidArgument('cursor', 'nextCursor of another page', typeof cursor);
}
