import { checkCase } from './check.ts';
import { type CaseResult, type MeasureOptions, measureCase } from './measure.ts';
import type { Case, Suite } from './suite.ts';

export interface SuiteResult {
  readonly suite: Suite;
  readonly rounds: number;
  readonly cases: readonly CaseResult[];
}

export interface RunOptions extends MeasureOptions {
  /** Hears of each case before it is checked. @default silence */
  readonly onCase?: (suite: Suite, item: Case) => void;
}

/** Checks, then measures each case. @throws Error from `checkCase` */
export async function runSuite(suite: Suite, options: RunOptions): Promise<SuiteResult> {
  const cases: CaseResult[] = [];
  try {
    for (const item of await suite.cases()) {
      options.onCase?.(suite, item);
      await checkCase(suite.name, item);
      cases.push(await measureCase(item, options));
    }
  } finally {
    await suite.close?.();
  }
  return { suite, rounds: options.rounds, cases };
}
