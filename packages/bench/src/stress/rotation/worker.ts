// A process that rotates, does the bare loop, or reads all the while; it may be killed. Uses the built packages.
import { setTimeout as sleep } from 'node:timers/promises';
import { createKeyring, isKeywrightError } from '@keywright/envelope';
import { createSecretStore, type KeyProgress } from '@keywright/secrets';
import createKnex from 'knex';
import { bareBatch } from './bare.ts';
import { type Answer, nameOf, type Phase, type Segment, seededValue, type Task, type WorkerSetup } from './protocol.ts';

const READ_PAUSE_MS = 20;
const MIB = 1024 * 1024;

const setup = JSON.parse(process.argv[2] ?? '') as WorkerSetup;
const knex = createKnex({ client: 'pg', connection: setup.url, pool: { min: 0, max: 3 } });
const { keys, activeKid } = setup;
// Few keys in memory: the reader meets keys that it has to unwrap.
const store = createSecretStore({ knex, root: createKeyring({ keys, activeKid }), cachedKeys: 10 });
const send = (answer: Answer): void => void process.send?.(answer);
const stopped = new AbortController();

process.on('message', (task: Task) => {
  if (task.task === 'stop') stopped.abort();
  else void run(task).then(send);
});
process.on('disconnect', () => process.exit(0));
await store.ready();
send({ kind: 'ready' });

async function run(task: Exclude<Task, { task: 'stop' }>): Promise<Answer> {
  if (task.task === 'rotate') return await rotate(task);
  return task.task === 'bare' ? await bare(task) : await read(task);
}

async function rotate({ rotation, tenant, rows }: Extract<Task, { task: 'rotate' }>): Promise<Answer> {
  const ended = new AbortController();
  const seen: KeyProgress[] = [];
  const options = {
    actor: 'stress',
    batchRows: setup.batchRows,
    signal: ended.signal,
    onProgress: (progress: KeyProgress): void => {
      seen.push(progress);
      send({ kind: 'batch' });
      if (progress.done >= rows) ended.abort();
    },
  };
  let done = true;
  try {
    await (rotation === 'root' ? store.rotateRoot(options) : store.rotateTenant(tenant, options));
  } catch (error) {
    const code = isKeywrightError(error) ? error.code : String(error);
    if (code !== 'ERR_SECRETS_ABORTED') return { kind: 'refused', code };
    done = false;
  }
  return { kind: 'slice', segments: segmentsOf(seen), done, rssMiB: process.memoryUsage.rss() / MIB };
}

/** From the first batch of a phase to its last: what a call does at its start is not part of it. */
function segmentsOf(seen: readonly KeyProgress[]): readonly Segment[] {
  const segments: Segment[] = [];
  for (const phase of new Set(seen.map((progress) => progress.phase as Phase))) {
    const own = seen.filter((progress) => progress.phase === phase);
    const [first, last] = [own[0], own.at(-1)];
    if (first === undefined || last === undefined || own.length < 2) continue;
    segments.push({ phase, rows: last.done - first.done, elapsedMs: last.elapsedMs - first.elapsedMs });
  }
  return segments;
}

async function bare({ phase, tenant, rows, after }: Extract<Task, { task: 'bare' }>): Promise<Answer> {
  const start = performance.now();
  let seen = 0;
  let cursor = after;
  while (seen < rows) {
    const batch = await bareBatch(knex, phase, tenant, cursor, setup.batchRows);
    if (batch.rows === 0) break;
    cursor = batch.after;
    seen += batch.rows;
  }
  return { kind: 'bare', segment: { phase, rows: seen, elapsedMs: performance.now() - start }, after: cursor };
}

async function read({ tenants, secrets }: Extract<Task, { task: 'read' }>): Promise<Answer> {
  const problems: string[] = [];
  let reads = 0;
  for (; !stopped.signal.aborted; reads++) {
    const tenant = tenants[reads % tenants.length] as string;
    const name = nameOf(Math.floor(Math.random() * secrets));
    try {
      const { value } = await store.tenant(tenant, { actor: 'reader' }).get(name);
      if (value !== seededValue(tenant, name)) problems.push(`${tenant} ${name} is another value`);
    } catch (error) {
      problems.push(`${tenant} ${name}: ${isKeywrightError(error) ? error.code : String(error)}`);
    }
    await sleep(READ_PAUSE_MS);
  }
  return { kind: 'reads', reads, problems };
}
