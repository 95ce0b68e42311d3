// Another process on the same database: told over IPC what to do, answers with what came of it. Uses the built package.
import { createKeyring, isKeywrightError } from '@keywright/envelope';
import {
  createSecretStore,
  migrateSecretStore,
  rollbackSecretMigration,
  secretMigrationSource,
} from '@keywright/secrets';
import createKnex, { type Knex } from 'knex';

export interface ReplicaSetup {
  readonly url: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly activeKid: string;
}

export type ReplicaTask =
  | { readonly task: 'migrate' }
  | { readonly task: 'roll back' }
  | { readonly task: 'migrate by knex' }
  | { readonly task: 'save'; readonly tenant: string; readonly values: readonly string[]; readonly ifAbsent: boolean };

/** What came of each call: a version, or an error's code. */
export type ReplicaResult = readonly (number | string)[];

const setup = JSON.parse(process.argv[2] ?? '') as ReplicaSetup;
const knex = createKnex(configOf(setup.url));
const store = createSecretStore({ knex, root: createKeyring(setup) });

process.on('message', (task: ReplicaTask) => {
  void run(task).then((result) => process.send?.(result));
});
process.on('disconnect', () => {
  void Promise.all([store.close(), knex.destroy()]).then(() => process.exit(0));
});
process.send?.('started');

async function run(task: ReplicaTask): Promise<ReplicaResult> {
  if (task.task === 'migrate') return [await codeOf(async () => (await migrateSecretStore({ knex })).pending.length)];
  if (task.task === 'roll back') {
    return [await codeOf(async () => (await rollbackSecretMigration({ knex, to: '001-initial' })).applied.length)];
  }
  if (task.task === 'migrate by knex') {
    const migrationSource = secretMigrationSource();
    await knex.migrate.latest({ migrationSource, tableName: 'knex_migrations_keywright' });
    return [(await migrateSecretStore({ knex })).pending.length];
  }
  const tenant = store.tenant(task.tenant, { actor: `process ${process.pid}` });
  return await Promise.all(
    task.values.map((value) =>
      codeOf(async () => (await tenant.save('key', value, { ifAbsent: task.ifAbsent })).version),
    ),
  );
}

async function codeOf(work: () => Promise<number>): Promise<number | string> {
  try {
    return await work();
  } catch (error) {
    return isKeywrightError(error) ? error.code : String(error);
  }
}

function configOf(url: string): Knex.Config {
  return url.startsWith('file:')
    ? { client: 'better-sqlite3', connection: { filename: new URL(url).pathname }, useNullAsDefault: true }
    : { client: 'pg', connection: url };
}
