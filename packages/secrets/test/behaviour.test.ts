import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, openFixture, rejection } from './support.ts';

describeEachEngine('secrets', (engine) => {
  let fixture: Fixture;

  beforeAll(async () => {
    fixture = await openFixture(engine);
  });
  afterAll(async () => {
    await fixture?.close();
  });

  describe('save and get', () => {
    it.each([
      ['text', 'sk_test_1'],
      ['text', ''],
      ['text', 'ünïcødé 🔑 \u0000 end'],
      ['json', { apiKey: 'k', nested: [1, null, { deep: true }], __enc: 1 }],
      ['json', null],
      ['json', 0],
      ['json', [1, 'two']],
    ] as const)('keeps %s %j as it is', async (type, value) => {
      const tenant = fixture.tenant('keeps');
      const saved = await tenant.save('value', value);
      const secret = await tenant.get('value');
      expect(secret.type).toBe(type);
      expect(secret.value).toEqual(value);
      expect(secret).toMatchObject({ id: saved.id, name: 'value', version: saved.version });
    });

    it('keeps bytes as bytes', async () => {
      const tenant = fixture.tenant('keeps');
      const bytes = new Uint8Array([0, 255, 1, 128]);
      await tenant.save('bytes', bytes);
      const secret = await tenant.get('bytes');
      expect(secret.type).toBe('bytes');
      expect(secret.value).toEqual(bytes);
    });

    it('adds a version to an existing name and keeps the old one readable', async () => {
      const tenant = fixture.tenant('versions');
      const first = await tenant.save('key', 'one', { metadata: { env: 'test' }, authType: 'api_key' });
      const second = await tenant.save('key', 'two');
      expect(second).toMatchObject({ id: first.id, version: 2 });
      expect(await tenant.get('key')).toMatchObject({
        value: 'two',
        version: 2,
        currentVersion: 2,
        metadata: { env: 'test' },
        authType: 'api_key',
      });
      expect((await tenant.get('key', { version: 1 })).value).toBe('one');
      expect(await rejection(tenant.get('key', { version: 3 }))).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
      const { items: versions } = await tenant.versions('key');
      expect(versions.map(({ version, current, createdBy }) => ({ version, current, createdBy }))).toEqual([
        { version: 2, current: true, createdBy: 'tester' },
        { version: 1, current: false, createdBy: 'tester' },
      ]);
      expect(versions[0]?.createdAt).toBeInstanceOf(Date);
    });

    it('refuses a taken name with ifAbsent and leaves the secret alone', async () => {
      const tenant = fixture.tenant('absent');
      await tenant.save('key', 'one', { ifAbsent: true });
      expect(await rejection(tenant.save('key', 'two', { ifAbsent: true }))).toMatchObject({
        code: 'ERR_SECRETS_ALREADY_EXISTS',
      });
      expect((await tenant.get('key')).value).toBe('one');
    });

    it('takes a value of exactly the limit', async () => {
      const tenant = fixture.tenant('limit');
      await tenant.save('large', 'x'.repeat(1_048_576));
      expect((await tenant.get('large')).value).toHaveLength(1_048_576);
    });
  });

  describe('update', () => {
    it('makes a new version of a value', async () => {
      const tenant = fixture.tenant('update');
      await tenant.save('key', 'one');
      expect(await tenant.update('key', { value: 'two' })).toMatchObject({ version: 2 });
      expect((await tenant.get('key')).value).toBe('two');
    });

    it('merges metadata without a new version', async () => {
      const tenant = fixture.tenant('update');
      await tenant.save('meta', 'one', { metadata: { keep: 1, drop: 2, deep: { a: 1, b: 2 } } });
      expect(await tenant.update('meta', { metadata: { drop: null, deep: { b: null, c: 3 } } })).toMatchObject({
        version: 1,
      });
      expect((await tenant.get('meta')).metadata).toEqual({ keep: 1, deep: { a: 1, c: 3 } });
    });

    it('refuses a name that does not exist', async () => {
      expect(await rejection(fixture.tenant('update').update('nothing', { value: 'x' }))).toMatchObject({
        code: 'ERR_SECRETS_NOT_FOUND',
      });
    });
  });

  describe('delete', () => {
    it('makes a secret unfindable and frees its name', async () => {
      const tenant = fixture.tenant('delete');
      const first = await tenant.save('key', 'one');
      await tenant.delete('key');
      expect(await tenant.exists('key')).toBe(false);
      const attempts = [() => tenant.get('key'), () => tenant.delete('key'), () => tenant.versions('key')];
      for (const attempt of attempts) {
        expect(await rejection(attempt())).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
      }
      const second = await tenant.save('key', 'two');
      expect(second.id).not.toBe(first.id);
      expect(second.version).toBe(1);
    });
  });

  describe('list', () => {
    it('pages through all names in order, without values', async () => {
      const tenant = fixture.tenant('list');
      const names = ['a', 'b', 'c/d', 'e f', 'ü'];
      for (const name of names) await tenant.save(name, `value of ${name}`);
      await tenant.save('gone', 'x');
      await tenant.delete('gone');
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await tenant.list(cursor === undefined ? { limit: 2 } : { limit: 2, cursor });
        expect(page.items.length).toBeLessThanOrEqual(2);
        expect(page.items.every((item) => !('value' in item))).toBe(true);
        seen.push(...page.items.map(({ name }) => name));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(seen).toEqual(names);
    });

    it('is empty for a tenant that has nothing', async () => {
      expect(await fixture.tenant('nobody').list()).toEqual({ items: [], nextCursor: undefined });
    });
  });

  it('tells whether a name exists', async () => {
    const tenant = fixture.tenant('exists');
    await tenant.save('key', 'x');
    expect(await tenant.exists('key')).toBe(true);
    expect(await tenant.exists('other')).toBe(false);
  });
});
