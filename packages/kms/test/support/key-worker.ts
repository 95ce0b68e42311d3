import { createKmsKeys } from '@keywright/kms';
import createKnex from 'knex';
import { type BackendShape, FileBackend, type Operation } from './file-backend.ts';

/** What a worker process does, and where it stops for good. */
export interface KeyTask {
  readonly url: string;
  readonly backends: Readonly<Record<string, { readonly folder: string; readonly shape: BackendShape }>>;
  readonly call: 'create' | 'delete' | 'move';
  readonly at: { readonly backend: string; readonly operation: Operation; readonly when: 'before' | 'after' };
}

const task = JSON.parse(process.argv[2] ?? '{}') as KeyTask;
const postgres = task.url.startsWith('postgres');
const knex = createKnex({
  client: postgres ? 'pg' : 'better-sqlite3',
  connection: postgres ? { connectionString: task.url } : { filename: new URL(task.url).pathname },
  useNullAsDefault: true,
});
const providers = Object.entries(task.backends).map(([id, { folder, shape }]) => {
  const backend = new FileBackend(shape, folder);
  backend.step = async (operation, when) => {
    if (id !== task.at.backend || operation !== task.at.operation || when !== task.at.when) return;
    process.send?.('stopped');
    await new Promise(() => setInterval(() => {}, 1_000));
  };
  return backend.provider(id);
});
const registry = {
  provider: (id?: string) => providers.find((provider) => provider.id === (id ?? 'main')) ?? providers[0],
} as never;
const acme = createKmsKeys({ knex, registry }).tenant('acme');

switch (task.call) {
  case 'create':
    await acme.create({ keyId: 'k1' });
    break;
  case 'delete':
    await acme.delete('k1');
    break;
  default:
    await acme.move('k1', { to: 'vault', import: true });
}
process.send?.('ended');
