import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { expectRefusal, type Theme } from './harness.ts';

const soon = (ms: number): Date => new Date(Date.now() + ms);

/** Secrets that are read until a time. */
export const expiry: Theme = (subject) => {
  it('reads a secret until it expires, and not from then on', async () => {
    const tenant = subject().tenant('expiry');
    const { id } = await tenant.save('short', 'x', { expiresAt: soon(400) });
    expect((await tenant.get('short')).value).toBe('x');
    await sleep(450);
    await expectRefusal(tenant.get('short'), 'ERR_SECRETS_EXPIRED');
    await expectRefusal(tenant.get({ id }, { version: 1 }), 'ERR_SECRETS_EXPIRED');
    expect((await tenant.getMany(['short']))[0]).toMatchObject({
      outcome: 'refused',
      error: { code: 'ERR_SECRETS_EXPIRED' },
    });
    expect(await tenant.exists('short')).toBe(true);
  });

  it('takes a new value of an expired secret only with a new expiry', async () => {
    const tenant = subject().tenant('expiry');
    await tenant.save('renewed', { a: 1 }, { expiresAt: new Date(1_000) });
    for (const call of [
      () => tenant.save('renewed', 'y'),
      () => tenant.update('renewed', { value: 'y' }),
      () => tenant.merge('renewed', { b: 2 }),
      () => tenant.rollback('renewed', 1),
    ]) {
      await expectRefusal(call(), 'ERR_SECRETS_EXPIRED');
    }
    await tenant.save('renewed', 'y', { expiresAt: soon(60_000) });
    expect((await tenant.get('renewed')).value).toBe('y');
    await tenant.update('renewed', { expiresAt: new Date(1_000) });
    await expectRefusal(tenant.get('renewed'), 'ERR_SECRETS_EXPIRED');
    await tenant.update('renewed', { expiresAt: null });
    expect(await tenant.get('renewed')).toMatchObject({ value: 'y', expiresAt: null });
  });

  it('keeps the expiry of a secret that is saved again', async () => {
    const tenant = subject().tenant('expiry');
    const expiresAt = soon(60_000);
    await tenant.save('kept', 'x', { expiresAt });
    await tenant.save('kept', 'y');
    expect((await tenant.get('kept')).expiresAt).toEqual(expiresAt);
  });

  it('lists what has expired, and what has not', async () => {
    const tenant = subject().tenant('expiries');
    await tenant.save('past', 'x', { expiresAt: new Date(1_000) });
    await tenant.save('future', 'x', { expiresAt: soon(60_000) });
    await tenant.save('never', 'x');
    const names = async (expired?: boolean) => (await tenant.list({ expired })).items.map(({ name }) => name);
    expect(await names(true)).toEqual(['past']);
    expect(await names(false)).toEqual(['future', 'never']);
    expect(await names()).toEqual(['future', 'never', 'past']);
  });
};
