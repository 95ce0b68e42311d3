import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { createKeyring, generateKeyBase64, type Keyring } from '@keywright/envelope';
import createKnex, { type Knex } from 'knex';
import { type Spread, spread } from '../../statistics.ts';
import { unwrapTenantKey } from '../../store/rows.ts';
import { messageOf, startWorker, stop } from '../processes.ts';
import { STARTS } from './bare.ts';
import {
  type Answer,
  type Key,
  nameOf,
  type Phase,
  type Rotation,
  seededValue,
  type Task,
  type WorkerSetup,
} from './protocol.ts';
import { copyToBare, createTables, seedSecrets, seedTenants } from './seed.ts';

export interface RotationOptions {
  /** Of an empty database. */
  readonly url: string;
  readonly rotation: Rotation;
  /** Tenants whose keys are rewrapped, or secrets of the one tenant whose key is rotated. */
  readonly rows: number;
  readonly batchRows: number;
  /** Slices that each table is cut into. */
  readonly slices: number;
  /** Slices during which the process is killed. */
  readonly kills: readonly number[];
  /** Whether a killed process's lease is taken from it at once, instead of waiting until it has run out. @default false */
  readonly impatient?: boolean;
  /** @default silence */
  readonly progress?: (line: string) => void;
}

export interface PhaseResult {
  readonly phase: Phase;
  /** Microseconds for a row. */
  readonly ours: Spread;
  readonly bare: Spread;
  /** Speed of the rotation as a part of the speed of the bare loop, over the slices that were not disturbed. */
  readonly share: Spread;
}

export interface RotationResult {
  readonly rotation: Rotation;
  readonly rows: number;
  /** Processes that were killed while they wrote. */
  readonly killed: number;
  readonly phases: readonly PhaseResult[];
  /** Rows that do not open under the new key as they did under the old one, of all rows. */
  readonly lost: number;
  /** Rows that the old key is still needed for. */
  readonly leftOver: number;
  readonly reads: number;
  /** What the reader could not read, or read wrong, at any moment. */
  readonly readProblems: readonly string[];
  /** Memory of the process that rotates, after its second slice and at most after that. */
  readonly rssMiB: { readonly early: number; readonly most: number };
}

const WORKER = new URL('./worker.ts', import.meta.url);
const TENANT = 'acme';
const READ_TENANTS = 100;
const RETRY_MS = 500;
const MAX_BATCHES_BEFORE_KILL = 6;

/** Rotates in slices, in turns with a bare loop over a copy of the same rows, while another process reads. */
export async function stressRotation(options: RotationOptions): Promise<RotationResult> {
  const { url, rotation, rows, batchRows, slices, kills, progress = () => {} } = options;
  const keys = { v1: generateKeyBase64(), v2: generateKeyBase64() };
  const knex = createKnex({ client: 'pg', connection: url, pool: { min: 0, max: 3 } });
  const setup: WorkerSetup = { url, keys, activeKid: rotation === 'root' ? 'v2' : 'v1', batchRows };
  const workers: ChildProcess[] = [];
  const start = async (with_: WorkerSetup): Promise<ChildProcess> => {
    const worker = await startWorker(WORKER, with_);
    workers.push(worker);
    return worker;
  };
  try {
    await createTables(knex);
    const root = createKeyring({ keys, activeKid: 'v1' });
    const tenants = await seed(knex, root, rotation, rows);
    await copyToBare(knex);
    progress(`${rows} rows are there`);
    const reader = await start({ ...setup, activeKid: 'v1' });
    const reading = messageOf<Answer, 'reads'>(reader, 'reads');
    reading.catch(() => undefined);
    reader.send({ task: 'read', tenants, secrets: rotation === 'root' ? 1 : rows } satisfies Task);
    const bare = await start(setup);
    let ours = await start(setup);
    const sliceRows = Math.ceil(rows / slices);
    const measured = new Map<Phase, { ours: number[]; bare: number[] }>();
    const cursors: Partial<Record<Phase, Key>> = {};
    const memory: number[] = [];
    let killed = 0;
    for (let slice = 1, done = false; !done; slice++) {
      const task: Task = { task: 'rotate', rotation, tenant: TENANT, rows: sliceRows };
      if (kills.includes(slice)) {
        await killIn(ours, task);
        killed++;
        if (options.impatient) await knex('secret_leases').update({ expires_at: new Date(0) });
        progress(`slice ${slice}: killed`);
        ours = await start(setup);
        continue;
      }
      const result = await rotateSlice(ours, task);
      done = result.done;
      memory.push(result.rssMiB);
      for (const segment of result.segments) {
        const { phase } = segment;
        const after = cursors[phase] ?? STARTS[phase];
        bare.send({ task: 'bare', phase, tenant: TENANT, rows: segment.rows, after } satisfies Task);
        const plain = await messageOf<Answer, 'bare'>(bare, 'bare');
        cursors[phase] = plain.after;
        if (plain.segment.rows < segment.rows) continue;
        const times = measured.get(phase) ?? { ours: [], bare: [] };
        times.ours.push((segment.elapsedMs * 1000) / segment.rows);
        times.bare.push((plain.segment.elapsedMs * 1000) / plain.segment.rows);
        measured.set(phase, times);
      }
      if (slice % 10 === 0) progress(`slice ${slice}, ${result.rssMiB.toFixed(0)} MiB`);
    }
    reader.send({ task: 'stop' } satisfies Task);
    const { reads, problems } = await reading;
    progress('rotated; every row is read again');
    const verdict = rotation === 'root' ? await verifyRoot(knex, keys) : await verifyTenant(knex, root, rows);
    return {
      rotation,
      rows,
      killed,
      phases: [...measured].map(([phase, times]) => phaseOf(phase, times)),
      ...verdict,
      reads,
      readProblems: problems,
      rssMiB: { early: memory[1] ?? 0, most: Math.max(...memory.slice(1)) },
    };
  } finally {
    await Promise.all(workers.map(stop));
    await knex.destroy();
  }
}

async function seed(knex: Knex, root: Keyring, rotation: Rotation, rows: number): Promise<readonly string[]> {
  if (rotation === 'root') return await seedTenants(knex, root, rows, Math.min(READ_TENANTS, rows));
  await seedSecrets(knex, root, TENANT, rows);
  return [TENANT];
}

function phaseOf(phase: Phase, { ours, bare }: { ours: readonly number[]; bare: readonly number[] }): PhaseResult {
  // The first slice warms up.
  const own = ours.length > 1 ? ours.slice(1) : ours;
  const other = bare.length > 1 ? bare.slice(1) : bare;
  const shares = own.map((time, index) => Number(other[index]) / time);
  return { phase, ours: spread(own), bare: spread(other), share: spread(shares) };
}

/** Waits for the lease of a process that was killed. */
async function rotateSlice(worker: ChildProcess, task: Task): Promise<Extract<Answer, { kind: 'slice' }>> {
  for (;;) {
    worker.send(task);
    const answer = await messageOf<Answer, 'slice' | 'refused'>(worker, 'slice', 'refused');
    if (answer.kind === 'slice') return answer;
    const { code } = answer;
    if (code !== 'ERR_SECRETS_LEASE_HELD') throw new Error(`The rotation was refused: ${code}.`);
    await sleep(RETRY_MS);
  }
}

/** Kills the process at a batch that nobody knows beforehand. */
async function killIn(worker: ChildProcess, task: Task): Promise<void> {
  const exited = once(worker, 'exit');
  let left = 1 + Math.floor(Math.random() * MAX_BATCHES_BEFORE_KILL);
  worker.on('message', (message: Answer) => {
    if (message.kind === 'refused') setTimeout(() => worker.send(task), RETRY_MS).unref();
    if (message.kind === 'slice') worker.kill('SIGKILL');
    if (message.kind === 'batch' && --left === 0) worker.kill('SIGKILL');
  });
  worker.send(task);
  const [code, signal] = (await exited) as [number | null, string | null];
  if (signal !== 'SIGKILL') throw new Error(`The worker that was to be killed ended by itself with ${code}.`);
}

async function verifyRoot(knex: Knex, keys: { readonly v2: string }): Promise<{ lost: number; leftOver: number }> {
  const alone = createKeyring({ keys: { v2: keys.v2 }, activeKid: 'v2' });
  let lost = 0;
  let leftOver = 0;
  await inPages(knex, 'secret_tenant_keys', ['tenant_id', 'kek_id'], async (row) => {
    if (row.root_kid !== 'v2') leftOver++;
    await unwrapTenantKey(alone, row as never).catch(() => lost++);
  });
  return { lost, leftOver };
}

/** Opens every version under the new key, and nothing else; the old one is destroyed first. */
async function verifyTenant(knex: Knex, root: Keyring, rows: number): Promise<{ lost: number; leftOver: number }> {
  const active: unknown = await knex('secret_tenant_keys').where({ tenant_id: TENANT, status: 'active' }).first();
  const kek = await unwrapTenantKey(root, active as never);
  const names = new Map<string, string>();
  let leftOver = 0;
  let intact = 0;
  const packedKid = kek.activeKid.replaceAll('-', '');
  await inPages(knex, 'secrets', ['id'], (row) => {
    const binding = row.binding as Buffer;
    const id = String(row.id);
    names.set(id, String(row.name));
    const keyed = { kid: kek.activeKid, mac: binding.subarray(16) };
    if (binding.toString('hex', 0, 16) !== packedKid) leftOver++;
    else if (!kek.verifyMac('secrets.binding', [TENANT, id, String(row.name), '1', '', '0'], keyed)) names.delete(id);
  });
  await inPages(knex, 'secret_versions', ['secret_id', 'version'], (row) => {
    if (row.kek_id !== kek.activeKid) leftOver++;
    else if (opened(kek, row) === seededValue(TENANT, names.get(String(row.secret_id)) ?? '')) intact++;
  });
  if (!names.size) throw new Error(`There is no ${nameOf(0)}.`);
  return { lost: rows - intact, leftOver };
}

let lastDek: { readonly bytes: string; readonly keyring: Keyring } | undefined;

function opened(kek: Keyring, row: Readonly<Record<string, unknown>>): string | undefined {
  const secret = { secret: String(row.secret_id), tenant: TENANT, version: String(row.version) };
  try {
    const key = kek.decryptBytes(row.wrapped_dek as Buffer, {
      context: { ...secret, kek: kek.activeKid, kind: 'dek' },
    });
    const bytes = key.toString('base64');
    if (lastDek?.bytes !== bytes) lastDek = { bytes, keyring: createKeyring({ keys: { dek: key }, activeKid: 'dek' }) };
    const context = { ...secret, kind: 'secret-value' };
    return lastDek.keyring.decryptBytes(row.ciphertext as Buffer, { context }).toString('utf8', 1);
  } catch {
    return undefined;
  }
}

async function inPages(
  knex: Knex,
  table: string,
  key: readonly string[],
  look: (row: Readonly<Record<string, unknown>>) => unknown,
): Promise<void> {
  const columns = key.join(', ');
  for (let after: readonly unknown[] | undefined; ; ) {
    const query = knex(table)
      .orderBy([...key])
      .limit(10_000);
    if (after !== undefined) {
      query.whereRaw(`(${columns}) > (${key.map(() => '?').join(', ')})`, after as never);
    }
    const page = (await query) as readonly Readonly<Record<string, unknown>>[];
    const last = page.at(-1);
    if (last === undefined) return;
    for (const row of page) await look(row);
    after = key.map((column) => last[column]);
  }
}
