// A process that works on keys, or reads all the while, and may be killed. Uses the built package.
import { createKeyring, isKeywrightError } from '@keywright/envelope';
import { createSecretStore, type KeyProgress } from '@keywright/secrets';
import createKnex, { type Knex } from 'knex';

export interface KeyWorkerSetup {
  readonly url: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly activeKid: string;
}

export type KeyTask =
  | {
      readonly task: 'rotateRoot' | 'rotateTenant' | 'reencryptTenant';
      readonly tenant: string;
      readonly batchRows: number;
    }
  /** Reads secrets named `s0`, `s1` … of tenants, over and over; each value must be `value of <tenant> <name>`. */
  | { readonly task: 'read'; readonly tenants: readonly string[]; readonly secrets: number }
  | { readonly task: 'stop' };

export type KeyAnswer =
  | { readonly kind: 'started' }
  | { readonly kind: 'batch'; readonly progress: KeyProgress }
  | { readonly kind: 'read'; readonly reads: number; readonly wrong: readonly string[] }
  | { readonly kind: 'done'; readonly result: unknown }
  | { readonly kind: 'failed'; readonly code: string };

const setup = JSON.parse(process.argv[2] ?? '') as KeyWorkerSetup;
const knex = createKnex(configOf(setup.url));
const store = createSecretStore({ knex, root: createKeyring(setup), cachedKeys: 2 });
const send = (answer: KeyAnswer): void => void process.send?.(answer);
const stopped = new AbortController();

process.on('message', (task: KeyTask) => {
  if (task.task === 'stop') stopped.abort();
  else void run(task).catch((error: unknown) => send({ kind: 'failed', code: codeOf(error) }));
});
process.on('disconnect', () => {
  void Promise.all([store.close(), knex.destroy()]).then(() => process.exit(0));
});
await store.ready();
send({ kind: 'started' });

async function run(task: Exclude<KeyTask, { task: 'stop' }>): Promise<void> {
  if (task.task === 'read') return await read(task.tenants, task.secrets);
  const onProgress = (progress: KeyProgress): void => send({ kind: 'batch', progress });
  const options = { actor: `process ${process.pid}`, batchRows: task.batchRows, onProgress };
  const result =
    task.task === 'rotateRoot' ? await store.rotateRoot(options) : await store[task.task](task.tenant, options);
  send({ kind: 'done', result });
}

async function read(tenants: readonly string[], secrets: number): Promise<void> {
  let reads = 0;
  const wrong: string[] = [];
  for (; !stopped.signal.aborted; reads++) {
    const tenant = tenants[reads % tenants.length] as string;
    const name = `s${Math.floor(Math.random() * secrets)}`;
    try {
      const { value } = await store.tenant(tenant, { actor: 'reader' }).get(name);
      if (value !== `value of ${tenant} ${name}`) wrong.push(`${tenant} ${name}: another value`);
    } catch (error) {
      const code = codeOf(error);
      // busy: SQLite's only writer was at it for too long
      if (code !== 'ERR_SECRETS_DATABASE') wrong.push(`${tenant} ${name}: ${code}`);
    }
    if (reads % 50 === 0) send({ kind: 'read', reads, wrong });
  }
  send({ kind: 'done', result: { reads, wrong } });
}

function codeOf(error: unknown): string {
  return isKeywrightError(error) ? error.code : String(error);
}

function configOf(url: string): Knex.Config {
  return url.startsWith('file:')
    ? { client: 'better-sqlite3', connection: { filename: new URL(url).pathname }, useNullAsDefault: true }
    : { client: 'pg', connection: url };
}
