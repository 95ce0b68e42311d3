import { createKmsKeys, type KmsProvider } from '@keywright/kms';
import createKnex from 'knex';
import { type BackendShape, FileBackend, type Operation } from './file-backend.ts';

/** What a worker process does, all at once, and where each call stops for good. */
export interface KeyWork {
  readonly url: string;
  readonly tasks: readonly KeyTask[];
}

/** A call on the key `k1` of one tenant, which has two backends for itself, and where it stops. */
export interface KeyTask {
  readonly tenantId: string;
  readonly call: 'create' | 'delete' | 'move' | 'reconcile';
  readonly from: TaskBackend;
  readonly to: TaskBackend;
  readonly backend: 'from' | 'to';
  readonly operation: Operation;
  readonly when: 'before' | 'after';
}

interface TaskBackend {
  readonly id: string;
  readonly folder: string;
  readonly shape: BackendShape;
}

const { url, tasks } = JSON.parse(process.argv[2] ?? '{}') as KeyWork;
const postgres = url.startsWith('postgres');
const knex = createKnex({
  client: postgres ? 'pg' : 'better-sqlite3',
  connection: postgres ? { connectionString: url } : { filename: new URL(url).pathname },
  useNullAsDefault: true,
});
await Promise.all(tasks.map(run));

async function run(task: KeyTask): Promise<void> {
  const open = (which: 'from' | 'to'): KmsProvider => {
    const { id, folder, shape } = task[which];
    const backend = new FileBackend(shape, folder);
    backend.step = async (operation, when) => {
      if (which !== task.backend || operation !== task.operation || when !== task.when) return;
      process.send?.('stopped');
      await new Promise(() => setInterval(() => {}, 1_000));
    };
    return backend.provider(id);
  };
  const providers = [open('from'), open('to')] as const;
  const provider = (id?: string): KmsProvider => providers.find((one) => one.id === id) ?? providers[0];
  const keys = createKmsKeys({ knex, registry: { provider } });
  const tenant = keys.tenant(task.tenantId);
  switch (task.call) {
    case 'create':
      await tenant.create({ keyId: 'k1' });
      break;
    case 'delete':
      await tenant.delete('k1');
      break;
    case 'reconcile':
      await keys.reconcile({ provider: task.from.id, olderThanMs: 0 });
      break;
    default:
      await tenant.move('k1', { to: task.to.id, import: true });
  }
}
