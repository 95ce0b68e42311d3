import { expect, it } from 'vitest';
import type { TenantSecrets } from '../tenant.ts';
import { expectRefusal, type Theme } from './harness.ts';

/** What somebody with the database does to a secret named `key`, which has two versions; each call must refuse. */
const EDITS: readonly (readonly [string, object, readonly ((tenant: TenantSecrets) => Promise<unknown>)[]])[] = [
  [
    'name',
    { name: 'other' },
    [(t) => t.get('other'), (t) => t.save('other', 'x'), (t) => t.rename('other', 'x'), (t) => t.delete('other')],
  ],
  [
    'current version',
    { current_version: 1 },
    [(t) => t.get('key'), (t) => t.save('key', 'x'), (t) => t.versions('key'), (t) => t.rollback('key', 1)],
  ],
  [
    'expiry',
    { expires_at: new Date(Date.now() + 1e9) },
    [(t) => t.get('key'), (t) => t.save('key', 'x'), (t) => t.update('key', { tags: ['x'] }), (t) => t.exists('key')],
  ],
  [
    'deletion',
    { is_deleted: true, deleted_at: new Date() },
    [
      (t) => t.get('key'),
      (t) => t.save('key', 'x'),
      (t) => t.exists('key'),
      (t) => t.restore('key'),
      (t) => t.purge('key'),
      (t) => t.purgeDeleted(),
      (t) => t.list({ deleted: 'only' }),
      (t) => t.list({ deleted: 'include' }),
    ],
  ],
  [
    'binding',
    { binding: Buffer.alloc(48) },
    [
      (t) => t.get('key'),
      (t) => t.list(),
      (t) => t.search('key'),
      (t) => t.list({ page: 1 }),
      (t) => t.destroy('key', 1),
    ],
  ],
];

/** Rows that were edited outside of the store. */
export const tampering: Theme = (subject) => {
  it.each(EDITS)('is noticed by whatever looks at a secret: its %s', async (what, edit, calls) => {
    const { harness, table, tenant, auditRows } = subject();
    const tenantId = `tampered ${what}`;
    await tenant(tenantId).save('key', 'one');
    const { id } = await tenant(tenantId).save('key', 'two');
    await harness.admin(table('secrets')).where({ tenant_id: tenantId, id }).update(edit);
    const stored = async () => (await harness.admin(table('secrets')).where({ tenant_id: tenantId })) as unknown[];
    const before = await stored();
    for (const call of calls) {
      await expectRefusal(call(tenant(tenantId)), 'ERR_SECRETS_INTEGRITY');
      expect((await auditRows(tenantId)).at(-1)).toMatchObject({ outcome: 'refused' });
    }
    expect(await stored()).toEqual(before);
  });

  it('is noticed after a restore, a rename and an expiry of the same secret as well', async () => {
    const { harness, table, tenant } = subject();
    const { id } = await tenant('rebound').save('first', 'x');
    await tenant('rebound').rename('first', 'second');
    await tenant('rebound').delete('second');
    await tenant('rebound').restore('second');
    await tenant('rebound').update('second', { expiresAt: new Date(Date.now() + 60_000) });
    expect((await tenant('rebound').get('second')).value).toBe('x');
    await harness.admin(table('secrets')).where({ id }).update({ name: 'first' });
    await expectRefusal(tenant('rebound').get('first'), 'ERR_SECRETS_INTEGRITY');
    await harness.admin(table('secrets')).where({ id }).update({ name: 'second', expires_at: null });
    await expectRefusal(tenant('rebound').get('second'), 'ERR_SECRETS_INTEGRITY');
  });

  it('is noticed of a restored secret that was marked as deleted by hand, though its name had a younger one', async () => {
    const { harness, table, tenant } = subject();
    const { id } = await tenant('younger').save('key', 'old');
    await tenant('younger').delete('key');
    await tenant('younger').save('key', 'young');
    await tenant('younger').delete('key');
    await tenant('younger').restore({ id });
    await harness.admin(table('secrets')).where({ id }).update({ is_deleted: true, deleted_at: new Date() });
    await expectRefusal(tenant('younger').get('key'), 'ERR_SECRETS_INTEGRITY');
    await expectRefusal(tenant('younger').save('key', 'x'), 'ERR_SECRETS_INTEGRITY');
  });
};
