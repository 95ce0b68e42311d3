import { testEngines } from '@keywright/testkit/engines';
import { describe, expect, test } from 'vitest';
import { stressBackfill } from '../src/stress/backfill.ts';
import { documentOf, MIN_SHARE } from '../src/stress/document.ts';

const spread = { p25: 8, median: 10, p75: 12.5 };

describe.for(testEngines().filter(({ name }) => name === 'postgres'))('the backfill stress on $name', (engine) => {
  test.skipIf(!engine.available)('loses no row and sets none twice', { timeout: 60_000 }, async () => {
    const { url, drop } = await engine.createDatabase();
    const options = { url, rows: 12_000, batchRows: 150, slices: 8, kills: [2, 4] };
    const result = await stressBackfill(options);
    await drop();
    expect(result).toMatchObject({ rows: 12_000, killed: 2, lost: 0, updatesTooMany: 0, leftOver: 0 });
    expect(result.share.median).toBeGreaterThan(0);
    expect(result.backfill.median).toBeGreaterThan(0);
  });
});

test('the document shows what was found', () => {
  const result = {
    rows: 1_000_000,
    killed: 4,
    lost: 3,
    updatesTooMany: 2,
    leftOver: 1,
    backfill: spread,
    bare: spread,
  };
  const text = documentOf(
    { ...result, share: { p25: 0.5, median: 0.7, p75: 0.8 } },
    { date: '2026-01-02', machine: 'm' },
  );
  expect(text).toContain('| rows that do not decrypt to what they held | 3 |');
  expect(text).toContain('| 100,000 (80,000–125,000) |');
  expect(text).toContain(`0.70 (0.50–0.80), at least ${MIN_SHARE.toFixed(2)}`);
});
