import { validate, version } from 'uuid';
import { afterEach, expect, it, vi } from 'vitest';
import { timeOrderedId } from '../src/internal/time-ordered-id.ts';

afterEach(() => {
  vi.useRealTimers();
});

it('is a UUIDv7 of now, and no two are the same', () => {
  const before = Date.now();
  const ids = Array.from({ length: 20_000 }, timeOrderedId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.every((id) => validate(id) && version(id) === 7)).toBe(true);
  const times = ids.map((id) => Number.parseInt(id.replace('-', '').slice(0, 12), 16));
  expect(times.every((at) => at >= before && at <= Date.now())).toBe(true);
});

it('sorts in the order of making, also when the clock stands still or goes back', () => {
  vi.useFakeTimers();
  const ids: string[] = [];
  const from = Date.now() + 60_000;
  for (const step of [0, 0, 1, -5_000, 0, 5_000, 0]) {
    vi.setSystemTime(from + step);
    for (let count = 0; count < 3_000; count++) ids.push(timeOrderedId());
  }
  expect(ids).toEqual(ids.toSorted());
  expect(new Set(ids).size).toBe(ids.length);
});

it('has random bits in every id', () => {
  const tails = Array.from({ length: 2_000 }, () => timeOrderedId().slice(-10));
  expect(new Set(tails).size).toBe(tails.length);
  for (let index = 0; index < 10; index++) expect(new Set(tails.map((tail) => tail[index])).size).toBe(16);
});
