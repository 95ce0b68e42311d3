import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import { quoted, type Tables } from '../tables.ts';

/** A name and its SQL type. */
export type Typed = readonly [name: string, type: string];

/**
 * SQL that is sent very often: prepared once per connection under a name of its own, with `$1`, `$2` … for its
 * parameters. Where the database isolates tenants it is the body of a function, which sets the tenant first.
 */
export interface Statement {
  /** Name of the function that wraps it, without prefix and schema. */
  readonly name: string;
  /** In order. The first is always `tenants text[]`; a call of the function has those of one tenant side by side. */
  readonly parameters: readonly Typed[];
  /** In order; none for a statement that returns no rows. */
  readonly columns: readonly Typed[];
  readonly sql: string;
}

/** Whether a statement that reads secrets writes the audit rows of that. */
export type GetKind = 'audited' | 'unaudited';

/** Whether it takes one secret, or arrays of them. */
export type GetForm = 'one' | 'many';

/** The SQL that calls the function around a statement, with the statement's parameters and columns. */
export function callOf(statement: Statement, tables: Tables): string {
  const values = statement.parameters.map(([, type], index) => `$${index + 1}::${type}`).join(', ');
  const columns = statement.columns.map(([name]) => name).join(', ') || '*';
  return `select ${columns} from ${quoted(functionName(statement, tables))}(${values})`;
}

/** Name of the function around a statement, with prefix and schema, not quoted. */
export function functionName({ name }: Statement, tables: Tables): string {
  const plain = tables.plain(name);
  return tables.schema === undefined ? plain : `${tables.schema}.${plain}`;
}

/** What is sent: a statement's text as this store's connections take it. */
export interface PreparedText {
  readonly text: string;
  /** `undefined` where connections keep no prepared statements. */
  readonly name: string | undefined;
}

/** Fields of a row in the order of the statement's columns, as PostgreSQL writes them. */
export type Fields = readonly (string | null)[];

export interface PrepareOptions {
  /** Whether connections keep prepared statements. */
  readonly named: boolean;
  /** Whether tenants are isolated by the database, so that the function around the statement has to be called. */
  readonly isolated: boolean;
}

export function prepare(statement: Statement, tables: Tables, { named, isolated }: PrepareOptions): PreparedText {
  const text = isolated ? callOf(statement, tables) : statement.sql;
  // Stores with tables of other names may share a connection, where one name can have one text.
  const digest = createHash('sha256').update(text).digest('base64url').slice(0, 12);
  return { text, name: named ? `keywright_${statement.name}_${digest}` : undefined };
}

// Statements of ours return numbers, booleans and text only, and their readers convert them.
const AS_TEXT = { getTypeParser: () => asText } as const;

// What a pooler says that gave us another connection than the one that the statement was prepared on, and PostgreSQL
// when a table was altered since. Nothing was run.
const STALE = /^(?:26000|42P05|0A000)$/;

/**
 * Sends a statement by way of knex, as lean as that goes: values travel in the query's options, which reach the driver as
 * they are, so knex neither looks through the text nor keeps them as bindings, which it would show in errors.
 */
export async function send(
  db: Knex,
  { text, name }: PreparedText,
  values: readonly unknown[],
): Promise<readonly Fields[]> {
  const options = { values, rowMode: 'array', types: AS_TEXT };
  if (name === undefined) return rowsOf(await db.raw(text).options(options));
  try {
    return rowsOf(await db.raw(text).options({ ...options, name }));
  } catch (error) {
    if (db.isTransaction || !STALE.test(String((error as { readonly code?: unknown } | undefined)?.code))) throw error;
    return rowsOf(await db.raw(text).options(options));
  }
}

/** The rows, whatever a host's `postProcessResponse` returns in place of the driver's result. */
function rowsOf(result: unknown): readonly Fields[] {
  return (Array.isArray(result) ? result : (result as { readonly rows: readonly unknown[] }).rows) as readonly Fields[];
}

function asText(text: string): string {
  return text;
}
