import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
import { createSecretStore, type SecretStoreOptions } from '@keywright/secrets';
import { type StoreHarness, storeConformance } from '@keywright/secrets/conformance';
import { describeEachEngine, type TestEngine } from '@keywright/testkit/engines';
import createKnex from 'knex';
import { openIsolated } from './isolation/support.ts';

async function plain(engine: TestEngine, options: Partial<SecretStoreOptions>): Promise<StoreHarness> {
  const database = await engine.createDatabase();
  const knex = createKnex(database.knexConfig);
  const { schema } = options.tables ?? {};
  if (schema !== undefined) await knex.raw('create schema ??', [schema]);
  const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
  const store = createSecretStore({ knex, root, ...options });
  await store.migrate();
  const close = async (): Promise<void> => {
    await store.close();
    await knex.destroy();
    await database.drop();
  };
  return { store, knex, admin: knex, tables: options.tables, close };
}

describeEachEngine(
  'conformance',
  (engine) => {
    // Each engine with what the others have not, so that everything is run once.
    if (engine.name === 'sqlite') {
      storeConformance('with a prefix', (options) => plain(engine, { ...options, tables: { prefix: 'kw_' } }));
    }
    if (engine.name === 'postgres') storeConformance('as it comes', (options) => plain(engine, options));
    if (engine.name === 'postgres15') {
      storeConformance('with prefix and schema, without prepared statements', (options) =>
        plain(engine, { ...options, preparedStatements: false, tables: { prefix: 'kw_', schema: 'vault' } }),
      );
    }
    if (engine.dialect === 'postgres') {
      storeConformance('under row-level security, with a change feed', async (options) => {
        const isolated = await openIsolated(engine);
        const store = isolated.open({ ...options, changeFeed: true });
        return { store, knex: isolated.app, admin: isolated.admin, close: () => isolated.close() };
      });
    }
  },
  { engines: 'all' },
);
