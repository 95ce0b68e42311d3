import type { TestProject } from 'vitest/node';
import { reasonOf, TestServerError } from './errors.ts';
import { startPostgres } from './postgres.ts';
import type { ProvidedPostgres } from './provided.ts';
import { required } from './requirement.ts';

export type { ProvidedPostgres };

/**
 * Global setup for the root configuration of a vitest run: one PostgreSQL server for all its projects, stopped when the
 * run ends. Test files find it through `@keywright/testkit/engines`.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_REQUIRED` when there is no server and `KEYWRIGHT_REQUIRE` asks for one
 */
export default async function setup(project: Pick<TestProject, 'provide'>): Promise<() => Promise<void>> {
  try {
    const server = await startPostgres();
    project.provide('keywrightPostgres', { url: server.url });
    return server.stop;
  } catch (error) {
    if (required('postgres')) {
      const message = `postgres is required by KEYWRIGHT_REQUIRE: ${(error as Error).message}`;
      throw new TestServerError('ERR_TESTKIT_SERVER_REQUIRED', message, error);
    }
    console.warn(`The suites on postgres are skipped. ${(error as Error).message}`);
    project.provide('keywrightPostgres', { reason: reasonOf(error) });
    return async () => {};
  }
}
