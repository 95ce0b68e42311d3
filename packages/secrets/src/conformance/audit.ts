import { expect, it } from 'vitest';
import type { TenantSecrets } from '../tenant.ts';
import type { Theme } from './harness.ts';

type Call = (tenant: TenantSecrets) => Promise<unknown>;

/** In this order, on a tenant that has nothing yet: what is called, and what the log says of it. */
const STORY: readonly (readonly [Call, string])[] = [
  [(t) => t.save('key', { a: 1 }), 'secret.save key 1 success'],
  [(t) => t.save('key', { a: 2 }), 'secret.save key 2 success'],
  [(t) => t.save('key', 'x', { ifAbsent: true }), 'secret.save key null refused'],
  [(t) => t.save('key', 'x', { expectedVersion: 9 }), 'secret.save key 2 refused'],
  [(t) => t.get('key'), 'secret.get key 2 success'],
  [(t) => t.get('key', { version: 1 }), 'secret.get key 1 success'],
  [(t) => t.get('nothing'), 'secret.get nothing null refused'],
  [(t) => t.exists('nothing'), 'secret.exists nothing null success'],
  [(t) => t.update('key', { description: 'd' }), 'secret.update key 2 success'],
  [(t) => t.merge('key', { b: 1 }), 'secret.merge key 3 success'],
  [(t) => t.rollback('key', 1), 'secret.rollback key 4 success'],
  [(t) => t.rename('key', 'new'), 'secret.rename key 4 success'],
  [(t) => t.versions('new'), 'secret.versions new null success'],
  [(t) => t.destroy('new', 1), 'secret.destroy new 1 success'],
  [(t) => t.get('new', { version: 1 }), 'secret.get new 1 refused'],
  [(t) => t.list(), 'secret.list null null success'],
  [(t) => t.list({ page: 1 }), 'secret.list null null success'],
  [(t) => t.search('n'), 'secret.search null null success'],
  [(t) => t.delete('new'), 'secret.delete new 4 success'],
  [(t) => t.restore('new'), 'secret.restore new 4 success'],
  [(t) => t.delete('new'), 'secret.delete new 4 success'],
  [(t) => t.purgeDeleted(), 'secret.purge null null success'],
  [(t) => t.purge('new'), 'secret.purge new null refused'],
  [(t) => t.auditLog(), 'audit.list null null success'],
];

/** Columns of an audit row, and what somebody could write into them. */
const EDITS = [
  ['actor', { actor: 'someone else' }],
  ['action', { action: 'secret.list' }],
  ['outcome', { outcome: 'refused' }],
  ['time', { at: new Date(1_000) }],
  ['secret_name', { secret_name: 'other' }],
  ['version', { version: 9 }],
  ['context', { context: '{"code":"x"}' }],
  ['mac', { mac: Buffer.alloc(48) }],
] as const;

/** One row for each call, which shows when it is edited. */
export const audit: Theme = (subject) => {
  it('writes exactly one row for every call, refused ones too, and never a value', async () => {
    const { tenant, auditRows } = subject();
    for (const [index, [call, expected]] of STORY.entries()) {
      const before = (await auditRows('story')).length;
      await call(tenant('story')).catch(() => undefined);
      const rows = (await auditRows('story')).slice(before).filter(({ action }) => action !== 'tenant-key.create');
      expect(rows.map((row) => `${row.action} ${row.secret_name} ${row.version} ${row.outcome}`)).toEqual([expected]);
      expect(rows[0]?.actor, `call ${index}`).toBe('conformance');
    }
  });

  it('writes one row for each secret of getMany', async () => {
    const { tenant, auditRows } = subject();
    await tenant('many').save('a', 'x');
    const before = (await auditRows('many')).length;
    await tenant('many').getMany(['a', 'a', 'nothing']);
    const rows = (await auditRows('many')).slice(before);
    expect(rows.map(({ action, outcome }) => `${action} ${outcome}`).toSorted()).toEqual([
      'secret.get refused',
      'secret.get success',
      'secret.get success',
    ]);
  });

  it('writes one row for each of many calls at once', async () => {
    const { tenant, auditRows } = subject();
    await Promise.all(Array.from({ length: 30 }, (_, n) => tenant('busy').save(`key ${n % 7}`, 'x')));
    await Promise.all(Array.from({ length: 30 }, (_, n) => tenant('busy').get(`key ${n % 7}`)));
    const rows = await auditRows('busy');
    for (const action of ['secret.save', 'secret.get']) {
      expect(rows.filter((row) => row.action === action)).toHaveLength(30);
    }
    const { items } = await tenant('busy').auditLog({ limit: 100 });
    expect(items.every(({ authentic }) => authentic)).toBe(true);
  });

  it.each(EDITS)('shows an edited %s', async (field, change) => {
    const { harness, table, tenant } = subject();
    const tenantId = `edited ${field}`;
    await tenant(tenantId).save('key', 'x');
    const { items } = await tenant(tenantId).auditLog();
    const id = items.find(({ action }) => action === 'secret.save')?.id;
    await harness.admin(table('secret_audit_log')).where({ tenant_id: tenantId, id }).update(change);
    const after = await tenant(tenantId).auditLog();
    expect(after.items.find((item) => item.id === id)?.authentic).toBe(false);
    expect(after.items.filter((item) => item.id !== id).every(({ authentic }) => authentic)).toBe(true);
  });
};
