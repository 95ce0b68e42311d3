import type { DemoDatabase } from './database.ts';

const TABLES = ['secrets', 'secret_versions', 'secret_tenant_keys', 'secret_root_keys', 'secret_audit_log'];

/** Where any of the strings lies in the clear: in a column of a table, or in the database's files. */
export async function findPlaintext(database: DemoDatabase, secrets: readonly string[]): Promise<readonly string[]> {
  const needles = secrets.map((secret) => Buffer.from(secret));
  const found = new Set<string>();
  const look = (haystack: Buffer, place: string): void => {
    if (needles.some((needle) => haystack.includes(needle))) found.add(place);
  };
  for (const table of TABLES) {
    for (const row of (await database.knex(table).select('*')) as readonly Record<string, unknown>[]) {
      for (const [column, value] of Object.entries(row)) {
        look(Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value)), `${table}.${column}`);
      }
    }
  }
  for (const file of await database.rawFiles()) look(file, 'the database file');
  return [...found];
}
