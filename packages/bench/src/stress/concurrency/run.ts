import type { ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createKeyring, generateKeyBase64, type Keyring } from '@keywright/envelope';
import { createSecretStore } from '@keywright/secrets';
import { generateAuditSigner } from '@keywright/secrets/audit';
import createKnex, { type Knex } from 'knex';
import { messageOf, startWorker, stop } from '../processes.ts';
import { auditProblems } from './audited.ts';
import { knexConfigOf } from './database.ts';
import { findingsIn } from './findings.ts';
import { historyProblems } from './history.ts';
import { entryOf, isEscape, isRefused, type Operation, type Outcome, type Sweep } from './operations.ts';
import type { Order, Reply, WorkerSetup } from './protocol.ts';

export interface ConcurrencyOptions {
  /** Of an empty database. */
  readonly url: string;
  readonly processes: number;
  /** Callers of a process. */
  readonly callers: number;
  readonly runMs: number;
  readonly sweepEveryMs: number;
  /** @default silence */
  readonly progress?: (line: string) => void;
}

export interface ConcurrencyResult {
  readonly processes: number;
  readonly callers: number;
  readonly runMs: number;
  readonly operations: number;
  readonly acknowledged: number;
  readonly refused: number;
  /** Errors that say they may be tried again, by code. */
  readonly retryable: Readonly<Record<string, number>>;
  readonly auditRows: number;
  readonly versions: number;
  readonly sweeps: Readonly<Record<Sweep['kind'], number>>;
  /** Sweeps that found another process at it. */
  readonly gaveWay: number;
  /** Deadlocks that the database counted, where it does. */
  readonly deadlocks: number | undefined;
  /** Every kind of error that should not be, with the operation that got it. */
  readonly escapes: readonly string[];
  readonly historyProblems: readonly string[];
  readonly auditProblems: readonly string[];
  /** Whether the audit log verifies when all of it is sealed. */
  readonly logIntact: boolean;
}

const WORKER = new URL('./worker.ts', import.meta.url);
const TENANTS = ['tenant-a', 'tenant-b', 'tenant-c', 'tenant-d'];
/** Few, so that processes meet. */
const NAMES = 12;
const ROOT_KEYS = ['v1', 'v2', 'v3', 'v4'];

/**
 * Lets processes save, read, delete, rotate and seal at the same time, and compares what they were told with what is in
 * the database when they have ended.
 */
export async function stressConcurrency(options: ConcurrencyOptions): Promise<ConcurrencyResult> {
  const { url, processes, callers, runMs, sweepEveryMs, progress = () => {} } = options;
  const keys = Object.fromEntries(ROOT_KEYS.map((kid) => [kid, generateKeyBase64()]));
  const root = createKeyring({ keys, activeKid: 'v1' });
  const knex = createKnex(knexConfigOf(url));
  const folder = await mkdtemp(join(tmpdir(), 'keywright-concurrency-'));
  const { signer, privateKey } = generateAuditSigner('stress');
  const store = createSecretStore({ knex, root, audit: { signer } });
  await store.migrate();
  const workers: ChildProcess[] = [];
  try {
    const setups = Array.from({ length: processes }, (_, index) => ({
      name: `process-${index}`,
      url,
      keys,
      activeKid: 'v1',
      log: join(folder, `${index}.jsonl`),
      signer: { name: signer.name, privateKey },
      callers,
      tenants: TENANTS,
      names: NAMES,
      sweepEveryMs,
    }));
    for (const setup of setups) workers.push(await startWorker(WORKER, setup satisfies WorkerSetup));
    progress(`${processes} processes for ${runMs / 1000} s`);
    const running = workers.map((worker) => ask(worker, { kind: 'run', runMs }, 'done'));
    await Promise.all([...running, rotateRoots(workers, root, runMs)]);
    await Promise.all(workers.map((worker) => ask(worker, { kind: 'end' }, 'ended')));
    const entries = (await Promise.all(setups.map(({ log }) => readFile(log, 'utf8')))).flatMap((text) =>
      text
        .split('\n')
        .filter((line) => line !== '')
        .map(entryOf),
    );
    progress(`${entries.length} operations; comparing them with the database`);
    return { processes, callers, runMs, ...(await judge(knex, root, entries)), logIntact: await logIsIntact(store) };
  } finally {
    await Promise.all(workers.map(stop));
    await store.close();
    await knex.destroy();
    await rm(folder, { recursive: true, force: true });
  }
}

async function judge(knex: Knex, root: Keyring, entries: readonly (Operation | Sweep)[]) {
  const operations = entries.filter((entry): entry is Operation => 'id' in entry);
  const sweeps = entries.filter((entry): entry is Sweep => !('id' in entry));
  const { secrets, versions, auditRows } = await findingsIn(knex, root);
  const secretOf = new Map(auditRows.map(({ operation, secretId }) => [operation, secretId ?? '']));
  const deletions = operations
    .filter(({ action, outcome }) => action === 'secret.delete' && outcome.kind === 'done')
    .map((operation) => ({ operation, secretId: secretOf.get(operation.id) ?? '' }));
  const escaped = entries.filter(({ outcome }) => isEscape(outcome));
  const ended = (kind: Sweep['kind']): number =>
    sweeps.filter((sweep) => sweep.kind === kind && sweep.outcome.kind === 'done').length;
  return {
    operations: operations.length,
    acknowledged: operations.filter(({ outcome }) => outcome.kind === 'done').length,
    refused: operations.filter(({ outcome }) => isRefused(outcome)).length,
    retryable: countByCode(operations.map(({ outcome }) => outcome)),
    auditRows: auditRows.length,
    versions: versions.length,
    sweeps: { seal: ended('seal'), rotateTenant: ended('rotateTenant'), rotateRoot: ended('rotateRoot') },
    gaveWay: sweeps.filter(({ outcome }) => outcome.kind === 'error' && !isEscape(outcome)).length,
    deadlocks: await deadlocksOf(knex),
    escapes: [
      ...new Set(escaped.map((entry) => `${'id' in entry ? entry.action : entry.kind}: ${codeOf(entry.outcome)}`)),
    ],
    historyProblems: historyProblems({ operations, deletions, secrets, versions }),
    auditProblems: auditProblems(operations, auditRows),
  };
}

function countByCode(outcomes: readonly Outcome[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) {
    if (outcome.kind !== 'error' || isRefused(outcome) || isEscape(outcome)) continue;
    counts[outcome.code] = (counts[outcome.code] ?? 0) + 1;
  }
  return counts;
}

function codeOf(outcome: Outcome): string {
  return outcome.kind === 'error' ? outcome.code : '';
}

/** Rotates the root key through its ids: all processes use a new one, then one of them rotates. */
async function rotateRoots(workers: readonly ChildProcess[], root: Keyring, runMs: number): Promise<void> {
  for (const [index, kid] of ROOT_KEYS.slice(1).entries()) {
    await sleep(runMs / (ROOT_KEYS.length + 1));
    root.activate(kid);
    await Promise.all(workers.map((worker) => ask(worker, { kind: 'activate', kid }, 'activated')));
    await ask(workers[index % workers.length] as ChildProcess, { kind: 'rotateRoot' }, 'rotated');
  }
}

async function logIsIntact(store: ReturnType<typeof createSecretStore>): Promise<boolean> {
  await store.audit.seal();
  return (await store.audit.verify()).intact;
}

/** `undefined` where the database does not count them. */
async function deadlocksOf(knex: Knex): Promise<number | undefined> {
  if (knex.client.driverName !== 'pg') return undefined;
  const { rows } = (await knex.raw(
    'select deadlocks::float8 as deadlocks from pg_stat_database where datname = current_database()',
  )) as { rows: readonly { deadlocks: number }[] };
  return rows[0]?.deadlocks;
}

async function ask(worker: ChildProcess, order: Order, kind: Reply['kind']): Promise<Reply> {
  const reply = messageOf<Reply, Reply['kind']>(worker, kind);
  worker.send(order);
  return await reply;
}
