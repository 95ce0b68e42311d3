import type { TestProject } from 'vitest/node';
import type { PostgresVersion } from './binaries.ts';
import { reasonOf, TestServerError } from './errors.ts';
import { startPostgres } from './postgres.ts';
import type { ProvidedPostgres } from './provided.ts';
import { required } from './requirement.ts';

export type { ProvidedPostgres };

/**
 * Global setup for the root configuration of a vitest run: one PostgreSQL server of each version for all its projects,
 * stopped when the run ends. Test files find them through `@keywright/testkit/engines`.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_REQUIRED` when there is no server and `KEYWRIGHT_REQUIRE` asks for one
 */
export default async function setup(project: Pick<TestProject, 'provide'>): Promise<() => Promise<void>> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0)) await end();
  };
  const start = async (engine: string, version: PostgresVersion): Promise<ProvidedPostgres> => {
    try {
      const server = await startPostgres(version);
      stops.push(server.stop);
      return { url: server.url };
    } catch (error) {
      if (required(engine)) {
        await stop();
        const message = `${engine} is required by KEYWRIGHT_REQUIRE: ${(error as Error).message}`;
        throw new TestServerError('ERR_TESTKIT_SERVER_REQUIRED', message, error);
      }
      console.warn(`The suites on ${engine} are skipped. ${(error as Error).message}`);
      return { reason: reasonOf(error) };
    }
  };
  project.provide('keywrightPostgres', await start('postgres', 18));
  project.provide('keywrightPostgres15', await start('postgres15', 15));
  return stop;
}
