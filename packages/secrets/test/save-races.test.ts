import type { TenantSecrets } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { SecretWriter } from '../src/operations/save/secret-writer.ts';
import { auditRows, type Fixture, openFixture, rejection } from './support.ts';

describeEachEngine('what happens between the read and the write of a save', (engine) => {
  if (engine.dialect !== 'postgres') {
    it('is a matter of PostgreSQL: here nothing can', () => {
      expect(engine.dialect).toBe('sqlite');
    });
    return;
  }
  let fixture: Fixture;
  let tenantId: string;
  let tenant: TenantSecrets;
  let next = 0;

  beforeAll(async () => {
    fixture = await openFixture(engine);
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
  afterAll(async () => {
    await fixture?.close();
  });

  /** A tenant whose next save is written only after something else was done. */
  async function startSave(between: () => Promise<unknown>, options: { maxVersions?: number } = {}): Promise<void> {
    tenantId = `raced ${next++}`;
    tenant = fixture.tenant(tenantId);
    await tenant.save('key', 'one', options);
    const { save } = SecretWriter.prototype;
    vi.spyOn(SecretWriter.prototype, 'save').mockImplementationOnce(async function (this: SecretWriter, planned) {
      await between();
      return await save.call(this, planned);
    });
  }

  const keyId = async (): Promise<string> =>
    ((await fixture.knex('secret_tenant_keys').where({ tenant_id: tenantId }).first('kek_id')) as { kek_id: string })
      .kek_id;

  it.each<[string, () => Promise<unknown>, number]>([
    ['a save', () => tenant.save('key', 'theirs'), 3],
    [
      "a save in a caller's transaction",
      () => fixture.knex.transaction((trx) => fixture.tenant(tenantId, trx).save('key', 'theirs')),
      3,
    ],
    ['an update of the value', () => tenant.update('key', { value: 'theirs' }), 3],
    ['a deletion', () => tenant.delete('key'), 1],
    ['a deletion and another secret of the name', () => tenant.delete('key').then(() => tenant.save('key', 'x')), 2],
    ['a deletion that was undone', () => tenant.delete('key').then(() => tenant.restore('key')), 2],
    ['a rename', () => tenant.rename('key', 'other'), 1],
    ['a purge', () => tenant.purge('key'), 1],
    ['a rotation', () => fixture.store.rotateTenant(tenantId, { actor: 'x' }), 2],
  ])('is kept, and so is the save, audited once: %s', async (_what, between, version) => {
    await startSave(between);
    const before = (await auditRows(fixture.knex, tenantId)).length;
    expect(await tenant.save('key', 'mine')).toMatchObject({ version });
    expect(await tenant.get('key')).toMatchObject({ value: 'mine', version });
    const rows = (await auditRows(fixture.knex, tenantId)).slice(before);
    const mine = rows.filter((row) => row.action === 'secret.save' && row.version === version);
    expect(mine).toMatchObject([{ outcome: 'success' }]);
  });

  it.each<[string, () => Promise<unknown>, string]>([
    ['a condition', () => tenant.update('key', { casRequired: true }), 'ERR_SECRETS_CAS_REQUIRED'],
    ['an expiry', () => tenant.update('key', { expiresAt: new Date(1) }), 'ERR_SECRETS_EXPIRED'],
    [
      'the end of its key',
      async () => fixture.store.disableKey({ tenantId, keyId: await keyId() }, { actor: 'x' }),
      'ERR_SECRETS_KEY_UNAVAILABLE',
    ],
    [
      'shredding',
      () => fixture.store.shredTenant(tenantId, { actor: 'x', confirm: tenantId, backupHorizonDays: 0 }),
      'ERR_SECRETS_KEY_UNAVAILABLE',
    ],
  ])('refuses the save, audited once: %s', async (_what, between, code) => {
    await startSave(between);
    expect(await rejection(tenant.save('key', 'mine'))).toMatchObject({ code });
    const versions = await fixture.knex('secret_versions').where({ tenant_id: tenantId });
    expect(versions).toHaveLength(1);
    const saves = (await auditRows(fixture.knex, tenantId)).filter(({ action }) => action === 'secret.save');
    expect(saves.map(({ outcome }) => outcome)).toEqual(['success', 'refused']);
  });

  it('decides how many versions are kept', async () => {
    await startSave(() => tenant.update('key', { maxVersions: null }), { maxVersions: 1 });
    await tenant.save('key', 'mine');
    expect((await tenant.get('key', { version: 1 })).value).toBe('one');
  });

  it('does not matter to a save that said what it expects', async () => {
    await startSave(() => tenant.update('key', { casRequired: true, maxVersions: 9 }));
    expect(await tenant.save('key', 'mine', { expectedVersion: 1, maxVersions: 3 })).toMatchObject({ version: 2 });
    expect(await tenant.get('key')).toMatchObject({ value: 'mine', casRequired: true, maxVersions: 3 });
  });

  it('is refused to whoever wanted the name to be free, or a version', async () => {
    await startSave(() => tenant.save('new', 'theirs'));
    expect(await rejection(tenant.save('new', 'mine', { ifAbsent: true }))).toMatchObject({
      code: 'ERR_SECRETS_ALREADY_EXISTS',
    });
    await startSave(() => tenant.save('key', 'theirs'));
    expect(await rejection(tenant.save('key', 'mine', { expectedVersion: 1 }))).toMatchObject({
      code: 'ERR_SECRETS_VERSION_CONFLICT',
    });
    expect(await tenant.get('key')).toMatchObject({ value: 'theirs', version: 2 });
  });
});
