import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Keyring } from '@keywright/envelope';
import { type ColumnCodec, type ColumnCodecOptions, columnCodec } from '@keywright/envelope/columns';
import { encryptCredentials } from '@keywright/envelope/compat';
import Database from 'better-sqlite3';
import { expect, onTestFinished } from 'vitest';
import { testKeyring } from '../support.ts';

/** What must not be found in a database file. */
export const CANARY = 'sk_live_canary';
export const keyring: Keyring = testKeyring();

export type Credentials = { apiKey: string; scopes?: string[] };
export const credentials: Credentials = { apiKey: CANARY, scopes: ['read'] };
export const V1: string = JSON.stringify(encryptCredentials(credentials, keyring));

export function credentialsCodec(options: Partial<ColumnCodecOptions> = {}): ColumnCodec<Credentials | null> {
  return columnCodec<Credentials | null>({ keyring, table: 'connections', column: 'credentials', ...options });
}

export function notesCodec(options: Partial<ColumnCodecOptions> = {}): ColumnCodec<string | null> {
  return columnCodec({ keyring, table: 'connections', column: 'notes', ...options, payload: 'text' });
}

export interface StoredRow {
  id: string;
  tenant: string | null;
  credentials: unknown;
  notes: unknown;
}

const TABLE = (name: string): string =>
  `CREATE TABLE ${name} (id TEXT PRIMARY KEY, tenant TEXT, name TEXT, credentials TEXT, notes TEXT)`;

/** A database of its own with the tables connections and copies, read by the driver alone. */
export class Raw {
  readonly file: string;
  readonly db: Database.Database;

  constructor() {
    const folder = mkdtempSync(join(tmpdir(), 'keywright-codecs-'));
    this.file = join(folder, 'test.sqlite');
    this.db = new Database(this.file);
    this.db.exec(`${TABLE('connections')}; ${TABLE('copies')}`);
    onTestFinished(() => {
      this.db.close();
      rmSync(folder, { recursive: true });
    });
  }

  row(id: string, table = 'connections'): StoredRow {
    return this.db.prepare(`SELECT * FROM ${table} WHERE id = ?`).get(id) as StoredRow;
  }

  run(sql: string, ...values: unknown[]): void {
    this.db.prepare(sql).run(...values);
  }

  /** Exchanges a column of two rows, as somebody with access to the table would. */
  swap(column: 'credentials' | 'notes', one: string, other: string): void {
    const [a, b] = [this.row(one)[column], this.row(other)[column]];
    this.run(`UPDATE connections SET ${column} = ? WHERE id = ?`, b, one);
    this.run(`UPDATE connections SET ${column} = ? WHERE id = ?`, a, other);
  }

  expectNoCanary(): void {
    expect(this.db.serialize().includes(CANARY)).toBe(false);
  }
}

/** The code of what `work` rejects with or throws; work that succeeds fails the test. */
export async function codeOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return (error as { code?: unknown }).code ?? error;
  }
  throw new Error('expected an error');
}
