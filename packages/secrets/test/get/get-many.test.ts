import type { KeyWrapper } from '@keywright/envelope';
import type { SecretLocator } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { type Fixture, openFixture, rejection, wrapperOf } from '../support.ts';
import { audited, statementsOf } from './support.ts';

const INVALID = { code: 'ERR_SECRETS_INVALID_ARGUMENT' } as const;

describeEachEngine('reading', (engine) => {
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

  it('by id finds a secret after a rename, and its older versions', async () => {
    const tenant = fixture.tenant('acme');
    const { id } = await tenant.save('before', 'one');
    await tenant.save('before', 'two');
    await tenant.rename('before', 'after');
    expect(await tenant.getById(id)).toMatchObject({ id, name: 'after', value: 'two', version: 2 });
    expect((await tenant.getById(id.toUpperCase(), { version: 1 })).value).toBe('one');
    expect((await tenant.get({ id })).value).toBe('two');
    await tenant.delete({ id });
    expect(await rejection(tenant.getById(id))).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
    expect(await rejection(tenant.getById('01890a5d-ac96-774b-bcce-b302099a8057'))).toMatchObject({
      code: 'ERR_SECRETS_NOT_FOUND',
    });
    for (const bad of ['x', '', null, 7, {}])
      expect(await rejection(tenant.getById(bad as never))).toMatchObject(INVALID);
    expect(await audited(fixture.knex, 'acme')).toEqual({ success: 3, ERR_SECRETS_NOT_FOUND: 2 });
  });

  it('by id notices a secret that somebody marked as deleted', async () => {
    const { id } = await fixture.tenant('acme').save('key', 'x');
    await fixture.knex('secrets').where({ id }).update({ is_deleted: true, deleted_at: new Date() });
    expect(await rejection(fixture.tenant('acme').getById(id))).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
  });

  it('by name notices an older secret, restored and then hidden by hand, among its deleted namesakes', async () => {
    const tenant = fixture.tenant('acme');
    const { id } = await tenant.save('key', 'first');
    await tenant.delete('key');
    for (let index = 0; index < 3; index++) {
      await tenant.save('key', `later ${index}`);
      await tenant.delete('key');
    }
    expect(await rejection(tenant.get('key'))).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
    await tenant.restore({ id });
    expect((await tenant.get('key')).value).toBe('first');
    await fixture
      .knex('secrets')
      .where({ id })
      .update({ is_deleted: true, deleted_at: new Date(0) });
    expect(await rejection(tenant.get('key'))).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
  });

  it.each(['outside of a transaction', 'in a transaction'])(
    'many %s returns each in its place, and why one was refused',
    async (where) => {
      const tenant = fixture.tenant('acme');
      const { id } = await tenant.save('a', 'A');
      for (const name of ['b', 'c']) await tenant.save(name, name.toUpperCase());
      await tenant.save('gone', 'x');
      await tenant.delete('gone');
      const damaged = await tenant.save('damaged', 'x');
      await fixture
        .knex('secret_versions')
        .where({ secret_id: damaged.id })
        .update({ wrapped_dek: Buffer.alloc(9) });
      const asked: SecretLocator[] = ['c', 'missing', { id }, 'damaged', 'a', 'gone', 'b', 'b'];
      const results =
        where === 'in a transaction'
          ? await fixture.knex.transaction((trx) => fixture.tenant('acme', trx).getMany(asked))
          : await tenant.getMany(asked);
      expect(results.map(({ locator }) => locator)).toEqual(asked);
      expect(results.map((each) => (each.outcome === 'found' ? each.secret.value : each.error.code))).toEqual([
        'C',
        'ERR_SECRETS_NOT_FOUND',
        'A',
        'ERR_SECRETS_INTEGRITY',
        'A',
        'ERR_SECRETS_NOT_FOUND',
        'B',
        'B',
      ]);
      expect(await audited(fixture.knex, 'acme')).toMatchObject({ ERR_SECRETS_NOT_FOUND: 2, ERR_SECRETS_INTEGRITY: 1 });
      const { items } = await tenant.auditLog({ limit: 100 });
      const read = items.filter(({ action, outcome }) => action === 'secret.get' && outcome === 'success');
      // What does not open outside of a transaction was read by the statement that audits it.
      const disclosed = read.filter(({ secretName }) => secretName !== 'damaged');
      expect(disclosed.map(({ secretName }) => secretName).toSorted()).toEqual(['a', 'a', 'b', 'b', 'c']);
    },
  );

  it('many is bounded, takes nothing but locators, and none is none', async () => {
    const tenant = fixture.tenant('acme');
    await tenant.save('a', 'A');
    expect(await tenant.getMany([])).toEqual([]);
    for (const bad of ['a', null, { 0: 'a' }, [7], ['a', null], Array(1_001).fill('a')]) {
      expect(await rejection(tenant.getMany(bad as never))).toMatchObject(INVALID);
    }
    expect(await audited(fixture.knex, 'acme')).toEqual({});
    const many = await tenant.getMany(Array<string>(150).fill('a'));
    expect(many.every((each) => each.outcome === 'found' && each.secret.value === 'A')).toBe(true);
    expect(await audited(fixture.knex, 'acme')).toEqual({ success: 150 });
  });

  it('many ends with an error that is no refusal, and with a signal', async () => {
    const tenant = fixture.tenant('acme');
    await tenant.save('a', 'A');
    expect(await rejection(tenant.getMany(['a'], { signal: AbortSignal.abort() }))).toMatchObject({
      code: 'ERR_SECRETS_ABORTED',
    });
    await fixture.knex.schema.renameTable('secret_versions', 'was_versions');
    try {
      expect(await rejection(tenant.getMany(['a']))).toMatchObject({ code: 'ERR_SECRETS_NOT_MIGRATED' });
    } finally {
      await fixture.knex.schema.renameTable('was_versions', 'secret_versions');
    }
  });

  it('a cold key in a transaction is told and may be refused; a warm one is neither', async () => {
    await fixture.tenant('acme').save('key', 'x');
    await fixture.tenant('acme').save('key', 'y');
    const unwrapKey = vi.fn<KeyWrapper['unwrapKey']>((wrapped, options) => fixture.root.unwrapKey(wrapped, options));
    const onColdKek = vi.fn(() => {
      throw new Error('a counter that fails');
    });
    const inside = (store: Fixture['store']): Promise<unknown> =>
      fixture.knex.transaction((trx) => store.tenant('acme', { actor: 'x', trx }).get('key'));
    const counting = fixture.reopen(wrapperOf(fixture.root, { unwrapKey }), { onColdKek });
    await counting.ready();
    await inside(counting);
    const keyId = expect.stringMatching(/^[0-9a-f-]{36}$/);
    expect(onColdKek.mock.calls).toEqual([[{ tenantId: 'acme', keyId }]]);
    await inside(counting);
    expect(onColdKek).toHaveBeenCalledTimes(1);

    const refusing = fixture.reopen(wrapperOf(fixture.root, { unwrapKey }), { coldKek: 'refuse' });
    await refusing.ready();
    unwrapKey.mockClear();
    const error = await rejection(inside(refusing));
    expect(error).toMatchObject({ code: 'ERR_SECRETS_KEY_COLD', context: { tenantId: 'acme', keyId } });
    expect(unwrapKey).not.toHaveBeenCalled();
    await refusing.tenant('acme', { actor: 'x' }).warm();
    expect(unwrapKey).toHaveBeenCalledTimes(1);
    await inside(refusing);
    expect(unwrapKey).toHaveBeenCalledTimes(1);
    await refusing.tenant('nobody', { actor: 'x' }).warm();

    const outside = fixture.reopen(wrapperOf(fixture.root, { unwrapKey }), { coldKek: 'refuse' });
    expect((await outside.tenant('acme', { actor: 'x' }).get('key')).value).toBe('y');
    expect(await audited(fixture.knex, 'acme')).toEqual({
      success: 4,
      // On SQLite the row of the refusal went with the transaction.
      ...(engine.name === 'sqlite' ? {} : { ERR_SECRETS_KEY_COLD: 1 }),
    });
    for (const bad of [{ coldKek: 'never' }, { onColdKek: 7 }]) {
      expect(() => fixture.reopen(fixture.root, bad as never)).toThrowError(expect.objectContaining(INVALID));
    }
  });

  if (engine.name === 'sqlite') return;

  it('many is one round trip for 64, in a transaction too', async () => {
    const tenant = fixture.tenant('acme');
    const names = Array.from({ length: 70 }, (_, index) => `key ${index}`);
    for (const name of names) await tenant.save(name, 'x');
    await tenant.getMany(['key 0']);
    expect(await statementsOf(fixture.knex, () => tenant.getMany(names.slice(0, 16)))).toHaveLength(1);
    // two at once, on two connections
    expect(await statementsOf(fixture.knex, () => tenant.getMany(names))).toHaveLength(2);
    await fixture.knex.transaction(async (trx) => {
      const inside = fixture.tenant('acme', trx);
      expect(await statementsOf(trx as never, () => inside.getMany(names.slice(0, 64)))).toHaveLength(1);
    });
    expect(await audited(fixture.knex, 'acme')).toEqual({ success: 1 + 16 + 70 + 64 });
  });
});
