import { required } from '@keywright/testkit';
import { testEngines } from '@keywright/testkit/engines';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runLoadSuite } from '../src/load/measure.ts';
import { loadSlice } from '../src/load/slice.ts';
import { loadChartOf } from '../src/report/load-chart.ts';
import { measureSize } from '../src/stress/size/run.ts';
import { sizeProblems, sizeSection } from '../src/stress/size/section.ts';
import { loadSuites } from '../src/suites/index.ts';

const engines = testEngines().filter(({ name }) => name === 'postgres');

describe.for(engines)('load suites on $name', (engine) => {
  const run = test.skipIf(!engine.available);
  let serverUrl = '';
  let drop = async (): Promise<void> => {};

  beforeAll(async () => {
    if (engine.available) ({ url: serverUrl, drop } = await engine.createDatabase());
  });
  afterAll(async () => await drop());

  run.for(loadSuites.filter(({ missing }) => required('softhsm') || missing?.() === undefined))(
    '$name: every contender does what it should, and has figures',
    { timeout: 60_000 },
    async (suite) => {
      const environment = { serverUrl, size: 'quick', progress: () => {} } as const;
      const result = await runLoadSuite(suite, environment, { rounds: 1, sliceMs: 40, slice: loadSlice });
      for (const { contenders } of result.cases) {
        expect(new Set(contenders.map(({ name }) => name)).size).toBe(contenders.length);
        for (const { perSecond, p50, p99, budgets } of contenders) {
          expect(perSecond.median).toBeGreaterThan(0);
          expect(p99.median).toBeGreaterThanOrEqual(p50.median);
          for (const { ratio } of budgets) expect(ratio.median).toBeGreaterThan(0);
        }
      }
      expect(
        result.cases.flatMap(({ contenders }) => contenders.flatMap(({ budgets }) => budgets)).length,
      ).toBeGreaterThan(0);
      expect(loadChartOf(result)).not.toMatch(/NaN|undefined|Infinity/);
    },
  );

  run('the size run reads what it loaded among the rest', { timeout: 60_000 }, async () => {
    const sizes = { read: 40, secrets: 2_000, rounds: 1, sliceMs: 100 };
    const result = await measureSize({ serverUrl, ...sizes, progress: () => {} });
    expect(result.cases.map(({ name }) => name)).toEqual(['1 caller', '16 callers']);
    expect(sizeSection(result)).toContain('| 1 caller |');
    const slow = result.cases.map((item) => ({
      ...item,
      contenders: item.contenders.map((contender) => ({
        ...contender,
        budgets: contender.budgets.map((budget) => ({ ...budget, ratio: { p25: 2, median: 2, p75: 2 } })),
      })),
    }));
    expect(sizeProblems({ ...result, cases: slow })).toEqual([
      '1 caller: a get takes 2.00 times as long, more than 1.3',
      '16 callers: a get takes 2.00 times as long, more than 1.3',
    ]);
  });
});
