import { expect, it } from 'vitest';
import { expectRefusal, type Theme } from './harness.ts';

const CASES = [
  ['text', 'sk_test_1'],
  ['text', ''],
  ['text', 'ünïcødé 🔑 \u0000 end'],
  ['json', { apiKey: 'k', nested: [1, null, { deep: true }] }],
  ['json', null],
  ['json', 0],
  ['json', [1, 'two']],
  ['bytes', new Uint8Array([0, 255, 1, 128])],
  ['bytes', new Uint8Array(0)],
] as const;

/** What is saved is what is read. */
export const values: Theme = (subject) => {
  it.each(CASES)('keeps %s %j as it is', async (type, value) => {
    const tenant = subject().tenant('values');
    const saved = await tenant.save('value', value);
    const secret = await tenant.get('value');
    expect(secret.type).toBe(type);
    expect(secret.value).toEqual(value);
    expect(secret).toMatchObject({ id: saved.id, name: 'value', version: saved.version });
  });

  it.each([16_382, 16_383, 16_384, 1_048_576])('keeps a value of %i bytes', async (length) => {
    const tenant = subject().tenant('values');
    const value = 'x'.repeat(length);
    await tenant.save('large', value);
    expect((await tenant.get('large')).value).toBe(value);
    await expectRefusal(tenant.save('large', 'x'.repeat(1_048_577)), 'ERR_SECRETS_VALUE_TOO_LARGE');
  });

  it('keeps what a secret has beside its value, and who saved it', async () => {
    const tenant = subject().tenant('values');
    const expiresAt = new Date(Date.now() + 3_600_000);
    const facts = {
      metadata: { env: 'test', owners: ['a', 'b'] },
      authType: 'api_key',
      description: 'For the tests.\nSecond line.',
      tags: ['blue', 'green'],
      expiresAt,
      casRequired: true,
      maxVersions: 7,
    };
    const saved = await tenant.save('facts', 'x', facts);
    const secret = await tenant.get({ id: saved.id });
    expect(secret).toMatchObject({ ...facts, createdBy: 'conformance', deletedAt: null, currentVersion: 1 });
    const { items } = await tenant.list();
    expect(items.find(({ name }) => name === 'facts')).toMatchObject({ ...facts, createdBy: 'conformance' });
    expect(secret.createdAt).toEqual(saved.createdAt);
  });

  it('keeps what it is not told to change', async () => {
    const tenant = subject().tenant('values');
    await tenant.save('kept', 'one', { metadata: { a: 1 }, authType: 't', description: 'd', tags: ['x'] });
    await tenant.save('kept', 'two');
    expect(await tenant.get('kept')).toMatchObject({
      value: 'two',
      version: 2,
      metadata: { a: 1 },
      authType: 't',
      description: 'd',
      tags: ['x'],
    });
    await tenant.save('kept', 'three', { metadata: {}, authType: null, description: null, tags: [] });
    expect(await tenant.get('kept')).toMatchObject({ metadata: {}, authType: null, description: null, tags: [] });
  });

  it('takes tags as a set', async () => {
    const tenant = subject().tenant('values');
    await tenant.save('set', 'x', { tags: ['b', 'a', 'b'] });
    expect((await tenant.get('set')).tags).toEqual(['b', 'a']);
  });

  it('finds by name, by id, by version, and several at once', async () => {
    const tenant = subject().tenant('values');
    const { id } = await tenant.save('found', 'one');
    await tenant.save('found', 'two');
    expect((await tenant.getById(id)).value).toBe('two');
    expect((await tenant.getById(id.toUpperCase())).value).toBe('two');
    expect((await tenant.get('found', { version: 1 })).value).toBe('one');
    expect(await tenant.exists({ id })).toBe(true);
    expect(await tenant.exists('found')).toBe(true);
    const many = await tenant.getMany(['found', { id }, 'nothing']);
    expect(many.map((result) => (result.outcome === 'found' ? result.secret.value : result.error.code))).toEqual([
      'two',
      'two',
      'ERR_SECRETS_NOT_FOUND',
    ]);
  });

  it('does not find what is not there', async () => {
    const tenant = subject().tenant('values');
    const id = '01890a5d-ac96-774b-bcce-b302099a8057';
    await tenant.save('present', 'x');
    for (const at of ['absent', { id }] as const) {
      expect(await tenant.exists(at)).toBe(false);
      for (const call of [
        () => tenant.get(at),
        () => tenant.update(at, { value: 'x' }),
        () => tenant.merge(at, {}),
        () => tenant.rename(at, 'other'),
        () => tenant.rollback(at, 1),
        () => tenant.delete(at),
        () => tenant.restore(at),
        () => tenant.destroy(at, 1),
        () => tenant.purge(at),
        () => tenant.versions(at),
      ]) {
        await expectRefusal(call(), 'ERR_SECRETS_NOT_FOUND');
      }
    }
    await expectRefusal(tenant.get('present', { version: 2 }), 'ERR_SECRETS_NOT_FOUND');
  });
};
