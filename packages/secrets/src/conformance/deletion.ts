import { expect, it } from 'vitest';
import { expectRefusal, type Theme } from './harness.ts';

/** Deleted, brought back, removed for good. */
export const deletion: Theme = (subject) => {
  it('makes a secret unfindable and frees its name', async () => {
    const tenant = subject().tenant('deletion');
    const first = await tenant.save('key', 'one');
    await tenant.delete('key');
    for (const at of ['key', { id: first.id }] as const) {
      expect(await tenant.exists(at)).toBe(false);
      for (const call of [
        () => tenant.get(at),
        () => tenant.delete(at),
        () => tenant.versions(at),
        () => tenant.destroy(at, 1),
      ]) {
        await expectRefusal(call(), 'ERR_SECRETS_NOT_FOUND');
      }
    }
    const second = await tenant.save('key', 'two');
    expect(second).toMatchObject({ version: 1 });
    expect(second.id).not.toBe(first.id);
  });

  it('brings a deleted secret back with everything it had, by name or id', async () => {
    const tenant = subject().tenant('deletion');
    const { id } = await tenant.save('back', 'one', { tags: ['t'], metadata: { a: 1 } });
    await tenant.save('back', 'two');
    await tenant.delete('back');
    expect(await tenant.restore('back')).toMatchObject({ id, name: 'back', version: 2 });
    expect(await tenant.get('back')).toMatchObject({ value: 'two', tags: ['t'], metadata: { a: 1 }, deletedAt: null });
    await tenant.delete({ id });
    await tenant.restore({ id });
    expect((await tenant.get('back', { version: 1 })).value).toBe('one');
    await expectRefusal(tenant.restore('back'), 'ERR_SECRETS_ALREADY_EXISTS');
  });

  it('does not bring one back while its name is taken', async () => {
    const tenant = subject().tenant('deletion');
    const { id } = await tenant.save('taken', 'one');
    await tenant.delete('taken');
    await tenant.save('taken', 'two');
    await expectRefusal(tenant.restore('taken'), 'ERR_SECRETS_ALREADY_EXISTS');
    await expectRefusal(tenant.restore({ id }), 'ERR_SECRETS_ALREADY_EXISTS');
    await tenant.rename('taken', 'elsewhere');
    await tenant.restore({ id });
    expect((await tenant.get('taken')).value).toBe('one');
  });

  it('removes a secret with all its versions, living or deleted', async () => {
    const { harness, table, tenant: tenantOf } = subject();
    const tenant = tenantOf('deletion');
    const living = await tenant.save('purged', 'one');
    await tenant.save('purged', 'two');
    const deleted = await tenant.save('purged later', 'x');
    await tenant.delete('purged later');
    await tenant.purge('purged');
    await tenant.purge({ id: deleted.id });
    for (const { id } of [living, deleted]) {
      expect(await harness.admin(table('secrets')).where({ id })).toEqual([]);
      expect(await harness.admin(table('secret_versions')).where({ secret_id: id })).toEqual([]);
    }
    await expectRefusal(tenant.restore('purged'), 'ERR_SECRETS_NOT_FOUND');
    await expectRefusal(tenant.purge('purged'), 'ERR_SECRETS_NOT_FOUND');
  });

  it('removes what was deleted before a time, a bounded number at once', async () => {
    const tenant = subject().tenant('purges');
    for (const name of ['a', 'b', 'c', 'd']) await tenant.save(name, 'x');
    for (const name of ['a', 'b', 'c']) await tenant.delete(name);
    expect(await tenant.purgeDeleted({ before: new Date(0) })).toEqual({ purged: 0, more: false });
    const before = new Date(Date.now() + 1_000);
    expect(await tenant.purgeDeleted({ before, limit: 2 })).toEqual({ purged: 2, more: true });
    expect(await tenant.purgeDeleted({ before, limit: 2 })).toEqual({ purged: 1, more: false });
    const { items } = await tenant.list({ deleted: 'include' });
    expect(items.map(({ name }) => name)).toEqual(['d']);
  });
};
