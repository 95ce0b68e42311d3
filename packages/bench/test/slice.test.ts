import { expect, test } from 'vitest';
import { mitataSlice } from '../src/slice.ts';

test.for<[string, () => unknown]>([
  ['a call', () => Buffer.alloc(64)],
  ['a promise', async () => Buffer.alloc(64)],
])('a slice of %s has a time', async ([, operation]) => {
  let calls = 0;
  const times = await mitataSlice(1)(() => {
    calls++;
    return operation();
  });
  expect(calls).toBeGreaterThan(15);
  for (const time of [times.median, times.mean]) {
    expect(time).toBeGreaterThan(0);
    expect(Number.isFinite(time)).toBe(true);
  }
});

test('a slow call is measured a few times only', async () => {
  let calls = 0;
  const times = await mitataSlice(1)(async () => {
    calls++;
    await new Promise((resolve) => setTimeout(resolve, 70));
  });
  expect(times.median).toBeGreaterThan(60e6);
  expect(calls).toBeLessThan(10);
});

test('what an operation throws comes out', async () => {
  const fail = () => {
    throw new Error('broken');
  };
  await expect(mitataSlice(1)(fail)).rejects.toThrow('broken');
});
