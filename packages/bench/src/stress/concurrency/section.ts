import { createPostgresDatabase, createSqliteDatabase } from '@keywright/testkit';
import createKnex from 'knex';
import type { StressRun } from '../stress-run.ts';
import { type ConcurrencyResult, stressConcurrency } from './run.ts';

/** Of each kind of problem, as many are shown. */
const SHOWN = 5;

const SIZES = {
  full: { processes: 8, runMs: 60_000, sweepEveryMs: 2_000 },
  quick: { processes: 3, runMs: 5_000, sweepEveryMs: 400 },
} as const;
/** SQLite has one writer, so more callers would only wait longer. */
const CALLERS = { PostgreSQL: 4, SQLite: 1 } as const;

type Engine = keyof typeof CALLERS;

/** Processes that do everything at the same time, on both engines. */
export const concurrencyRun: StressRun = {
  name: 'concurrency',

  async run({ serverUrl, size, progress }) {
    const results: (readonly [Engine, ConcurrencyResult])[] = [];
    for (const engine of ['PostgreSQL', 'SQLite'] as const) {
      const { url, drop } = await (engine === 'SQLite' ? writeAheadSqlite() : createPostgresDatabase(serverUrl));
      const options = { url, ...SIZES[size], callers: CALLERS[engine] };
      results.push([
        engine,
        await stressConcurrency({ ...options, progress: (line) => progress(`${engine}  ${line}`) }),
      ]);
      await drop();
    }
    return {
      section: concurrencySection(results),
      problems: results.flatMap(([engine, result]) =>
        concurrencyProblems(result).map((problem) => `${engine}: ${problem}`),
      ),
    };
  },
};

/** The mode stays with the file: processes that open it by its address have it too. */
async function writeAheadSqlite(): Promise<{ readonly url: string; drop(): Promise<void> }> {
  const database = await createSqliteDatabase();
  const knex = createKnex(database.knexConfig);
  await knex.raw('select 1');
  await knex.destroy();
  return database;
}

export function concurrencyProblems(result: ConcurrencyResult): string[] {
  const { escapes, historyProblems, auditProblems, logIntact, sweeps } = result;
  return [
    ...escapes.map((what) => `an error that should not be: ${what}`),
    ...historyProblems.slice(0, SHOWN),
    ...(historyProblems.length > SHOWN ? [`and ${historyProblems.length - SHOWN} more like it`] : []),
    ...auditProblems.slice(0, SHOWN),
    ...(auditProblems.length > SHOWN ? [`and ${auditProblems.length - SHOWN} more like it`] : []),
    ...(logIntact ? [] : ['the audit log does not verify']),
    // A run without them would prove nothing about them.
    ...Object.entries(sweeps).flatMap(([kind, done]) => (done === 0 ? [`${kind} never came to its end`] : [])),
  ];
}

export function concurrencySection(results: readonly (readonly [string, ConcurrencyResult])[]): string {
  const first = results[0]?.[1];
  const row = (what: string, of: (result: ConcurrencyResult) => string): string =>
    `| ${[what, ...results.map(([, result]) => of(result))].join(' | ')} |`;
  return `## Concurrency

${first?.processes} processes work on one store for ${(first?.runMs ?? 0) / 1000} seconds: they read, save, compare and set, delete, list, and now and then one
of them rotates a tenant's key, seals the audit log, or rotates the root key after all have been told of a new one. There
are 4 tenants with 12 names each, so they meet all the time. Every process writes down what it was told, by a clock that all
of them share. In the end that is compared with the database, read by plain SQL and decrypted without the store's code:

- Every acknowledged save is the version it was told, and holds its value; there is no other version and no gap.
- A compare-and-set made the version after the one that it expected. What ended before another began has the lower version.
- A read saw the newest version that was there when it began, or one that was saved while it ran; never a deleted secret,
  and never none where there was one throughout.
- Every operation that was acknowledged or refused has one audit row that says so, with the version and the secret that the
  caller was told; one that failed has none.
- When the rest of the log is sealed, it verifies.

| what | ${results.map(([engine]) => engine).join(' | ')} |
| :--- |${results.map(() => ' ---: |').join('')}
${[
  row('callers of each process', ({ callers }) => count(callers)),
  row('operations', ({ operations }) => count(operations)),
  row('acknowledged', ({ acknowledged }) => count(acknowledged)),
  row('refused: not found, taken, another version', ({ refused }) => count(refused)),
  row('failed, and may be tried again', ({ retryable }) => count(total(retryable))),
  row('other errors', ({ escapes }) => count(escapes.length)),
  row('versions saved', ({ versions }) => count(versions)),
  row('tenant keys rotated', ({ sweeps }) => count(sweeps.rotateTenant)),
  row('root keys rotated', ({ sweeps }) => count(sweeps.rotateRoot)),
  row('times the log was sealed', ({ sweeps }) => count(sweeps.seal)),
  row('long work that gave way to another process', ({ gaveWay }) => count(gaveWay)),
  row('deadlocks that the database resolved', ({ deadlocks }) => (deadlocks === undefined ? '–' : count(deadlocks))),
  row('saves lost, doubled, out of order or misread', ({ historyProblems }) => count(historyProblems.length)),
  row('audit rows of operations', ({ auditRows }) => count(auditRows)),
  row('missing, doubled or wrong audit rows', ({ auditProblems }) => count(auditProblems.length)),
  row('the log verifies', ({ logIntact }) => (logIntact ? 'yes' : 'no')),
].join('\n')}`;
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, value) => sum + value, 0);
}

function count(value: number): string {
  return value.toLocaleString('en');
}
