import {
  createKmsKeys,
  KmsError,
  type KmsKeys,
  type KmsKeysOptions,
  type KmsProvider,
  type TenantKeys,
} from '@keywright/kms';
import type { TestDatabase, TestEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { type BackendShape, FileBackend } from './file-backend.ts';

/** A key table on a database of its own, and backends that outlive what uses them. */
export interface KeyFixture {
  readonly database: TestDatabase;
  readonly knex: Knex;
  readonly keys: KmsKeys;
  readonly acme: TenantKeys;
  /** The default provider's. */
  readonly main: FileBackend;
  backend(id: string): FileBackend;
  /** A key table as another process would have one, with providers of its own. */
  reopen(options?: Partial<KmsKeysOptions>): KmsKeys;
  rows(table?: string): Promise<readonly Record<string, unknown>[]>;
  /** Lets time pass for what is under way, and is `of` this. */
  age(of?: Readonly<Record<string, string>>): Promise<void>;
  /** Removes all rows and keys. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

/** @param shared a database that several use one after the other. @default one of its own */
export async function openKeys(
  engine: TestEngine,
  shapes: Readonly<Record<string, BackendShape>> = { main: {} },
  shared?: TestDatabase,
): Promise<KeyFixture> {
  const database = shared ?? (await engine.createDatabase());
  const knex = createKnex(database.knexConfig);
  const backends = Object.fromEntries(Object.entries(shapes).map(([id, shape]) => [id, new FileBackend(shape)]));
  const backend = (id: string): FileBackend => backends[id] as FileBackend;
  const reopen = (options: Partial<KmsKeysOptions> = {}): KmsKeys =>
    createKmsKeys({
      knex,
      registry: registryOf(Object.entries(backends).map(([id, one]) => one.provider(id))),
      ...options,
    });
  const keys = reopen();
  await keys.migrate();
  return {
    database,
    knex,
    keys,
    acme: keys.tenant('acme'),
    main: backend('main'),
    backend,
    reopen,
    rows: async (table = 'kms_keys') =>
      (await knex(table).orderBy(['tenant_id', 'key_id'])) as Record<string, unknown>[],
    age: async (of = {}) => {
      const old = engine.dialect === 'sqlite' ? 1 : new Date(1);
      for (const table of ['kms_keys', 'kms_key_copies']) {
        await knex(table)
          .where({ ...of, status: 'creating' })
          .update({ updated_at: old });
        await knex(table).where(of).whereNotNull('busy_until').update({ busy_until: old });
      }
    },
    empty: async () => {
      await knex('kms_keys').delete();
      await knex('kms_key_copies').delete();
      for (const one of Object.values(backends)) {
        one.step = undefined;
        one.calls.length = 0;
        for (const id of one.ids()) one.lose(id);
      }
    },
    close: async () => {
      for (const one of Object.values(backends)) one.remove();
      await knex.destroy();
      if (shared === undefined) await database.drop();
    },
  };
}

/** The first is the default. */
export function registryOf(providers: readonly KmsProvider[]): {
  provider(id?: string): KmsProvider;
  readonly providers: readonly KmsProvider[];
} {
  return {
    providers,
    provider: (id) => {
      const found = id === undefined ? providers[0] : providers.find((provider) => provider.id === id);
      if (found === undefined) throw new KmsError('ERR_KMS_PROVIDER_UNKNOWN');
      return found;
    },
  };
}

/** The error that a promise is rejected with; a promise that is fulfilled fails the test. */
export async function rejection(promise: Promise<unknown>): Promise<KmsError> {
  try {
    await promise;
  } catch (error) {
    return error as KmsError;
  }
  throw new Error('expected a rejection');
}
