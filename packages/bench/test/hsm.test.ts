import { expect, test } from 'vitest';
import { type HsmResult, hsmProblems, hsmSection } from '../src/stress/hsm/section.ts';

const spread = (median: number) => ({ p25: median / 2, median, p75: median * 2 });
const good: HsmResult = {
  eventLoop: { signatures: 64, rounds: 25, delay: spread(2), blocked: spread(200), share: spread(0.01) },
  restarts: {
    callers: 64,
    restarts: 15,
    signed: 12_345,
    wrong: 0,
    refused: { ERR_KMS_UNAVAILABLE: 70, ERR_KMS_TIMEOUT: 7 },
    stuck: 0,
    slowestMs: 1_234.5,
  },
};

test('the section shows what was found', () => {
  const text = hsmSection(good);
  expect(text).toContain('| event-loop delay with the provider, p99 | 2.0 ms (1.0–4.0) |');
  expect(text).toContain('1.0 % (0.5 %–2.0 %), at most 5.0 %');
  expect(text).toContain('| calls that were refused while the token was away | 77 |');
  expect(text).not.toMatch(/NaN|undefined/);
});

test('what should not be is told', () => {
  expect(hsmProblems(good)).toEqual([]);
  const bad = {
    eventLoop: { ...good.eventLoop, share: spread(0.06) },
    restarts: { ...good.restarts, wrong: 1, stuck: 3, refused: { ERR_KMS_BACKEND: 2 } },
  };
  expect(hsmProblems(bad)).toEqual([
    'the event loop waits for 6.0 % of what it waits for synchronous calls',
    '1 signatures were wrong',
    '3 callers did not sign again after a restart',
    'calls were refused with ERR_KMS_BACKEND',
  ]);
});
