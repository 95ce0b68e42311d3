import { expect, test } from 'vitest';
import type { ContenderResult } from '../src/measure.ts';
import { overruns, verdictOf } from '../src/verdict.ts';
import { suiteOf } from './fake.ts';

test.for<[number, 'faster' | 'ok']>([
  [0.8, 'faster'],
  [1.0049, 'faster'],
  [1.01, 'ok'],
  [9, 'ok'],
])('a peer that takes %d times the baseline, and must take more than 1, is %s', ([ratio, verdict]) => {
  expect(verdictOf(resultOf('peer', ratio, undefined, 1))).toBe(verdict);
});

test.for<[number, number | undefined, string]>([
  [1.1, 1.25, 'ok'],
  [1.25, 1.25, 'ok'],
  [1.2549, 1.25, 'ok'],
  [1.256, 1.25, 'over'],
  [9, undefined, 'none'],
])('a ratio of %d under a budget of %s is %s', ([ratio, maxRatio, verdict]) => {
  expect(verdictOf(resultOf('any', ratio, maxRatio))).toBe(verdict);
});

test('overruns name the suite, the case and the contender', () => {
  const cases = [
    {
      name: 'small',
      bytes: 1,
      place: undefined,
      contenders: [resultOf('good', 1.2, 1.25), resultOf('bad', 1.5, 1.25)],
    },
    {
      name: 'large',
      bytes: 2,
      place: undefined,
      contenders: [resultOf('peer', 0.9, undefined, 1), resultOf('unbound', 3)],
    },
  ];
  expect(overruns([{ suite: suiteOf([]), rounds: 1, cases }])).toEqual([
    'fake, small: bad takes 1.50 times the baseline, budget ≤ 1.25',
    'fake, large: peer takes 0.90 times the baseline, budget > 1.00',
  ]);
});

function resultOf(name: string, ratio: number, maxRatio?: number, minRatio?: number): ContenderResult {
  const spread = { p25: ratio, median: ratio, p75: ratio };
  return { name, role: 'subject', maxRatio, minRatio, time: spread, ratio: spread, meanRatio: spread };
}
