import { createKeyring, EnvelopeError, generateKeyBase64, KeyringError } from '@keywright/envelope';
import type { SecretStore } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { auditRows, type Fixture, openFixture, rejection, wrapperOf } from './support.ts';

describeEachEngine('audit log', (engine) => {
  let fixture: Fixture;
  let next = 0;

  beforeAll(async () => {
    fixture = await openFixture(engine);
  });
  afterAll(async () => {
    await fixture?.close();
  });

  it('holds one row per operation, refusals included: who, what, outcome', async () => {
    const tenant = fixture.store.tenant('all', { actor: 'user:7' });
    await tenant.save('key', 'one');
    await tenant.save('key', 'two');
    await tenant.get('key');
    await tenant.get('key', { version: 1 });
    await tenant.update('key', { metadata: { a: 1 } });
    await tenant.exists('key');
    await tenant.exists('nothing');
    await tenant.list();
    await tenant.versions('key');
    await rejection(tenant.save('key', 'three', { ifAbsent: true }));
    await rejection(tenant.get('nothing'));
    await tenant.delete('key');
    await rejection(tenant.get('key'));
    await tenant.auditLog();
    const rows = await auditRows(fixture.knex, 'all');
    expect(rows.every(({ actor }) => actor === 'user:7')).toBe(true);
    expect(rows.map((row) => `${row.action} ${row.secret_name} ${row.version} ${row.outcome}`)).toEqual([
      'tenant-key.create null null success',
      'secret.save key 1 success',
      'secret.save key 2 success',
      'secret.get key 2 success',
      'secret.get key 1 success',
      'secret.update key 2 success',
      'secret.exists key null success',
      'secret.exists nothing null success',
      'secret.list null null success',
      'secret.versions key null success',
      'secret.save key null refused',
      'secret.get nothing null refused',
      'secret.delete key 2 success',
      'secret.get key null refused',
      'audit.list null null success',
    ]);
    expect(JSON.parse(rows.at(-2)?.context ?? '')).toEqual({ code: 'ERR_SECRETS_NOT_FOUND' });
  });

  it('is read back newest first, in pages, with the request it came from', async () => {
    const request = { ip: '203.0.113.9', userAgent: 'curl/8' };
    const tenant = fixture.store.tenant('pages', { actor: 'a', request });
    for (let index = 0; index < 5; index++) await tenant.save(`key ${index}`, 'x');
    const first = await tenant.auditLog({ limit: 4 });
    expect(first.items.map(({ secretName }) => secretName)).toEqual(['key 4', 'key 3', 'key 2', 'key 1']);
    expect(first.items[0]).toMatchObject({ action: 'secret.save', actor: 'a', request, authentic: true });
    expect(first.items[0]?.at).toBeInstanceOf(Date);
    const second = await tenant.auditLog({ limit: 4, cursor: first.nextCursor ?? '' });
    expect(second.items.map(({ action }) => action)).toEqual(['secret.save', 'tenant-key.create']);
    expect(second.nextCursor).toBeUndefined();
  });

  it.each([
    ['actor', { actor: 'someone else' }],
    ['action', { action: 'secret.list' }],
    ['outcome', { outcome: 'refused' }],
    ['time', { at: new Date(0) }],
    ['secret_name', { secret_name: 'other' }],
    ['secret_id', { secret_id: '01890a5d-ac96-774b-bcce-b302099a8057' }],
    ['salt', { salt: Buffer.alloc(16) }],
    ['version', { version: 9 }],
    ['context', { context: '{"code":"x"}' }],
    ['payload', { payload: Buffer.from('{"ip":"198.51.100.1"}') }],
    ['missing payload', { payload: null }],
    ['missing salt', { salt: null }],
    ['payload hash', { payload_hash: Buffer.alloc(32) }],
    ['missing payload hash', { payload_hash: null }],
    ['request without any trace', { payload: null, salt: null, payload_hash: null }],
    ['mac', { mac: Buffer.alloc(48) }],
    ['mac of another length', { mac: Buffer.alloc(3) }],
    ['tenant', { tenant_id: 'moved-to' }],
  ])('shows an edited %s', async (_field, change) => {
    const tenantId = `edit-${++next}`;
    const tenant = fixture.store.tenant(tenantId, { actor: 'a', request: { ip: '203.0.113.9' } });
    await tenant.save('key', 'x');
    const { items } = await tenant.auditLog();
    const id = items.find(({ action }) => action === 'secret.save')?.id ?? '';
    await fixture.knex('secret_audit_log').where({ id }).update(change);
    const owner = 'tenant_id' in change ? 'moved-to' : tenantId;
    const after = await fixture.store.tenant(owner, { actor: 'auditor' }).auditLog();
    expect(after.items.find((item) => item.id === id)?.authentic).toBe(false);
    expect(after.items.filter((item) => item.id !== id).every(({ authentic }) => authentic)).toBe(true);
  });

  it('hides what a request hash is of: its salt is new for every row', async () => {
    const tenant = fixture.store.tenant('salts', { actor: 'a', request: { ip: '203.0.113.9' } });
    for (let index = 0; index < 4; index++) await tenant.exists('key');
    const salts = await fixture.knex('secret_audit_log').where({ tenant_id: 'salts' }).pluck('salt');
    expect(new Set(salts.map((salt: Buffer) => salt.toString('hex'))).size).toBe(4);
    expect(salts.every((salt: Buffer) => salt.length === 16)).toBe(true);
  });

  it('shows a request planted on a row that had none', async () => {
    const tenant = fixture.tenant('planted');
    await tenant.save('key', 'x');
    await fixture
      .knex('secret_audit_log')
      .where({ tenant_id: 'planted' })
      .update({ payload: Buffer.from('{"ip":"198.51.100.1"}') });
    expect((await tenant.auditLog()).items.some(({ authentic }) => authentic)).toBe(false);
  });

  it('stays authentic when where a request came from is erased, and says that it was', async () => {
    const tenant = fixture.store.tenant('erased', { actor: 'a', request: { ip: '203.0.113.9' } });
    await tenant.save('key', 'x');
    await fixture.knex('secret_audit_log').where({ tenant_id: 'erased' }).update({ payload: null, salt: null });
    const { items } = await fixture.tenant('erased').auditLog();
    expect(
      items.map(({ action, request, requestErased, authentic }) => [action, request, requestErased, authentic]),
    ).toEqual([
      ['secret.save', {}, true, true],
      ['tenant-key.create', {}, false, true],
    ]);
  });

  it('shows a forged row', async () => {
    const tenant = fixture.tenant('forged');
    await tenant.save('key', 'x');
    const [row] = await fixture.knex('secret_audit_log').where({ tenant_id: 'forged' }).orderBy('id', 'desc');
    const id = `${String(row.id).slice(0, -1)}${String(row.id).endsWith('0') ? '1' : '0'}`;
    await fixture.knex('secret_audit_log').insert({ ...row, id });
    const { items } = await tenant.auditLog();
    expect(items.filter(({ authentic }) => !authentic).map((item) => item.id)).toEqual([id]);
  });

  it('has a row for every refusal, whatever refused', async () => {
    const lone = await openFixture(engine);
    try {
      const { knex } = lone;
      const tenant = lone.tenant('acme');
      await tenant.save('key', 'x', { metadata: { a: 'x'.repeat(10_000) } });
      const last = async (): Promise<string> => JSON.parse((await auditRows(knex, 'acme')).at(-1)?.context ?? '').code;
      const refused = async (attempt: Promise<unknown>): Promise<string | undefined> => {
        const { code } = await rejection(attempt);
        expect(await last()).toBe(code);
        expect((await auditRows(knex, 'acme')).at(-1)).toMatchObject({ outcome: 'refused' });
        return code;
      };
      const grown = tenant.update('key', { metadata: { b: 'y'.repeat(10_000) } });
      expect(await refused(grown)).toBe('ERR_SECRETS_INVALID_ARGUMENT');

      const failing = (code: string): SecretStore =>
        lone.reopen(
          wrapperOf(lone.root, {
            unwrapKey: (wrapped, options) =>
              options.context.tenant === 'acme'
                ? Promise.reject(Object.assign(new KeyringError('ERR_KEYRING_KID_UNKNOWN'), { code }))
                : lone.root.unwrapKey(wrapped, options),
          }),
        );
      for (const [thrown, code] of [
        ['ERR_KEYRING_KID_UNKNOWN', 'ERR_SECRETS_ROOT_KEY_MISSING'],
        ['ERR_KEYRING_KEY_NOT_USABLE', 'ERR_KEYRING_KEY_NOT_USABLE'],
        ['ERR_ENVELOPE_DECRYPT', 'ERR_SECRETS_INTEGRITY'],
      ] as const) {
        expect(await refused(failing(thrown).tenant('acme', { actor: 'x' }).get('key'))).toBe(code);
      }
      const v2 = createKeyring({ keys: { ...lone.keys, v2: generateKeyBase64() }, activeKid: 'v2' });
      const refusing = wrapperOf(v2, {
        checkValue: () => Promise.reject(new EnvelopeError('ERR_ENVELOPE_INVALID_VALUE')),
      });
      const save = rejection(lone.reopen(refusing).tenant('new', { actor: 'x' }).save('key', 'x'));
      expect(await save).toMatchObject({ code: 'ERR_ENVELOPE_INVALID_VALUE' });
      expect(await auditRows(knex, 'new')).toMatchObject([{ action: 'secret.save', outcome: 'refused' }]);
      const own = knex('secret_tenant_keys').where({ tenant_id: 'acme' });
      await own.clone().update({ status: 'disabled' });
      expect(await refused(tenant.get('key'))).toBe('ERR_SECRETS_KEY_UNAVAILABLE');
    } finally {
      await lone.close();
    }
  });

  it('refuses to release a value whose audit row cannot be written', async () => {
    const lone = await openFixture(engine);
    try {
      await lone.tenant('acme').save('key', 'x');
      await lone.knex.schema.alterTable('secret_audit_log', (table) => table.renameColumn('action', 'was_action'));
      const error = await rejection(lone.tenant('acme').get('key'));
      expect(error).toMatchObject({ name: 'SecretsError' });
      expect(error).not.toHaveProperty('value');
      const before = await lone.knex('secret_versions').select('version');
      await rejection(lone.tenant('acme').save('key', 'y'));
      expect(await lone.knex('secret_versions').select('version')).toEqual(before);
    } finally {
      await lone.close();
    }
  });
});
