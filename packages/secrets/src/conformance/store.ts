import { afterAll, beforeAll, describe } from 'vitest';
import { audit } from './audit.ts';
import { conditions } from './conditions.ts';
import { custody } from './custody.ts';
import { deletion } from './deletion.ts';
import { expiry } from './expiry.ts';
import { type MakeStoreHarness, type Subject, subjectOf, type Theme } from './harness.ts';
import { isolation } from './isolation.ts';
import { lists } from './lists.ts';
import { tampering } from './tampering.ts';
import { transactions } from './transactions.ts';
import { updates } from './updates.ts';
import { values } from './values.ts';
import { versions } from './versions.ts';

const THEMES: Readonly<Record<string, Theme>> = {
  values,
  updates,
  versions,
  conditions,
  deletion,
  expiry,
  lists,
  isolation,
  audit,
  transactions,
  tampering,
  custody,
};

/**
 * Registers the tests that a store has to pass on whatever database it runs, in a vitest file: every method, by the
 * codes of its refusals; tenants that see nothing of each other; audit rows that are there exactly once and show edits;
 * and a value that is found nowhere but in `value`.
 *
 * @param makeHarness called once; the store is closed with it at the end
 *
 * @example
 * ```ts
 * import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
 * import { createSecretStore } from '@keywright/secrets';
 * import { storeConformance } from '@keywright/secrets/conformance';
 * import createKnex from 'knex';
 *
 * storeConformance('on the database of this service', async (options) => {
 *   const knex = createKnex({ client: 'pg', connection: process.env.TEST_DATABASE_URL ?? '' });
 *   const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
 *   const store = createSecretStore({ knex, root, ...options });
 *   await store.migrate();
 *   const close = async () => {
 *     await store.close();
 *     await knex.destroy();
 *   };
 *   return { store, knex, admin: knex, close };
 * });
 * ```
 */
export function storeConformance(name: string, makeHarness: MakeStoreHarness): void {
  describe(`secret store ${name}`, () => {
    const log: string[] = [];
    const line = (message: string): void => void log.push(message);
    let subject: Subject | undefined;

    beforeAll(async () => {
      const logger = { debug: line, info: line, warn: line, error: line };
      subject = subjectOf(await makeHarness({ logger }), log);
    });
    afterAll(async () => {
      await subject?.harness.close();
    });

    const current = (): Subject => {
      if (subject === undefined) throw new Error('The harness was not made.');
      return subject;
    };
    for (const [theme, register] of Object.entries(THEMES)) describe(theme, () => register(current));
  });
}
