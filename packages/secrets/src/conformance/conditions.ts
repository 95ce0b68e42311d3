import { expect, it } from 'vitest';
import { expectRefusal, type Theme } from './harness.ts';

/** Compare-and-set. */
export const conditions: Theme = (subject) => {
  it('refuses a taken name with ifAbsent, and with an expected version of 0', async () => {
    const tenant = subject().tenant('conditions');
    await tenant.save('absent', 'one', { expectedVersion: 0 });
    await expectRefusal(tenant.save('absent', 'two', { ifAbsent: true }), 'ERR_SECRETS_ALREADY_EXISTS');
    await expectRefusal(tenant.save('absent', 'two', { expectedVersion: 0 }), 'ERR_SECRETS_VERSION_CONFLICT');
    expect(await tenant.get('absent')).toMatchObject({ value: 'one', version: 1 });
  });

  it('changes a secret at the expected version and at no other', async () => {
    const tenant = subject().tenant('conditions');
    await tenant.save('key', { one: 1 });
    await tenant.save('key', { two: 2 }, { expectedVersion: 1 });
    for (const call of [
      () => tenant.save('key', 'x', { expectedVersion: 1 }),
      () => tenant.update('key', { value: 'x' }, { expectedVersion: 1 }),
      () => tenant.update('key', { description: 'x' }, { expectedVersion: 3 }),
      () => tenant.merge('key', { x: 1 }, { expectedVersion: 1 }),
      () => tenant.rename('key', 'x', { expectedVersion: 1 }),
      () => tenant.rollback('key', 1, { expectedVersion: 1 }),
      () => tenant.delete('key', { expectedVersion: 1 }),
      () => tenant.save('never there', 'x', { expectedVersion: 1 }),
    ]) {
      await expectRefusal(call(), 'ERR_SECRETS_VERSION_CONFLICT');
    }
    expect(await tenant.get('key')).toMatchObject({ value: { two: 2 }, version: 2, description: null });
    await tenant.merge('key', { three: 3 }, { expectedVersion: 2 });
    await tenant.rollback('key', 1, { expectedVersion: 3 });
    await tenant.update('key', { value: 'five' }, { expectedVersion: 4 });
    await tenant.rename('key', 'renamed', { expectedVersion: 5 });
    await tenant.delete('renamed', { expectedVersion: 5 });
  });

  it('refuses unconditional changes of a secret that requires a condition', async () => {
    const tenant = subject().tenant('conditions');
    await tenant.save('strict', { a: 1 }, { casRequired: true });
    for (const call of [
      () => tenant.save('strict', 'x'),
      () => tenant.update('strict', { casRequired: false }),
      () => tenant.merge('strict', { x: 1 }),
      () => tenant.rename('strict', 'x'),
      () => tenant.rollback('strict', 1),
      () => tenant.delete('strict'),
    ]) {
      await expectRefusal(call(), 'ERR_SECRETS_CAS_REQUIRED');
    }
    expect(await tenant.get('strict')).toMatchObject({ version: 1, casRequired: true });
    await tenant.save('strict', { b: 2 }, { expectedVersion: 1 });
    await tenant.update('strict', { casRequired: false }, { expectedVersion: 2 });
    await tenant.save('strict', { c: 3 });
    expect((await tenant.get('strict')).version).toBe(3);
  });

  it.each(['save', 'update', 'merge'] as const)(
    'lets exactly one of many that %s at one version win',
    async (method) => {
      const tenant = subject().tenant('conditions');
      const name = `raced ${method}`;
      await tenant.save(name, { start: true });
      const calls = {
        save: (n: number) => tenant.save(name, { n }, { expectedVersion: 1 }),
        update: (n: number) => tenant.update(name, { value: { n } }, { expectedVersion: 1 }),
        merge: (n: number) => tenant.merge(name, { n, start: null }, { expectedVersion: 1 }),
      };
      const outcomes = await Promise.allSettled(Array.from({ length: 12 }, (_, n) => calls[method](n)));
      const winners = outcomes.flatMap(({ status }, n) => (status === 'fulfilled' ? [n] : []));
      expect(winners).toHaveLength(1);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected')
          expect(outcome.reason).toMatchObject({ code: 'ERR_SECRETS_VERSION_CONFLICT' });
      }
      expect(await tenant.get(name)).toMatchObject({ version: 2, value: { n: winners[0] } });
    },
  );

  it('loses no save of many to one name, whoever comes first', async () => {
    const tenant = subject().tenant('conditions');
    const saved = await Promise.all(Array.from({ length: 24 }, (_, n) => tenant.save('hot', `value ${n}`)));
    const versions = saved.map(({ version }) => version).toSorted((a, b) => a - b);
    expect(versions).toEqual(Array.from({ length: 24 }, (_, n) => n + 1));
    for (const [n, { version }] of saved.entries()) {
      expect((await tenant.get('hot', { version })).value).toBe(`value ${n}`);
    }
  });
};
