import { expect, it } from 'vitest';
import { Coalescer } from '../src/internal/coalescer.ts';
import { rejection } from './support.ts';

interface Item {
  readonly group: string;
  readonly value: number;
}

interface Batch {
  readonly items: readonly Item[];
  readonly end: (error?: Error) => void;
}

/** A coalescer whose batches end when the test says so. */
function held(inFlight = 2): { readonly coalescer: Coalescer<Item, number>; readonly batches: Batch[] } {
  const batches: Batch[] = [];
  const coalescer = new Coalescer<Item, number>({
    inFlight,
    groupOf: ({ group }) => group,
    send: (items) =>
      new Promise((resolve, reject) => {
        const end = (error?: Error): void =>
          error === undefined ? resolve(items.map(({ value }) => value * 10)) : reject(error);
        batches.push({ items, end });
      }),
    mayRetry: (error) => (error as Error).message === 'refused',
  });
  return { coalescer, batches };
}

const item = (value: number, group = 'a'): Item => ({ group, value });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
const values = ({ items }: Batch): readonly number[] => items.map(({ value }) => value);

it('sends what was asked for in one turn of the event loop together, and what comes later apart', async () => {
  const { coalescer, batches } = held();
  const results = Promise.all([1, 2, 3].map((value) => coalescer.run(item(value))));
  await turn();
  const later = coalescer.run(item(4));
  await turn();
  expect(batches.map(values)).toEqual([[1, 2, 3], [4]]);
  for (const { end } of batches) end();
  expect(await results).toEqual([10, 20, 30]);
  expect(await later).toBe(40);
});

it('sends no more than 64 at once and no more batches than it may, the rest when one has ended', async () => {
  const { coalescer, batches } = held(1);
  const results = Promise.all(Array.from({ length: 130 }, (_, value) => coalescer.run(item(value))));
  await turn();
  expect(batches.map(({ items }) => items.length)).toEqual([64]);
  batches[0]?.end();
  await turn();
  batches[1]?.end();
  await turn();
  expect(batches.map(({ items }) => items.length)).toEqual([64, 64, 2]);
  batches[2]?.end();
  expect(await results).toEqual(Array.from({ length: 130 }, (_, value) => value * 10));
});

it('keeps groups apart, and lets none of them wait for all of a large one', async () => {
  const { coalescer, batches } = held(1);
  void Promise.all(Array.from({ length: 150 }, (_, value) => coalescer.run(item(value))));
  void coalescer.run(item(1, 'b'));
  for (let count = 0; count < 4; count++) {
    await turn();
    batches.at(-1)?.end();
  }
  expect(batches.map(({ items }) => [items[0]?.group, items.length])).toEqual([
    ['a', 64],
    ['b', 1],
    ['a', 64],
    ['a', 22],
  ]);
});

it('forgets one that is aborted while it waits, and lets go of one that is under way', async () => {
  const { coalescer, batches } = held(1);
  const abort = new AbortController();
  const sent = rejection(coalescer.run(item(1), abort.signal));
  const neighbour = coalescer.run(item(2));
  await turn();
  const waiting = rejection(coalescer.run(item(3), abort.signal));
  const last = coalescer.run(item(4));
  abort.abort();
  expect(await sent).toMatchObject({ code: 'ERR_SECRETS_ABORTED' });
  expect(await waiting).toMatchObject({ code: 'ERR_SECRETS_ABORTED' });
  batches[0]?.end();
  expect(await neighbour).toBe(20);
  await turn();
  batches[1]?.end();
  expect(await last).toBe(40);
  expect(batches.map(values)).toEqual([[1, 2], [4]]);
});

it('sends a batch that was refused again one by one, and one that was lost not at all', async () => {
  const { coalescer, batches } = held(1);
  const results = Promise.allSettled([1, 2].map((value) => coalescer.run(item(value))));
  await turn();
  batches[0]?.end(new Error('refused'));
  await turn();
  batches[1]?.end(new Error('refused'));
  await turn();
  batches[2]?.end();
  expect((await results).map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  expect(batches.map(values)).toEqual([[1, 2], [1], [2]]);
  const lost = Promise.allSettled([5, 6].map((value) => coalescer.run(item(value))));
  await turn();
  batches[3]?.end(new Error('lost'));
  expect((await lost).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(batches).toHaveLength(4);
});
