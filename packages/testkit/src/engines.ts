import { describe, inject } from 'vitest';
import { createPostgresDatabase, createSqliteDatabase, type TestDatabase } from './databases.ts';
import { TestServerError } from './errors.ts';
import type { ProvidedPostgres } from './provided.ts';
import { required } from './requirement.ts';

export type { ProvidedPostgres, TestDatabase };

/** A database engine that a suite runs on. */
export interface TestEngine {
  readonly name: 'sqlite' | 'postgres';
  readonly available: boolean;
  /** Why it isn't available. */
  readonly reason?: string;
  /** A new empty database. @throws TestServerError `ERR_TESTKIT_SERVER_UNREACHABLE` when the engine isn't available */
  createDatabase(): Promise<TestDatabase>;
}

/**
 * Every engine, available or not. All test files of a run share one PostgreSQL server.
 * @throws TestServerError `ERR_TESTKIT_SERVER_REQUIRED` when `KEYWRIGHT_REQUIRE` asks for one that isn't available
 */
export function testEngines(): readonly TestEngine[] {
  return [{ name: 'sqlite', available: true, createDatabase: createSqliteDatabase }, postgres()];
}

/**
 * Registers `define` as one suite per engine. The suite of an engine that isn't available is skipped under a title that
 * says why.
 */
export function describeEachEngine(title: string, define: (engine: TestEngine) => void): void {
  for (const engine of testEngines()) {
    if (engine.available) describe(`${title} on ${engine.name}`, () => define(engine));
    else describe.skip(`${title} on ${engine.name} (${engine.reason})`, () => define(engine));
  }
}

function postgres(): TestEngine {
  const name = 'postgres';
  // Typed as always there; without the global setup it isn't.
  const provided = inject('keywrightPostgres') as ProvidedPostgres | undefined;
  if (provided !== undefined && 'url' in provided) {
    return { name, available: true, createDatabase: () => createPostgresDatabase(provided.url) };
  }
  const reason = provided?.reason ?? 'the run has no global setup @keywright/testkit/vitest';
  if (required(name)) {
    throw new TestServerError('ERR_TESTKIT_SERVER_REQUIRED', `${name} is required by KEYWRIGHT_REQUIRE: ${reason}`);
  }
  const createDatabase = (): Promise<TestDatabase> =>
    Promise.reject(new TestServerError('ERR_TESTKIT_SERVER_UNREACHABLE', reason));
  return { name, available: false, reason, createDatabase };
}
