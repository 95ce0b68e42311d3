import { describe, inject } from 'vitest';
import { createPostgresDatabase, createSqliteDatabase, type TestDatabase } from './databases.ts';
import { TestServerError } from './errors.ts';
import type { ProvidedPostgres } from './provided.ts';
import { required } from './requirement.ts';

export type { ProvidedPostgres, TestDatabase };

/** A database engine that a suite runs on. */
export interface TestEngine {
  /** `postgres` is version 18, `postgres15` the oldest that is supported. */
  readonly name: 'sqlite' | 'postgres' | 'postgres15';
  /** What it speaks, whatever its version. */
  readonly dialect: 'sqlite' | 'postgres';
  readonly available: boolean;
  /** Why it isn't available. */
  readonly reason?: string;
  /** A new empty database. @throws TestServerError `ERR_TESTKIT_SERVER_UNREACHABLE` when the engine isn't available */
  createDatabase(): Promise<TestDatabase>;
}

export interface EngineOptions {
  /**
   * `default`: SQLite and PostgreSQL 18. `all`: PostgreSQL 15 too, for what depends on the version. `postgres` and
   * `postgres18`: without SQLite.
   * @default 'default'
   */
  readonly engines?: 'default' | 'all' | 'postgres' | 'postgres18';
}

/**
 * The engines of a suite, available or not. All test files of a run share one PostgreSQL server of each version.
 * @throws TestServerError `ERR_TESTKIT_SERVER_REQUIRED` when `KEYWRIGHT_REQUIRE` asks for one that isn't available
 */
export function testEngines({ engines = 'default' }: EngineOptions = {}): readonly TestEngine[] {
  const sqlite: TestEngine = {
    name: 'sqlite',
    dialect: 'sqlite',
    available: true,
    createDatabase: createSqliteDatabase,
  };
  return [
    ...(engines === 'default' || engines === 'all' ? [sqlite] : []),
    postgres('postgres', 'keywrightPostgres'),
    ...(engines === 'postgres' || engines === 'all' ? [postgres('postgres15', 'keywrightPostgres15')] : []),
  ];
}

/**
 * Registers `define` as one suite per engine. The suite of an engine that isn't available is skipped under a title that
 * says why.
 */
export function describeEachEngine(title: string, define: (engine: TestEngine) => void, options?: EngineOptions): void {
  for (const engine of testEngines(options)) {
    if (engine.available) describe(`${title} on ${engine.name}`, () => define(engine));
    else describe.skip(`${title} on ${engine.name} (${engine.reason})`, () => define(engine));
  }
}

function postgres(name: 'postgres' | 'postgres15', provision: 'keywrightPostgres' | 'keywrightPostgres15'): TestEngine {
  const dialect = 'postgres';
  // Typed as always there; without the global setup it isn't.
  const provided = inject(provision) as ProvidedPostgres | undefined;
  if (provided !== undefined && 'url' in provided) {
    return { name, dialect, available: true, createDatabase: () => createPostgresDatabase(provided.url) };
  }
  const reason = provided?.reason ?? 'the run has no global setup @keywright/testkit/vitest';
  if (required(name)) {
    throw new TestServerError('ERR_TESTKIT_SERVER_REQUIRED', `${name} is required by KEYWRIGHT_REQUIRE: ${reason}`);
  }
  const createDatabase = (): Promise<TestDatabase> =>
    Promise.reject(new TestServerError('ERR_TESTKIT_SERVER_UNREACHABLE', reason));
  return { name, dialect, available: false, reason, createDatabase };
}
