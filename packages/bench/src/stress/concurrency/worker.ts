// A process that does operations on a store that others use as well, and writes down what came of each. Uses the built
// package. Told over IPC which root key to use, when to start and which long work to do.

import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createKeyring, isKeywrightError } from '@keywright/envelope';
import { createSecretStore, type TenantSecrets } from '@keywright/secrets';
import { createEd25519Signer } from '@keywright/secrets/audit';
import createKnex from 'knex';
import { knexConfigOf } from './database.ts';
import { type Done, lineOf, type Operation, type Outcome, type Sweep } from './operations.ts';
import type { Order, Reply, WorkerSetup } from './protocol.ts';

const MAX_LATE_MS = 20_000;
const setup = JSON.parse(process.argv[2] ?? '') as WorkerSetup;
const knex = createKnex(knexConfigOf(setup.url));
const keyring = createKeyring({ keys: setup.keys, activeKid: setup.activeKid });
const signer = createEd25519Signer(setup.signer);
const store = createSecretStore({ knex, root: keyring, cachedKeyTtlMs: 2_000, audit: { signer } });
const log: WriteStream = createWriteStream(setup.log);
const reply = (message: Reply): void => void process.send?.(message);

process.on('message', (order: Order) => {
  void obey(order).then(reply, (error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});
process.on('disconnect', () => process.exit(0));
await store.ready();
reply({ kind: 'ready' });

async function obey(order: Order): Promise<Reply> {
  if (order.kind === 'activate') {
    keyring.activate(order.kid);
    return { kind: 'activated' };
  }
  if (order.kind === 'rotateRoot') {
    await sweep('rotateRoot', undefined, () => store.rotateRoot({ actor: setup.name }));
    return { kind: 'rotated' };
  }
  if (order.kind === 'end') {
    log.end();
    await once(log, 'finish');
    await store.close();
    await knex.destroy();
    return { kind: 'ended' };
  }
  const until = performance.now() + order.runMs;
  await Promise.all([...Array.from({ length: setup.callers }, (_, caller) => calls(caller, until)), sweeps(until)]);
  return { kind: 'done' };
}

/** One operation after the other, of random secrets. */
async function calls(caller: number, until: number): Promise<void> {
  for (let count = 0; performance.now() < until; count++) {
    const tenant = pick(setup.tenants);
    const name = `secret-${Math.floor(Math.random() * setup.names)}`;
    const id = `${setup.name}/${caller}/${count}`;
    await operate({ id, tenant, name }, Math.random());
  }
}

async function operate(at: Pick<Operation, 'id' | 'tenant' | 'name'>, dice: number): Promise<void> {
  const { id, tenant, name } = at;
  const secrets = store.tenant(tenant, { actor: setup.name, request: { operation: id } });
  const value = `value of ${id}`;
  if (dice < 0.35) return await done(at, 'secret.get', () => get(secrets, name));
  if (dice < 0.6) return await done(at, 'secret.save', () => save(secrets, name, value));
  if (dice < 0.85) return await compareAndSet(at, secrets, value);
  if (dice < 0.93)
    return await done(
      at,
      'secret.delete',
      nothing(() => secrets.delete(name)),
    );
  if (dice < 0.97)
    return await done(
      at,
      'secret.list',
      nothing(() => secrets.list({ limit: 5 })),
    );
  return await done(
    at,
    'secret.versions',
    nothing(() => secrets.versions(name)),
  );
}

async function get(secrets: TenantSecrets, name: string): Promise<Done> {
  const { id, version, value } = await secrets.get(name);
  return { secretId: id, version, value: String(value) };
}

async function save(secrets: TenantSecrets, name: string, value: string, expected?: number): Promise<Done> {
  const options = expected === undefined ? {} : { expectedVersion: expected };
  const { id, version } = await secrets.save(name, value, options);
  return { secretId: id, version, value, expected };
}

/** Reads, and saves if nobody has saved since: two operations, the second of which half the others make fail. */
async function compareAndSet(at: Pick<Operation, 'id' | 'tenant' | 'name'>, secrets: TenantSecrets, value: string) {
  let read: Done | undefined;
  await done({ ...at, id: `${at.id}/read` }, 'secret.get', async () => {
    const reader = store.tenant(at.tenant, { actor: setup.name, request: { operation: `${at.id}/read` } });
    read = await get(reader, at.name);
    return read;
  });
  if (read === undefined) return;
  const { version } = read;
  await done(at, 'secret.save', () => save(secrets, at.name, value, version));
}

async function done(
  at: Pick<Operation, 'id' | 'tenant' | 'name'>,
  action: Operation['action'],
  work: () => Promise<Done | undefined>,
): Promise<void> {
  const start = process.hrtime.bigint();
  const outcome = await outcomeOf(work);
  await write({ ...at, action, start, end: process.hrtime.bigint(), outcome });
}

/** Rotates tenant keys and seals the log, now and then. */
async function sweeps(until: number): Promise<void> {
  const toEnd = new Set<Sweep['kind']>(['seal', 'rotateTenant']);
  for (let count = 0; ; count++) {
    await sleep(Math.min(Math.random() * 2 * setup.sweepEveryMs, Math.max(0, until - performance.now())));
    const late = performance.now() - until;
    // A short run on a busy machine still brings each to an end once.
    if (late >= MAX_LATE_MS || (late >= 0 && toEnd.size === 0)) return;
    const tenant = pick(setup.tenants);
    const kind = count % 2 === 0 ? 'seal' : 'rotateTenant';
    const rotate = (): Promise<unknown> => store.rotateTenant(tenant, { actor: setup.name });
    const outcome = await sweep(kind, tenant, kind === 'seal' ? () => store.audit.seal() : rotate);
    if (outcome.kind === 'done') toEnd.delete(kind);
  }
}

async function sweep(kind: Sweep['kind'], tenant: string | undefined, work: () => Promise<unknown>): Promise<Outcome> {
  const outcome = await outcomeOf(nothing(work));
  await write({ kind, tenant: kind === 'seal' ? undefined : tenant, outcome });
  return outcome;
}

/** Work whose result says nothing. */
function nothing(work: () => Promise<unknown>): () => Promise<undefined> {
  return async () => {
    await work();
    return undefined;
  };
}

async function outcomeOf(work: () => Promise<Done | undefined>): Promise<Outcome> {
  try {
    return { kind: 'done', done: (await work()) ?? {} };
  } catch (error) {
    if (!isKeywrightError(error)) return { kind: 'error', code: String(error), retryable: false, typed: false };
    return { kind: 'error', code: error.code, retryable: error.retryable, typed: true };
  }
}

async function write(entry: Operation | Sweep): Promise<void> {
  if (!log.write(`${lineOf(entry)}\n`)) await once(log, 'drain');
}

function pick<T>(items: readonly T[]): T {
  return items[Math.floor(Math.random() * items.length)] as T;
}
