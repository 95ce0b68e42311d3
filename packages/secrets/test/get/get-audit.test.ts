import { createHmac } from 'node:crypto';
import { createKeyring, type Keyring } from '@keywright/envelope';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Fixture, openFixture, rejection } from '../support.ts';
import { audited, statementsOf } from './support.ts';

interface Row {
  readonly [column: string]: unknown;
  readonly id: string;
  readonly tenant_id: string;
  readonly mac: Buffer;
}

describeEachEngine('the audit row of a get', (engine) => {
  let fixture: Fixture;

  beforeAll(async () => {
    fixture = await openFixture(engine);
  });
  beforeEach(async () => {
    fixture = await fixture.renew();
  });
  afterAll(async () => {
    await fixture?.close();
  });

  /** The store's audit key, by way of the root key and the table alone. */
  async function auditKey(): Promise<Keyring> {
    const row = await fixture.knex('secret_tenant_keys').where({ tenant_id: '$system' }).first();
    const wrapped = { kid: row.root_kid as string, wrapped: row.wrapped as Buffer };
    const context = { kind: 'tenant-kek', tenant: '$system', kek: row.kek_id as string };
    return createKeyring({
      keys: { [row.kek_id]: await fixture.root.unwrapKey(wrapped, { context }) },
      activeKid: row.kek_id,
    });
  }

  /** As docs/decisions/0012 writes it down, from the row alone. */
  function macOf(key: Keyring, row: Row): Buffer {
    const field = (value: unknown): Buffer => {
      if (value === null) return Buffer.alloc(4, 0xff);
      const bytes = Buffer.isBuffer(value) ? value : Buffer.from(String(value), 'utf8');
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return Buffer.concat([length, bytes]);
    };
    const { tenant_id, id, actor, action, outcome, context, payload_hash, secret_id, secret_name, version } = row;
    const at = String(Number(row.at));
    const facts = [tenant_id, id, at, actor, action, outcome, context, payload_hash, secret_id, secret_name, version];
    const { kid, mac } = key.mac('secrets.audit-row', [tenant_id, id]);
    const hmac = createHmac('sha256', mac)
      .update(Buffer.concat(facts.map(field)))
      .digest();
    return Buffer.concat([Buffer.from(kid.replaceAll('-', ''), 'hex'), hmac]);
  }

  it.each([
    ['a plain name', 'acme', 'key', {}],
    ['a name in other scripts', 'ac"me\\', 'ключ 🔑 " \\ {a,b} NULL', {}],
    ['a longest name', 'a'.repeat(255), 'ü'.repeat(255), {}],
    ['a request', 'acme', 'key', { request: { ip: '203.0.113.9', agent: 'c"u\\rl' } }],
  ])('has the MAC that node:crypto makes of it: %s', async (_title, tenantId, name, more) => {
    const tenant = fixture.store.tenant(tenantId, { actor: `user "7" \\ 🔑`, ...more });
    const { id } = await tenant.save(name, 'one');
    await tenant.save(name, 'two');
    await Promise.all([tenant.get(name), tenant.get(name, { version: 1 }), tenant.getById(id), tenant.get(name)]);
    await tenant.getById(id, { version: 2 });
    await fixture.knex.transaction((trx) => fixture.store.tenant(tenantId, { actor: 'x', trx }).get(name));
    const key = await auditKey();
    const rows: readonly Row[] = await fixture
      .knex('secret_audit_log')
      .where({ tenant_id: tenantId, action: 'secret.get' });
    expect(rows).toHaveLength(6);
    for (const row of rows) {
      expect(row).toMatchObject({ secret_id: id, secret_name: name, outcome: 'success' });
      expect(row.mac.toString('hex')).toBe(macOf(key, row).toString('hex'));
    }
    expect(rows.map(({ version }) => version).toSorted()).toEqual([1, 2, 2, 2, 2, 2]);
    const { items } = await tenant.auditLog();
    expect(items.every(({ authentic }) => authentic)).toBe(true);
    const request = (more as { request?: object }).request ?? {};
    expect(
      items.filter(({ action, actor }) => action === 'secret.get' && actor !== 'x').map((item) => item.request),
    ).toEqual(Array.from({ length: 5 }, () => request));
  });

  it('is there when the transaction of the reader rolled back', async () => {
    await fixture.tenant('acme').save('key', 'x');
    await rejection(
      fixture.knex.transaction(async (trx) => {
        expect((await fixture.tenant('acme', trx).get('key')).value).toBe('x');
        throw new Error('rolled back by the caller');
      }),
    );
    expect(await audited(fixture.knex, 'acme')).toEqual(engine.name === 'sqlite' ? {} : { success: 1 });
  });

  it('is followed by one of the refusal where what was read does not open', async () => {
    const tenant = fixture.tenant('acme');
    const { id } = await tenant.save('key', 'x');
    await fixture
      .knex('secret_versions')
      .where({ secret_id: id })
      .update({ ciphertext: Buffer.alloc(99, 7) });
    expect(await rejection(tenant.get('key'))).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
    const expected = { ERR_SECRETS_INTEGRITY: 1, ...(engine.name === 'postgres' ? { success: 1 } : {}) };
    expect(await audited(fixture.knex, 'acme')).toEqual(expected);
  });

  it('is not written where reads are unaudited, but that of a refusal, a change or a read of the log is', async () => {
    const store = fixture.reopen(fixture.root, { audit: { reads: 'unaudited' } });
    const tenant = store.tenant('acme', { actor: 'x' });
    await tenant.save('key', 'x');
    await tenant.get('key');
    await tenant.getMany(['key', 'missing']);
    await tenant.list();
    await fixture.knex.transaction((trx) => store.tenant('acme', { actor: 'x', trx }).get('key'));
    await rejection(tenant.get('missing'));
    await tenant.auditLog();
    const actions = (await fixture.knex('secret_audit_log').where({ tenant_id: 'acme' }).orderBy('id')) as {
      action: string;
      outcome: string;
    }[];
    expect(actions.map(({ action, outcome }) => `${action} ${outcome}`)).toEqual([
      'tenant-key.create success',
      'secret.save success',
      'secret.get refused',
      'secret.get refused',
      'audit.list success',
    ]);
    expect(() => fixture.reopen(fixture.root, { audit: { reads: 'sometimes' as never } })).toThrowError(
      expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT' }),
    );
  });

  if (engine.name === 'sqlite') return;

  it('of callers in transactions shares a statement with others that wait', async () => {
    const tenant = fixture.tenant('acme');
    for (let index = 0; index < 4; index++) await tenant.save(`key ${index}`, 'x');
    const trxs = await Promise.all(Array.from({ length: 8 }, () => fixture.knex.transaction()));
    const auditKnex = (await import('knex')).default(fixture.knexConfig);
    try {
      const store = fixture.reopen(fixture.root, { auditKnex });
      await store.ready();
      await Promise.all(trxs.map((trx) => store.tenant('acme', { actor: 'x', trx }).get('key 0')));
      const sent = await statementsOf(auditKnex, () =>
        Promise.all(trxs.map((trx) => store.tenant('acme', { actor: 'x', trx }).getMany(['key 1', 'key 2', 'key 3']))),
      );
      // 24 rows, two statements at a time: whatever waits meanwhile goes out together.
      expect(sent.length).toBeLessThan(12);
      expect(sent.every((sql) => sql.startsWith('insert into'))).toBe(true);
      expect(await audited(fixture.knex, 'acme')).toEqual({ success: 32 });
    } finally {
      await Promise.all(trxs.map((trx) => trx.rollback()));
      await auditKnex.destroy();
    }
    expect(await audited(fixture.knex, 'acme')).toEqual({ success: 32 });
  });
});
