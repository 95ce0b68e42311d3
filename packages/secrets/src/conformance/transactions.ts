import type { Knex } from 'knex';
import { expect, it } from 'vitest';
import type { TenantSecrets } from '../tenant.ts';
import { expectRefusal, refusal, type Theme } from './harness.ts';

const CHANGES: readonly (readonly [string, (tenant: TenantSecrets) => Promise<unknown>])[] = [
  ['save of a new secret', (tenant) => tenant.save('new', 'x')],
  ['save', (tenant) => tenant.save('key', 'x')],
  ['update', (tenant) => tenant.update('key', { value: 'x', tags: ['x'] })],
  ['merge', (tenant) => tenant.merge('key', { x: 1 })],
  ['rename', (tenant) => tenant.rename('key', 'x')],
  ['rollback', (tenant) => tenant.rollback('key', 1)],
  ['delete', (tenant) => tenant.delete('key')],
  ['restore', (tenant) => tenant.restore('deleted')],
  ['destroy', (tenant) => tenant.destroy('key', 1)],
  ['purge', (tenant) => tenant.purge('key')],
  ['purgeDeleted', (tenant) => tenant.purgeDeleted()],
];

/** Changes in a caller's transaction. */
export const transactions: Theme = (subject) => {
  const state = async (tenantId: string): Promise<unknown> => {
    const { harness, table } = subject();
    const all = async (name: string, order: readonly string[]) =>
      (await harness
        .admin(table(name))
        .where({ tenant_id: tenantId })
        .orderBy([...order])) as unknown[];
    return [await all('secrets', ['id']), await all('secret_versions', ['secret_id', 'version'])];
  };
  const prepare = async (tenantId: string): Promise<void> => {
    const tenant = subject().tenant(tenantId);
    await tenant.save('key', { a: 1 });
    await tenant.save('key', { a: 2 });
    await tenant.save('deleted', 'x');
    await tenant.delete('deleted');
  };

  it.each(CHANGES)('commits or rolls back with its audit row: %s', async (what, change) => {
    const { harness, tenant, auditRows } = subject();
    const tenantId = `transaction ${what}`;
    await prepare(tenantId);
    const before = await state(tenantId);
    const audited = (await auditRows(tenantId)).length;
    const changed = async (end: Error | undefined): Promise<void> => {
      await harness.knex.transaction(async (trx: Knex.Transaction) => {
        await change(tenant(tenantId, trx));
        if (end !== undefined) throw end;
      });
    };
    const end = new Error('rolled back by the caller');
    expect(await refusal(changed(end))).toBe(end);
    expect(await state(tenantId)).toEqual(before);
    expect(await auditRows(tenantId)).toHaveLength(audited);
    await changed(undefined);
    expect(await state(tenantId)).not.toEqual(before);
    expect(await auditRows(tenantId)).toHaveLength(audited + 1);
  });

  it('leaves nothing of a change that is refused, and lets the caller go on', async () => {
    const { harness, tenant } = subject();
    await prepare('goes on');
    const before = await state('goes on');
    await harness.knex.transaction(async (trx) => {
      const inside = tenant('goes on', trx);
      await expectRefusal(inside.save('key', 'x', { expectedVersion: 7 }), 'ERR_SECRETS_VERSION_CONFLICT');
      await expectRefusal(inside.merge('deleted', {}), 'ERR_SECRETS_NOT_FOUND');
      await expectRefusal(inside.destroy('key', [1, 9]), 'ERR_SECRETS_NOT_FOUND');
    });
    expect(await state('goes on')).toEqual(before);
    await harness.knex.transaction(async (trx) => {
      await tenant('goes on', trx).save('key', 'three');
      await expectRefusal(tenant('goes on', trx).save('key', 'x', { ifAbsent: true }), 'ERR_SECRETS_ALREADY_EXISTS');
      expect((await tenant('goes on', trx).get('key')).value).toBe('three');
    });
    expect((await tenant('goes on').get('key')).value).toBe('three');
  });
};
