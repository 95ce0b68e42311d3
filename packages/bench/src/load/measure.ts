import { orderOf } from '../measure.ts';
import { type Spread, spread } from '../statistics.ts';
import type { Role } from '../suite.ts';
import type { LoadFigures, LoadSlice } from './slice.ts';
import type { Budget, LoadCase, LoadContender, LoadEnvironment, LoadSuite } from './suite.ts';

export interface LoadContenderResult {
  readonly name: string;
  readonly role: Role;
  readonly callers: number;
  readonly perSecond: Spread;
  readonly p50: Spread;
  readonly p99: Spread;
  /** Throughput as a multiple of the baseline's in the same round. */
  readonly ratio: Spread;
  readonly budgets: readonly BudgetResult[];
}

export interface BudgetResult extends Budget {
  /** Ratio of the figures of a round, over the rounds. */
  readonly ratio: Spread;
}

export interface LoadCaseResult {
  readonly name: string;
  readonly contenders: readonly LoadContenderResult[];
}

export interface LoadSuiteResult {
  readonly suite: LoadSuite;
  readonly rounds: number;
  readonly facts: string;
  readonly cases: readonly LoadCaseResult[];
}

export interface MeasureLoadOptions {
  /** Rounds that count. */
  readonly rounds: number;
  readonly sliceMs: number;
  readonly slice: LoadSlice;
}

/** Opens a suite, checks every contender once, and measures its cases. */
export async function runLoadSuite(
  suite: LoadSuite,
  environment: LoadEnvironment,
  options: MeasureLoadOptions,
): Promise<LoadSuiteResult> {
  const opened = await suite.open(environment);
  try {
    for (const item of opened.cases) for (const { check } of item.contenders) await check();
    const cases: LoadCaseResult[] = [];
    for (const item of opened.cases) {
      environment.progress(`${suite.name}  ${item.name}`);
      cases.push(await measureLoad(item, options));
    }
    return { suite, rounds: options.rounds, facts: opened.facts, cases };
  } finally {
    await opened.close();
  }
}

/** A slice of each contender per round, in an order that changes from round to round; ratios are taken within a round. */
export async function measureLoad(item: LoadCase, options: MeasureLoadOptions): Promise<LoadCaseResult> {
  const { rounds, sliceMs, slice } = options;
  const figures = new Map<LoadContender, LoadFigures[]>(item.contenders.map((contender) => [contender, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const contender of orderOf(item.contenders, round)) {
      const callers = contender.callers ?? item.callers;
      const measured = await slice(contender, { callers, sliceMs, once: item.once === true });
      if (round > 0) figures.get(contender)?.push(measured);
    }
  }
  const byName = new Map([...figures].map(([{ name }, own]) => [name, own]));
  const baseline = item.contenders.filter(({ role }) => role === 'baseline');
  if (baseline.length !== 1) throw new Error(`${item.name}: ${baseline.length} baselines instead of one.`);
  const against = (name: string): readonly LoadFigures[] => {
    const found = byName.get(name);
    if (found === undefined) throw new Error(`${item.name}: nobody is called "${name}".`);
    return found;
  };
  return {
    name: item.name,
    contenders: [...figures].map(([contender, own]) => ({
      name: contender.name,
      role: contender.role,
      callers: contender.callers ?? item.callers,
      perSecond: spread(own.map(({ perSecond }) => perSecond)),
      p50: spread(own.map(({ p50 }) => p50)),
      p99: spread(own.map(({ p99 }) => p99)),
      ratio: ratioOf('throughput', own, against(baseline[0]?.name ?? '')),
      budgets: (contender.budgets ?? []).map((budget) =>
        Object.assign({ ratio: ratioOf(budget.measure, own, against(budget.against)) }, budget),
      ),
    })),
  };
}

function ratioOf(measure: Budget['measure'], own: readonly LoadFigures[], other: readonly LoadFigures[]): Spread {
  const figure = measure === 'p50' ? 'p50' : 'perSecond';
  return spread(own.map((round, index) => round[figure] / (other[index]?.[figure] ?? Number.NaN)));
}
