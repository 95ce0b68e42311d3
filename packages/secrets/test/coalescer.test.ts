import { expect, it } from 'vitest';
import { Coalescer } from '../src/internal/coalescer.ts';
import { rejection } from './support.ts';

interface Batch {
  readonly items: readonly number[];
  readonly end: (error?: Error) => void;
}

/** A coalescer whose batches end when the test says so. */
function held(inFlight = 2): { readonly coalescer: Coalescer<number, number>; readonly batches: Batch[] } {
  const batches: Batch[] = [];
  const coalescer = new Coalescer<number, number>({
    inFlight,
    send: (items) =>
      new Promise((resolve, reject) => {
        const end = (error?: Error): void =>
          error === undefined ? resolve(items.map((value) => value * 10)) : reject(error);
        batches.push({ items, end });
      }),
    mayRetry: (error) => (error as Error).message === 'refused',
  });
  return { coalescer, batches };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
const values = ({ items }: Batch): readonly number[] => items;

it('sends what was asked for in one turn of the event loop together, and what comes later apart', async () => {
  const { coalescer, batches } = held();
  const results = Promise.all([1, 2, 3].map((value) => coalescer.run(value)));
  await turn();
  const later = coalescer.run(4);
  await turn();
  expect(batches.map(values)).toEqual([[1, 2, 3], [4]]);
  for (const { end } of batches) end();
  expect(await results).toEqual([10, 20, 30]);
  expect(await later).toBe(40);
});

it('sends no more than 64 at once and no more batches than it may, the rest when one has ended', async () => {
  const { coalescer, batches } = held(1);
  const results = Promise.all(Array.from({ length: 130 }, (_, value) => coalescer.run(value)));
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

it('forgets one that is aborted while it waits, and lets go of one that is under way', async () => {
  const { coalescer, batches } = held(1);
  const abort = new AbortController();
  const sent = rejection(coalescer.run(1, abort.signal));
  const neighbour = coalescer.run(2);
  await turn();
  const waiting = rejection(coalescer.run(3, abort.signal));
  const last = coalescer.run(4);
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
  const results = Promise.allSettled([1, 2].map((value) => coalescer.run(value)));
  await turn();
  batches[0]?.end(new Error('refused'));
  await turn();
  batches[1]?.end(new Error('refused'));
  await turn();
  batches[2]?.end();
  expect((await results).map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  expect(batches.map(values)).toEqual([[1, 2], [1], [2]]);
  const lost = Promise.allSettled([5, 6].map((value) => coalescer.run(value)));
  await turn();
  batches[3]?.end(new Error('lost'));
  expect((await lost).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(batches).toHaveLength(4);
});
