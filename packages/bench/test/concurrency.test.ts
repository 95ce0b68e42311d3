import { testEngines } from '@keywright/testkit/engines';
import createKnex from 'knex';
import { describe, expect, test } from 'vitest';
import { auditProblems, type OperationRow } from '../src/stress/concurrency/audited.ts';
import { type History, historyProblems } from '../src/stress/concurrency/history.ts';
import type { Done, Operation } from '../src/stress/concurrency/operations.ts';
import { stressConcurrency } from '../src/stress/concurrency/run.ts';
import { concurrencyProblems, concurrencySection } from '../src/stress/concurrency/section.ts';

const NOT_FOUND = { kind: 'error', code: 'ERR_SECRETS_NOT_FOUND', retryable: false, typed: true } as const;

describe.for(testEngines())('processes that meet on $name', (engine) => {
  test.skipIf(!engine.available)(
    'lose nothing, escape with nothing, and are audited once',
    { timeout: 60_000 },
    async () => {
      const { url, knexConfig, drop } = await engine.createDatabase();
      const knex = createKnex(knexConfig);
      await knex.raw('select 1'); // leaves an SQLite file in write-ahead mode
      await knex.destroy();
      const callers = engine.name === 'sqlite' ? 1 : 3;
      const result = await stressConcurrency({ url, processes: 3, callers, runMs: 3_000, sweepEveryMs: 300 });
      await drop();
      expect(concurrencyProblems(result)).toEqual([]);
      expect(result.acknowledged).toBeGreaterThan(100);
      expect(result.auditRows).toBe(result.acknowledged + result.refused);
    },
  );
});

let clock = 0n;

/** Operations follow each other, unless times are given. */
function operation(action: Operation['action'], done: Done, rest: Partial<Operation> = {}): Operation {
  clock += 10n;
  const start = clock;
  const base = { id: `op-${start}`, tenant: 'a', name: 'n', action, start, end: start + 5n };
  return { ...base, outcome: { kind: 'done', done }, ...rest };
}

const save = (version: number, rest: Partial<Operation> = {}, expected?: number): Operation =>
  operation('secret.save', { secretId: 's', version, value: `v${version}`, expected }, rest);
const get = (version: number, rest: Partial<Operation> = {}): Operation =>
  operation('secret.get', { secretId: 's', version, value: `v${version}` }, rest);

function historyOf(operations: readonly Operation[], versions: number, rest: Partial<History> = {}): History {
  return {
    operations,
    deletions: [],
    secrets: [{ tenant: 'a', secretId: 's', name: 'n', currentVersion: versions }],
    versions: Array.from({ length: versions }, (_, index) => ({
      tenant: 'a',
      secretId: 's',
      version: index + 1,
      value: `v${index + 1}`,
    })),
    ...rest,
  };
}

describe('the judge of a history', () => {
  test('finds nothing wrong with one that is right', () => {
    const before = [save(1), get(1), save(2, {}, 1)];
    const third = save(3);
    const during = { start: third.start + 1n, end: third.end + 1n };
    const reads = [get(2, during), get(3, during)];
    expect(historyProblems(historyOf([...before, third, ...reads, get(3)], 3))).toEqual([]);
  });

  test.for<[string, () => History, string]>([
    [
      'an acknowledged version that is gone',
      () => historyOf([save(1), save(2)], 1),
      'version 2 of s was acknowledged and is gone',
    ],
    ['a version that nobody was told of', () => historyOf([save(1)], 2), '2 versions are stored, and 1 saves'],
    ['two saves of one version', () => historyOf([save(1), save(2), save(2)], 2), 'two saves of s were told version 2'],
    [
      'a gap',
      () =>
        historyOf([save(1), save(3)], 3, {
          versions: historyOf([], 3).versions.filter(({ version }) => version !== 2),
        }),
      's has no version 2',
    ],
    [
      'another value',
      () => historyOf([save(1)], 1, { versions: [{ tenant: 'a', secretId: 's', version: 1, value: 'x' }] }),
      'holds what another operation saved',
    ],
    [
      'an update that was lost between compare and set',
      () => historyOf([save(1), save(2), save(3, {}, 1)], 3),
      'expected version 1 and made 3',
    ],
    ['versions against the order of time', () => historyOf([save(2), save(1)], 2), 'version 2 of s is from before'],
    ['a stale read', () => historyOf([save(1), save(2), get(1)], 2), 'read version 1 when there was 2'],
    ['a read from the future', () => historyOf([get(1), save(1)], 1), 'read a version from after it'],
    ['a read of nobody’s version', () => historyOf([save(1), get(7)], 1), 'read a version that nobody saved'],
    [
      'a read that misses what is there',
      () => historyOf([save(1), operation('secret.get', {}, { outcome: NOT_FOUND })], 1),
      'did not find what was there',
    ],
    ['a secret that is gone', () => historyOf([save(1)], 1, { secrets: [] }), 'secret s was saved and is gone'],
  ])('finds %s', ([, make, problem]) => {
    expect(historyProblems(make()).join('\n')).toContain(problem);
  });

  test('knows deletions: reads find none after one, and nothing of before it', () => {
    const saved = save(1);
    const deleted = operation('secret.delete', {});
    const missed = operation('secret.get', {}, { outcome: NOT_FOUND });
    const deletions = [{ operation: deleted, secretId: 's' }];
    expect(historyProblems(historyOf([saved, deleted, missed], 1, { deletions }))).toEqual([]);
    expect(historyProblems(historyOf([saved, deleted, get(1)], 1, { deletions })).join()).toContain('that was deleted');
  });
});

describe('the judge of the audit log', () => {
  const rowOf = ({ id, action }: Operation, rest: Partial<OperationRow> = {}): OperationRow => ({
    operation: id,
    action,
    outcome: 'success',
    secretId: 's',
    version: 1,
    ...rest,
  });

  test('wants one row for each operation, and none for one that failed', () => {
    const saved = save(1);
    const refused = operation('secret.get', {}, { outcome: NOT_FOUND });
    const failed = operation(
      'secret.get',
      {},
      { outcome: { ...NOT_FOUND, code: 'ERR_SECRETS_DATABASE', retryable: true } },
    );
    const rows = [rowOf(saved), rowOf(refused, { outcome: 'refused' })];
    expect(auditProblems([saved, refused, failed], rows)).toEqual([]);
    expect(auditProblems([saved], [])).toEqual([`${saved.id} has 0 audit rows`]);
    expect(auditProblems([saved], [rowOf(saved), rowOf(saved)])).toEqual([`${saved.id} has 2 audit rows`]);
    expect(auditProblems([failed], [rowOf(failed)])).toEqual([`${failed.id} failed and has 1 audit rows`]);
    expect(auditProblems([], [rowOf(saved)])[0]).toContain('which nobody did');
    expect(auditProblems([saved], [rowOf(saved, { version: 2 })])[0]).toContain('another version');
    expect(auditProblems([refused], [rowOf(refused)])[0]).toContain('is audited as secret.get, success');
  });
});

test('the section and the verdict show what was found', () => {
  const found = {
    processes: 8,
    callers: 4,
    runMs: 60_000,
    operations: 12_345,
    acknowledged: 12_000,
    refused: 340,
    retryable: { ERR_SECRETS_DATABASE: 5 },
    auditRows: 12_340,
    versions: 6_000,
    gaveWay: 2,
    deadlocks: 1,
    sweeps: { seal: 9, rotateTenant: 7, rotateRoot: 0 },
    escapes: ['secret.get: TypeError'],
    historyProblems: ['lost'],
    auditProblems: ['doubled'],
    logIntact: false,
  };
  expect(concurrencyProblems(found)).toEqual([
    'an error that should not be: secret.get: TypeError',
    'lost',
    'doubled',
    'the audit log does not verify',
    'rotateRoot never came to its end',
  ]);
  const section = concurrencySection([['PostgreSQL', found]]);
  expect(section).toContain('| failed, and may be tried again | 5 |');
  expect(section).toContain('| the log verifies | no |');
});
