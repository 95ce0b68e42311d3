import { validate as isUuid } from 'uuid';
import { checkLimit, checkText, checkVersion, invalidArgument, readOptions } from './arguments.ts';

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

/** A page by its number. Slower the further it is, and it moves when something before it comes or goes. */
export interface PageOptions {
  /** From 1. */
  readonly page: number;
  /** Items of a page, 1 to 500. @default 50 */
  readonly perPage?: number | undefined;
}

export interface NumberedPage<T> {
  readonly items: readonly T[];
  readonly page: number;
  readonly perPage: number;
  /** Items of all pages. */
  readonly total: number;
  readonly totalPages: number;
}

const MAX_PAGE = 500;
const DEFAULT_PAGE = 50;
const MAX_PAGES = 2 ** 31 - 1;
// Neither names nor ids nor versions have one.
const SEPARATOR = '\0';

/** Keyset: how many items, and the key of the last item of the page before. */
export interface Keyset {
  readonly limit: number;
  readonly after: string | undefined;
}

/** As {@link Keyset}, in order of names, and of ids among those of one name. */
export interface NameKeyset {
  readonly limit: number;
  readonly after: { readonly name: string; readonly id: string } | undefined;
}

/** A page by its number. */
export interface Numbered {
  readonly page: number;
  readonly perPage: number;
}

/** Either way to page; which one is told by its members. */
export type Paging = NameKeyset | Numbered;

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function readPaging(options: ListOptions & Partial<PageOptions>): Paging {
  const { page, perPage = DEFAULT_PAGE, limit, cursor } = options;
  if (page === undefined) {
    if (options.perPage !== undefined) throw invalidArgument('page', 'given with perPage', 'undefined');
    return readNameKeyset({ limit, cursor });
  }
  if (limit !== undefined || cursor !== undefined) {
    throw invalidArgument('page', 'either page and perPage or limit and cursor', 'both');
  }
  return { page: checkLimit(page, MAX_PAGES, 'page'), perPage: checkLimit(perPage, MAX_PAGE, 'perPage') };
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function keysetById(options: ListOptions | undefined): Keyset {
  const keyset = readKeyset(options);
  if (keyset.after !== undefined && !isUuid(keyset.after)) throw invalidCursor(keyset.after);
  return keyset;
}

/** In order of versions. @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function keysetByVersion(options: ListOptions | undefined): Keyset {
  const keyset = readKeyset(options);
  if (keyset.after === undefined) return keyset;
  try {
    checkVersion(Number(keyset.after));
    return keyset;
  } catch {
    throw invalidCursor(keyset.after);
  }
}

/** The page of what was read with one item more than `limit`, to know whether there is another page. */
export function pageOf<T>(
  read: readonly T[],
  { limit }: { readonly limit: number },
  keyOf: (item: T) => string,
): Page<T> {
  const items = read.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: read.length > limit && last !== undefined ? encodeCursor(keyOf(last)) : undefined };
}

export function numberedPage<T>(items: readonly T[], { page, perPage }: Numbered, total: number): NumberedPage<T> {
  return { items, page, perPage, total, totalPages: Math.ceil(total / perPage) };
}

/** What {@link readPaging} finds again in a cursor. */
export function nameKey({ name, id }: { readonly name: string; readonly id: string }): string {
  return name + SEPARATOR + id;
}

export function keysetByName(options: ListOptions | undefined): Keyset {
  return readKeyset(options);
}

function readKeyset(options: ListOptions | undefined): Keyset {
  return readOptions(options, 'options', ({ limit = DEFAULT_PAGE, cursor }) => ({
    limit: checkLimit(limit, MAX_PAGE),
    after: cursor === undefined ? undefined : checkText(decodeCursor(cursor), 'cursor'),
  }));
}

function readNameKeyset({ limit = DEFAULT_PAGE, cursor }: ListOptions): NameKeyset {
  const checked = checkLimit(limit, MAX_PAGE);
  if (cursor === undefined) return { limit: checked, after: undefined };
  const [name = '', id = '', ...more] = decodeCursor(cursor).split(SEPARATOR);
  if (!isUuid(id) || more.length > 0) throw invalidCursor(cursor);
  return { limit: checked, after: { name: checkText(name, 'cursor'), id } };
}

function encodeCursor(key: string): string {
  return Buffer.from(key).toString('base64url');
}

function decodeCursor(cursor: unknown): string {
  const key = typeof cursor === 'string' ? Buffer.from(cursor, 'base64url').toString() : '';
  if (key === '' || encodeCursor(key) !== cursor) throw invalidCursor(cursor);
  return key;
}

function invalidCursor(cursor: unknown): Error {
  return invalidArgument('cursor', 'nextCursor of another page', typeof cursor);
}
