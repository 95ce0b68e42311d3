import { beforeAll, describe, expect, test } from 'vitest';
import { type LoadSuiteResult, measureLoad, runLoadSuite } from '../src/load/measure.ts';
import { type LoadFigures, loadSlice } from '../src/load/slice.ts';
import type { LoadCase, LoadContender, LoadEnvironment, LoadSuite } from '../src/load/suite.ts';
import { isMet, missedBudgets } from '../src/load/verdict.ts';
import { documentOf } from '../src/report/document.ts';
import { loadChartOf } from '../src/report/load-chart.ts';
import { budgetTableOf, loadTableOf } from '../src/report/load-table.ts';
import { sectionOfLoad } from '../src/report/section.ts';
import { textTable } from '../src/report/table.ts';

const environment: LoadEnvironment = { serverUrl: '', size: 'quick', progress: () => {} };
const options = { callers: 4, sliceMs: 60, once: false };

function contender(name: string, rest: Partial<LoadContender> = {}): LoadContender {
  return { name, role: 'subject', call: async () => {}, check: async () => {}, ...rest };
}

function suiteOf(cases: readonly LoadCase[], rest: Partial<LoadSuite> = {}): LoadSuite {
  return {
    kind: 'load',
    name: 'fake-load',
    title: 'Fakes',
    about: 'Nothing.',
    operations: 'calls',
    rounds: 3,
    sliceMs: 10,
    open: async () => ({ cases, facts: 'No rows.', close: async () => {} }),
    ...rest,
  };
}

/** Figures that are as large as was asked for, twice as large in every round that follows. */
function growing(figures: Readonly<Record<string, LoadFigures>>) {
  const seen = new Map<string, number>();
  return async ({ name }: LoadContender): Promise<LoadFigures> => {
    const factor = 2 ** (seen.get(name) ?? 0);
    seen.set(name, (seen.get(name) ?? 0) + 1);
    const { perSecond, p50, p99 } = figures[name] as LoadFigures;
    return { perSecond: perSecond * factor, p50: p50 * factor, p99: p99 * factor };
  };
}

describe('a slice', () => {
  const sleep = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

  test('has so many calls under way at once, and no more', async () => {
    let now = 0;
    let most = 0;
    const call = async (): Promise<void> => {
      most = Math.max(most, ++now);
      await sleep();
      now--;
    };
    await loadSlice(contender('one', { call }), options);
    expect(most).toBe(4);
    expect(now).toBe(0);
  });

  test('counts operations, and its latency is that of a call', async () => {
    const one = await loadSlice(contender('one', { call: sleep }), options);
    const ten = await loadSlice(contender('ten', { call: sleep, operations: 10 }), options);
    expect(one.perSecond).toBeGreaterThan(200);
    expect(one.perSecond).toBeLessThan(850);
    expect(one.p50).toBeGreaterThanOrEqual(4.5);
    expect(one.p99).toBeGreaterThanOrEqual(one.p50);
    expect(ten.perSecond).toBeGreaterThan(5 * one.perSecond);
  });

  test('of one call is that call', async () => {
    let calls = 0;
    const call = async (): Promise<void> => {
      calls++;
      await sleep();
    };
    const { perSecond, p50 } = await loadSlice(contender('one', { call, operations: 1000 }), {
      ...options,
      once: true,
    });
    expect(calls).toBe(1);
    expect(perSecond).toBeCloseTo(1_000_000 / p50, 0);
  });

  test('throws what a call throws, once every caller has stopped, and clears up', async () => {
    let running = 0;
    let cleared = false;
    const call = async (caller: number): Promise<void> => {
      running++;
      await sleep();
      running--;
      if (caller === 2) throw new Error('broken');
    };
    const after = async (): Promise<void> => {
      cleared = true;
    };
    await expect(loadSlice(contender('one', { call, after }), options)).rejects.toThrow('broken');
    expect(running).toBe(0);
    expect(cleared).toBe(true);
  });

  test('that is shorter than a call has the figures of one', async () => {
    const call = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));
    const { p50, perSecond } = await loadSlice(contender('slow', { call }), { ...options, callers: 1, sliceMs: 5 });
    expect(p50).toBeGreaterThanOrEqual(45);
    expect(perSecond).toBeLessThan(25);
  });
});

describe('a case', () => {
  test('has ratios of a round: a machine that changes from round to round does not move them', async () => {
    const slice = growing({ base: { perSecond: 100, p50: 4, p99: 8 }, ours: { perSecond: 300, p50: 2, p99: 9 } });
    const item: LoadCase = {
      name: 'one',
      callers: 1,
      contenders: [
        contender('base', { role: 'baseline' }),
        contender('ours', {
          budgets: [
            { measure: 'throughput', against: 'base', least: 2 },
            { measure: 'p50', against: 'base', most: 0.4 },
          ],
        }),
      ],
    };
    const result = await measureLoad(item, { rounds: 5, sliceMs: 1, slice });
    const ours = result.contenders[1];
    expect(ours?.ratio).toEqual({ p25: 3, median: 3, p75: 3 });
    expect(ours?.budgets.map(({ ratio }) => ratio.median)).toEqual([3, 0.5]);
    expect(ours?.budgets.map(isMet)).toEqual([true, false]);
  });

  test('has one baseline, and budgets against somebody who is there', async () => {
    const slice = async (): Promise<LoadFigures> => ({ perSecond: 1, p50: 1, p99: 1 });
    const measure = (contenders: readonly LoadContender[]) =>
      measureLoad({ name: 'one', callers: 1, contenders }, { rounds: 1, sliceMs: 1, slice });
    await expect(measure([contender('base')])).rejects.toThrow('0 baselines');
    const budgets = [{ measure: 'p50', against: 'nobody', most: 1 }] as const;
    const base = contender('base', { role: 'baseline' });
    await expect(measure([base, contender('ours', { budgets })])).rejects.toThrow('nobody is called "nobody"');
  });
});

test('a contender that does the wrong thing is found before anything is measured, and the database goes', async () => {
  let closed = false;
  const wrong = contender('wrong', { role: 'baseline', check: () => Promise.reject(new Error('wrong')) });
  const suite = suiteOf([], {
    open: async () => ({
      cases: [{ name: 'one', callers: 1, contenders: [wrong] }],
      facts: '',
      close: async () => {
        closed = true;
      },
    }),
  });
  const slice = () => Promise.reject(new Error('measured'));
  await expect(runLoadSuite(suite, environment, { rounds: 1, sliceMs: 1, slice })).rejects.toThrow('wrong');
  expect(closed).toBe(true);
});

describe('the report', () => {
  let result: LoadSuiteResult;

  beforeAll(async () => {
    const slice = growing({
      base: { perSecond: 1000, p50: 4, p99: 8 },
      'ours <&>': { perSecond: 900, p50: 2, p99: 9 },
    });
    const contenders = [
      contender('base', { role: 'baseline' }),
      contender('ours <&>', { budgets: [{ measure: 'throughput', against: 'base', least: 2 }] }),
    ];
    const suite = suiteOf([{ name: '1 caller', callers: 1, contenders }]);
    result = await runLoadSuite(suite, environment, { rounds: 1, sliceMs: 1, slice });
  });

  test('tables', () => {
    expect(textTable(loadTableOf(result)).split('\n')).toEqual([
      'case      contender  calls/s  ratio  quartiles      p50      p99',
      '1 caller  base         2.00k   1.00  1.00–1.00  8.00 ms  16.0 ms',
      '1 caller  ours <&>     1.80k   0.90  0.90–0.90  4.00 ms  18.0 ms',
    ]);
    expect(budgetTableOf(result).rows).toEqual([
      ['1 caller', 'throughput of ours <&> to base', '0.90', '0.90–0.90', '≥ 2.00', 'missed'],
    ]);
  });

  test('a missed budget is named, and the document shows it', () => {
    const section = sectionOfLoad(result);
    expect(section.missed).toEqual(missedBudgets(result));
    expect(section.missed).toEqual([
      'fake-load, 1 caller: throughput of ours <&> is 0.90 times that of base, budget ≥ 2.00',
    ]);
    const document = documentOf([section], { date: '2026-11-22', machine: 'Some CPU' }, '', ['fake-load']);
    expect(document).toContain('| 1 caller | base | 2.00k | 1.00 |');
    expect(document).toContain('| ≥ 2.00 | missed |');
    expect(document).toContain('Measured 2026-11-22 in 1 rounds. No rows. Some CPU.');
  });

  test('the picture has a bar for each figure, and names in it are text', () => {
    const svg = loadChartOf(result);
    expect(svg.match(/class="bar"/g)).toHaveLength(4);
    expect(svg).toContain('ours &lt;&amp;&gt;');
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    const heights = [...svg.matchAll(/<rect class="bar"[^>]* height="([\d.]+)"/g)].map(([, height]) => Number(height));
    expect(Number(heights[1]) / Number(heights[0])).toBeCloseTo(0.9, 1);
    expect(Number(heights[3]) / Number(heights[2])).toBeCloseTo(0.5, 1);
  });
});
