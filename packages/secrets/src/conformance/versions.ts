import { expect, it } from 'vitest';
import { expectRefusal, type Theme } from './harness.ts';

/** Old versions: listed, limited, brought back, destroyed. */
export const versions: Theme = (subject) => {
  it('lists them newest first, in pages', async () => {
    const tenant = subject().tenant('versions');
    for (const value of ['1', '2', '3', '4', '5']) await tenant.save('paged', value);
    const first = await tenant.versions('paged', { limit: 3 });
    expect(first.items.map(({ version, current }) => [version, current])).toEqual([
      [5, true],
      [4, false],
      [3, false],
    ]);
    const second = await tenant.versions('paged', { limit: 3, cursor: first.nextCursor });
    expect(second.items.map(({ version }) => version)).toEqual([2, 1]);
    expect(second.nextCursor).toBeUndefined();
    expect(second.items[0]).toMatchObject({ createdBy: 'conformance', destroyedAt: null });
    expect(second.items[0]?.createdAt).toBeInstanceOf(Date);
  });

  it('keeps as many as it is told to', async () => {
    const { harness, table, tenant: tenantOf } = subject();
    const tenant = tenantOf('versions');
    const { id } = await tenant.save('limited', '1', { maxVersions: 2 });
    for (const value of ['2', '3', '4']) await tenant.save('limited', value);
    await tenant.update('limited', { value: '5' });
    expect((await tenant.versions('limited')).items.map(({ version }) => version)).toEqual([5, 4]);
    await expectRefusal(tenant.get('limited', { version: 3 }), 'ERR_SECRETS_NOT_FOUND');
    const stored = await harness.admin(table('secret_versions')).where({ tenant_id: 'versions', secret_id: id });
    expect(stored).toHaveLength(2);
    await tenant.update('limited', { maxVersions: null });
    await tenant.save('limited', '6');
    expect((await tenant.versions('limited')).items.map(({ version }) => version)).toEqual([6, 5, 4]);
  });

  it('rolls back by a new version, never by an old number', async () => {
    const tenant = subject().tenant('versions');
    const bytes = new Uint8Array([1, 2]);
    await tenant.save('back', bytes);
    await tenant.save('back', { json: true });
    expect(await tenant.rollback('back', 1)).toMatchObject({ version: 3 });
    const secret = await tenant.get('back');
    expect(secret).toMatchObject({ type: 'bytes', version: 3, currentVersion: 3 });
    expect(secret.value).toEqual(bytes);
    await expectRefusal(tenant.rollback('back', 9), 'ERR_SECRETS_NOT_FOUND');
  });

  it('destroys versions for good, also the current one, and says when', async () => {
    const { harness, table, tenant: tenantOf } = subject();
    const tenant = tenantOf('versions');
    const { id } = await tenant.save('destroyed', 'one');
    await tenant.save('destroyed', 'two');
    await tenant.save('destroyed', 'three');
    await tenant.destroy('destroyed', 1);
    await expectRefusal(tenant.get('destroyed', { version: 1 }), 'ERR_SECRETS_VERSION_DESTROYED');
    await expectRefusal(tenant.rollback('destroyed', 1), 'ERR_SECRETS_VERSION_DESTROYED');
    expect((await tenant.get('destroyed')).value).toBe('three');
    const before = (await tenant.versions('destroyed')).items.find(({ version }) => version === 1)?.destroyedAt;
    await tenant.destroy({ id }, [1, 3]);
    await expectRefusal(tenant.get('destroyed'), 'ERR_SECRETS_VERSION_DESTROYED');
    await expectRefusal(tenant.merge('destroyed', {}), 'ERR_SECRETS_VERSION_DESTROYED');
    const { items } = await tenant.versions('destroyed');
    expect(items.map(({ destroyedAt }) => destroyedAt instanceof Date)).toEqual([true, false, true]);
    expect(items.at(-1)?.destroyedAt).toEqual(before);
    const rows: readonly Record<string, unknown>[] = await harness
      .admin(table('secret_versions'))
      .where({ secret_id: id })
      .orderBy('version');
    expect(rows.map(({ wrapped_dek: dek, ciphertext }) => [dek === null, ciphertext === null])).toEqual([
      [true, true],
      [false, false],
      [true, true],
    ]);
    await expectRefusal(tenant.destroy('destroyed', [2, 4]), 'ERR_SECRETS_NOT_FOUND');
    expect((await tenant.get('destroyed', { version: 2 })).value).toBe('two');
    expect(await tenant.rollback('destroyed', 2)).toMatchObject({ version: 4 });
    expect((await tenant.get('destroyed')).value).toBe('two');
  });
};
