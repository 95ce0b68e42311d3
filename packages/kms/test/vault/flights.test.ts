import { expect, it } from 'vitest';
import { Flights } from '../../src/providers/vault/flights.ts';

const never = new AbortController().signal;

it('work that never ends is given up, and begun anew by the next caller', async () => {
  const flights = new Flights<number>(20);
  let begun = 0;
  const work = (): Promise<number> => {
    begun++;
    return begun === 1 ? new Promise(() => {}) : Promise.resolve(begun);
  };
  const calls = [flights.join('a', never, work), flights.join('a', never, work)];
  for (const { reason } of (await Promise.allSettled(calls)) as PromiseRejectedResult[]) {
    expect(reason).toMatchObject({ code: 'ERR_KMS_TIMEOUT', retryable: true });
  }
  expect(begun).toBe(1);
  expect(await flights.join('a', never, work)).toBe(2);
});

it('a caller who leaves takes nothing from the others', async () => {
  const flights = new Flights<string>(10_000);
  const { promise, resolve } = Promise.withResolvers<string>();
  const leaving = new AbortController();
  const first = flights.join('a', leaving.signal, () => promise);
  const second = flights.join('a', never, () => Promise.reject(new Error('begun twice')));
  leaving.abort(new Error('left'));
  await expect(first).rejects.toThrow('left');
  resolve('done');
  expect(await second).toBe('done');
});
