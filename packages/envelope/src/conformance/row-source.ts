import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RowKey, RowPage, RowSource, SourceRow } from '../migrate/row-source.ts';

/** A column that a source reads, and another way to it. Every row has its own place in the order of keys, from 1. */
export interface RowSourceHarness {
  readonly source: RowSource;
  /** Stores a value in the row of this place, as a writer that commits; makes the row if it is not there. */
  put(place: number, stored: unknown): Promise<void>;
  delete(place: number): Promise<void>;
  /** The key of the row of this place. */
  keyOf(place: number): RowKey;
  /** What the row of this place holds. */
  read(place: number): Promise<unknown>;
  close(): Promise<void>;
}

export interface RowSourceConformanceOptions {
  /**
   * What the column holds.
   * @default 'text'
   */
  readonly values?: 'text' | 'object' | 'bytes' | undefined;
}

const ROWS = 23;

/**
 * Registers the tests that every `RowSource` has to pass, in a vitest file: each row in one page, and no change that a
 * writer made ever overwritten.
 *
 * @param makeHarness makes a column without rows, for each test anew
 *
 * @example
 * ```ts
 * import { rowSourceConformance } from '@keywright/envelope/conformance';
 * import { memoryRowSource } from '@keywright/envelope/migrate';
 *
 * rowSourceConformance('in memory', async () => {
 *   const source = memoryRowSource([]);
 *   const keyOf = (place: number) => ({ id: place });
 *   return {
 *     source,
 *     keyOf,
 *     put: async (place, stored) => source.put({ key: keyOf(place), stored }),
 *     delete: async (place) => source.delete(keyOf(place)),
 *     read: async (place) => source.rows.find(({ key }) => key.id === place)?.stored,
 *     close: async () => {},
 *   };
 * });
 * ```
 */
export function rowSourceConformance(
  name: string,
  makeHarness: () => Promise<RowSourceHarness>,
  { values = 'text' }: RowSourceConformanceOptions = {},
): void {
  const value = VALUES[values];

  describe(`row source ${name}`, () => {
    let harness: RowSourceHarness;
    let source: RowSource;
    beforeEach(async () => {
      harness = await makeHarness();
      source = harness.source;
    });
    afterEach(async () => {
      await harness?.close();
    });
    const fill = async (rows: number): Promise<void> => {
      for (let place = 1; place <= rows; place++) await harness.put(place, value(`value ${place}`));
    };
    const places = (rows: readonly SourceRow[]): string[] => rows.map(({ key }) => textOf(key));
    const all = (rows: number): string[] =>
      Array.from({ length: rows }, (_, index) => textOf(harness.keyOf(index + 1)));

    it('gives every row once, in the order of keys, whatever the size of a page', async () => {
      await fill(ROWS);
      for (const limit of [1, 2, 7, ROWS, ROWS + 1]) {
        const rows = (await pagesOf(source, limit)).flatMap((page) => page.rows);
        expect(places(rows)).toEqual(all(ROWS));
        expect(rows.map(({ stored }) => stored)).toEqual(
          Array.from({ length: ROWS }, (_, index) => value(`value ${index + 1}`)),
        );
      }
    });

    it('gives pages no longer than asked for, and one page without rows for none', async () => {
      expect(await source.scan({ limit: 5 })).toEqual({ rows: [], cursor: undefined });
      await fill(ROWS);
      for (const page of await pagesOf(source, 5)) expect(page.rows.length).toBeLessThanOrEqual(5);
    });

    it('gives null as null', async () => {
      await harness.put(1, null);
      await harness.put(2, value('x'));
      expect((await source.scan({ limit: 5 })).rows.map(({ stored }) => stored)).toEqual([null, value('x')]);
    });

    it('goes on from a cursor that was kept as text', async () => {
      await fill(ROWS);
      const { cursor } = await source.scan({ limit: 9 });
      expect(typeof cursor).toBe('string');
      const kept = JSON.parse(JSON.stringify({ cursor })) as { cursor: string };
      expect(places((await source.scan({ after: kept.cursor, limit: ROWS })).rows)).toEqual(all(ROWS).slice(9));
    });

    it('passes no row by and gives none twice while others come and go', async () => {
      await fill(ROWS);
      await harness.delete(11);
      const first = await source.scan({ limit: 10 });
      await harness.delete(3); // before the cursor
      await harness.delete(10); // the row of the cursor itself
      await harness.put(11, value('new')); // behind it
      const rest = await source.scan({ after: first.cursor, limit: ROWS });
      expect([...places(first.rows), ...places(rest.rows)]).toEqual(all(ROWS));
    });

    it('sets what is as it was read, and tells so for each change in its order', async () => {
      await fill(5);
      const { rows } = await source.scan({ limit: 5 });
      await harness.put(2, value('by a writer'));
      await harness.delete(4);
      const changes = rows.map((row) => ({ row, next: value('next') })).toReversed();
      expect(await source.compareAndSet(changes)).toEqual([true, false, true, false, true]);
      const now = await Promise.all([1, 2, 3, 5].map(async (place) => await harness.read(place)));
      expect(now).toEqual([value('next'), value('by a writer'), value('next'), value('next')]);
      expect(places((await source.scan({ limit: 5 })).rows)).not.toContain(textOf(harness.keyOf(4)));
    });

    it('takes any difference for a change, and each change once', async () => {
      const before = ['Value', 'value', 'välue', 'value 1', '1'];
      const after = ['value', 'value ', 'valüe', 'value  1', '1.0'];
      for (const [index, text] of before.entries()) await harness.put(index + 1, value(text));
      const changes = (await source.scan({ limit: 5 })).rows.map((row) => ({ row, next: value('next') }));
      for (const [index, text] of after.entries()) await harness.put(index + 1, value(text));
      expect(await source.compareAndSet(changes)).toEqual([false, false, false, false, false]);
      const again = (await source.scan({ limit: 5 })).rows.map((row) => ({ row, next: value('next') }));
      expect(await source.compareAndSet(again)).toEqual([true, true, true, true, true]);
      expect(await source.compareAndSet(again)).toEqual([false, false, false, false, false]);
    });

    it('sets null, and what was null', async () => {
      await harness.put(1, null);
      await harness.put(2, value('x'));
      await harness.put(3, null);
      const { rows } = await source.scan({ limit: 3 });
      await harness.put(3, value('by a writer'));
      const next = [value('next'), null, value('next')];
      const changes = rows.map((row, index) => ({ row, next: next[index] }));
      expect(await source.compareAndSet(changes)).toEqual([true, true, false]);
      expect((await source.scan({ limit: 3 })).rows.map(({ stored }) => stored)).toEqual([
        value('next'),
        null,
        value('by a writer'),
      ]);
    });

    it('lets one of several that change the same row win', async () => {
      await fill(ROWS);
      const { rows } = await source.scan({ limit: ROWS });
      const rivals = ['a', 'b', 'c'];
      const wins = await Promise.all(
        rivals.map(async (rival) => await source.compareAndSet(rows.map((row) => ({ row, next: value(rival) })))),
      );
      for (let index = 0; index < ROWS; index++) {
        const winners = rivals.filter((_, rival) => wins[rival]?.[index]);
        expect(winners).toHaveLength(1);
        expect(await harness.read(index + 1)).toEqual(value(winners[0] as string));
      }
    });

    it('does nothing for no changes', async () => {
      await fill(1);
      expect(await source.compareAndSet([])).toEqual([]);
    });

    it('does nothing for a signal that has ended', async () => {
      await fill(2);
      const { rows } = await source.scan({ limit: 2 });
      const signal = AbortSignal.abort(new Error('enough'));
      await expect(source.scan({ limit: 2, signal })).rejects.toThrow('enough');
      const changes = rows.map((row) => ({ row, next: value('next') }));
      await expect(source.compareAndSet(changes, { signal })).rejects.toThrow('enough');
      expect(await harness.read(1)).toEqual(value('value 1'));
    });

    it('shows one instant in a snapshot, if it has them', async () => {
      await fill(3);
      if (source.snapshot === undefined) return expect(source.snapshot).toBeUndefined();
      const seen = await source.snapshot(async (frozen) => [
        ...(await frozen.scan({ limit: 3 })).rows,
        ...(await frozen.scan({ limit: 3 })).rows,
      ]);
      expect(places(seen)).toEqual([...all(3), ...all(3)]);
      await expect(source.snapshot(() => Promise.reject(new Error('from within')))).rejects.toThrow('from within');
    });
  });
}

const VALUES: Readonly<Record<'text' | 'object' | 'bytes', (text: string) => unknown>> = {
  text: (text) => text,
  object: (text) => ({ text }),
  bytes: (text) => Buffer.from(text),
};

async function pagesOf(source: RowSource, limit: number): Promise<readonly RowPage[]> {
  const pages: RowPage[] = [];
  let after: string | undefined;
  do {
    const page = await source.scan({ after, limit });
    pages.push(page);
    after = page.cursor;
  } while (after !== undefined);
  return pages;
}

/** Drivers give one and the same key as number, bigint or text. */
function textOf(key: RowKey): string {
  return JSON.stringify(Object.entries(key).map(([column, value]) => [column, String(value)]));
}
