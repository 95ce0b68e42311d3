import { isDeepStrictEqual } from 'node:util';
import type { Case, Contender } from './suite.ts';

/**
 * Runs every contender once and compares what it returns.
 * @throws Error where a result is wrong, or is the input handed back, or a case has not exactly one baseline
 */
export async function checkCase(suiteName: string, item: Case): Promise<void> {
  const baselines = item.contenders.filter((contender) => contender.role === 'baseline').length;
  if (baselines !== 1) throw new Error(`${suiteName}, ${item.name}: ${baselines} baselines instead of one.`);
  for (const contender of item.contenders) {
    if (await isCorrect(contender)) continue;
    throw new Error(`${suiteName}, ${item.name}: "${contender.name}" returned a wrong result.`);
  }
}

async function isCorrect(contender: Contender): Promise<boolean> {
  const returned = await contender.run();
  const result = contender.restore ? await contender.restore(returned) : returned;
  const handedBack = typeof returned === 'object' && returned !== null && returned === contender.expected;
  return !handedBack && isDeepStrictEqual(result, contender.expected);
}
