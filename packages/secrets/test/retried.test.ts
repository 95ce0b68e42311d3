import { SecretsError } from '@keywright/secrets';
import { expect, it } from 'vitest';
import { retried } from '../src/internal/retried.ts';
import { rejection } from './support.ts';

const undone = (code: string): Error => Object.assign(new Error('undone'), { code });

function failing(times: number, error: () => unknown): { calls: number; run(): Promise<string> } {
  const work = {
    calls: 0,
    run: async () => {
      work.calls++;
      if (work.calls <= times) throw error();
      return 'done';
    },
  };
  return work;
}

it.each([
  ['a serialization failure', () => undone('40001')],
  ['a deadlock', () => undone('40P01')],
  ['one that was typed', () => new SecretsError('ERR_SECRETS_DATABASE', { cause: undone('40001') })],
])('runs again what %s undid, five times at most', async (_what, error) => {
  const passing = failing(5, error);
  expect(await retried(passing.run)).toBe('done');
  expect(passing.calls).toBe(6);
  const hopeless = failing(6, error);
  await expect(retried(hopeless.run)).rejects.toBeDefined();
  expect(hopeless.calls).toBe(6);
});

it('throws the last error as it is', async () => {
  const error = undone('40001');
  expect(await rejection(retried(() => Promise.reject(error)))).toBe(error);
});

it('does not multiply when it is inside itself', async () => {
  const hopeless = failing(1_000, () => undone('40001'));
  const typed = async (): Promise<string> => {
    try {
      return await retried(hopeless.run);
    } catch (cause) {
      throw new SecretsError('ERR_SECRETS_DATABASE', { cause });
    }
  };
  await expect(retried(typed)).rejects.toMatchObject({ code: 'ERR_SECRETS_DATABASE' });
  expect(hopeless.calls).toBe(6);
});

it.each([
  ['a lost connection: it may have committed', undone('08006')],
  ['a lock timeout: it has waited', undone('55P03')],
  ['what is not an error', 'a string'],
  ['nothing', undefined],
])('does not run again after %s', async (_what, error) => {
  const work = failing(1, () => error);
  await expect(retried(work.run)).rejects.toBe(error);
  expect(work.calls).toBe(1);
});
