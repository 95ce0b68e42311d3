import { testEngines } from '@keywright/testkit/engines';
import { describe, expect, test } from 'vitest';
import type { Rotation } from '../src/stress/rotation/protocol.ts';
import { type RotationResult, stressRotation } from '../src/stress/rotation/run.ts';
import { MIN_SHARE, rotationProblems, rotationSection } from '../src/stress/rotation/section.ts';

const spread = { p25: 8, median: 10, p75: 12.5 };
const FOUND: RotationResult = {
  rotation: 'tenant',
  rows: 1_000_000,
  killed: 4,
  phases: [{ phase: 'data-keys', ours: spread, bare: spread, share: { p25: 0.6, median: 0.7, p75: 0.8 } }],
  lost: 0,
  leftOver: 0,
  reads: 1234,
  readProblems: [],
  rssMiB: { early: 130, most: 150.4 },
};

describe.for(testEngines().filter(({ name }) => name === 'postgres'))('the rotation stress on $name', (engine) => {
  test.skipIf(!engine.available).for(['root', 'tenant'] satisfies Rotation[])(
    'loses no %s row and can read at every moment',
    { timeout: 120_000 },
    async (rotation) => {
      const { url, drop } = await engine.createDatabase();
      const options = { url, rotation, rows: 2_000, batchRows: 50, slices: 8, kills: [3], impatient: true };
      const result = await stressRotation(options);
      await drop();
      expect(result).toMatchObject({ rows: 2_000, killed: 1, lost: 0, leftOver: 0, readProblems: [] });
      expect(result.reads).toBeGreaterThan(0);
      const phases = rotation === 'root' ? ['tenant-keys'] : ['data-keys', 'bindings'];
      expect(result.phases.map(({ phase }) => phase)).toEqual(phases);
    },
  );
});

test('the section shows what was found', () => {
  const text = rotationSection({ ...FOUND, lost: 3, readProblems: ['acme s1: ERR'] });
  expect(text).toContain('| rows that do not open as they did | 3 |');
  expect(text).toContain('| of them refused or wrong | 1 |');
  expect(text).toContain('| data keys per second | 100,000 (80,000–125,000) |');
  expect(text).toContain(`0.70 (0.60–0.80), at least ${MIN_SHARE.toFixed(2)}`);
  expect(text).toContain('| 130 MiB, 150 MiB |');
});

test('what is lost, unreadable, too slow or too large is a problem', () => {
  expect(rotationProblems(FOUND)).toEqual([]);
  const slow = FOUND.phases.map((phase) => ({ ...phase, share: { p25: 0.3, median: 0.4, p75: 0.5 } }));
  const bad = { lost: 1, leftOver: 2, reads: 0, readProblems: ['acme s1: ERR'], phases: slow };
  expect(rotationProblems({ ...FOUND, ...bad, rssMiB: { early: 100, most: 400 } })).toEqual([
    '1 rows do not open',
    '2 rows are under the old key',
    'while it ran: acme s1: ERR',
    'nothing was read',
    'memory grew by 300 MiB',
    "data keys: 0.40 of the bare loop's speed, below 0.5",
  ]);
});
