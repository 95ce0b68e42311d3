import { testEngines } from '@keywright/testkit/engines';
import { describe, expect, test } from 'vitest';
import { stressBackfill } from '../src/stress/backfill.ts';
import { backfillSection, MIN_SHARE } from '../src/stress/backfill-run.ts';
import { documentOf } from '../src/stress/document.ts';
import { runs, selectRuns } from '../src/stress/runs.ts';

const spread = { p25: 8, median: 10, p75: 12.5 };
const measured = { date: '2026-01-02', machine: 'Some CPU' };

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

test('the section shows what was found', () => {
  const found = { rows: 1_000_000, killed: 4, lost: 3, updatesTooMany: 2, leftOver: 1, backfill: spread, bare: spread };
  const text = backfillSection({ ...found, share: { p25: 0.5, median: 0.7, p75: 0.8 } });
  expect(text).toContain('| rows that do not decrypt to what they held | 3 |');
  expect(text).toContain('| 100,000 (80,000–125,000) |');
  expect(text).toContain(`0.70 (0.50–0.80), at least ${MIN_SHARE.toFixed(2)}`);
});

test('a run that did not take place keeps its section, one that is gone loses it', () => {
  const one = { name: 'one', section: '## One\n\nFound.' };
  const two = { name: 'two', section: '## Two\n\nFound.' };
  const both = documentOf([one, two], measured, '', ['one', 'two']);
  const later = documentOf([{ ...one, section: '## One\n\nFound again.' }], measured, both, ['one', 'two']);
  expect(later).toContain('## One\n\nFound again.\n\nMeasured 2026-01-02. Some CPU.');
  expect(later).toContain('## Two\n\nFound.');
  expect(documentOf([], measured, both, ['two'])).not.toContain('## One');
  expect(documentOf([], measured, both, ['one', 'two'])).toBe(both);
});

test('runs are selected by name, in their own order; none means all', () => {
  expect(selectRuns([])).toBe(runs);
  expect(selectRuns(['concurrency', 'backfill']).map(({ name }) => name)).toEqual(['backfill', 'concurrency']);
  expect(() => selectRuns(['nothing'])).toThrow('No run "nothing". Runs: backfill,');
});
