import { beforeAll, expect, it } from 'vitest';
import type { SecretFilters } from '../filters.ts';
import type { Theme } from './harness.ts';

const TENANT = 'lists';

/** Lists, searches, filters, and both ways to page. */
export const lists: Theme = (subject) => {
  beforeAll(async () => {
    const tenant = subject().tenant(TENANT);
    await tenant.save('alpha', 'x', {
      tags: ['red', 'big'],
      metadata: { env: 'live', n: 1, deep: { a: [1, { b: 2 }] } },
    });
    await tenant.save('Beta', 'x', { tags: ['red'], metadata: { env: 'test', n: 2, ok: true } });
    await tenant.save('gamma_1', 'x', { tags: ['blue', "it's"], authType: 'oauth', metadata: { 'q"u.o[t]e': 'x' } });
    await tenant.save('gamma%2', 'x', { authType: 'api_key', metadata: { none: null } });
    await tenant.save('gone', 'x', { tags: ['red'] });
    await tenant.delete('gone');
    await tenant.save('gone', 'again');
    await tenant.delete('gone');
  });

  const names = async (options?: SecretFilters): Promise<readonly string[]> =>
    (await subject().tenant(TENANT).list(options)).items.map(({ name }) => name).toSorted();
  const found = async (text: string, options?: SecretFilters): Promise<readonly string[]> =>
    (await subject().tenant(TENANT).search(text, options)).items.map(({ name }) => name).toSorted();

  it.each<[string, SecretFilters, readonly string[]]>([
    ['one tag', { tags: ['red'] }, ['Beta', 'alpha']],
    ['all of several tags', { tags: ['red', 'big'] }, ['alpha']],
    ['a tag with a quote', { tags: ["it's"] }, ['gamma_1']],
    ['a tag that nothing has', { tags: ['none'] }, []],
    ['no tags', { tags: [] }, ['Beta', 'alpha', 'gamma%2', 'gamma_1']],
    ['a text in the metadata', { metadata: { env: 'live' } }, ['alpha']],
    ['a number', { metadata: { n: 2 } }, ['Beta']],
    ['a number in another form', { metadata: { n: 1.0 } }, ['alpha']],
    ['a text that is a number', { metadata: { n: '1' } }, []],
    ['a boolean', { metadata: { ok: true } }, ['Beta']],
    ['null', { metadata: { none: null } }, ['gamma%2']],
    ['a member of a member', { metadata: { deep: { a: [{ b: 2 }] } } }, ['alpha']],
    ['an element', { metadata: { deep: { a: [1] } } }, ['alpha']],
    ['another element', { metadata: { deep: { a: [2] } } }, []],
    ['an object that is there', { metadata: { deep: {} } }, ['alpha']],
    ['a text where there is an array', { metadata: { deep: { a: '1' } } }, []],
    ['a member name of any characters', { metadata: { 'q"u.o[t]e': 'x' } }, ['gamma_1']],
    ['several members', { metadata: { env: 'test', n: 2 } }, ['Beta']],
    ['nothing in particular', { metadata: {} }, ['Beta', 'alpha', 'gamma%2', 'gamma_1']],
    ['an auth type', { authType: 'oauth' }, ['gamma_1']],
    ['everything at once', { tags: ['red'], metadata: { env: 'test' }, deleted: 'exclude', expired: false }, ['Beta']],
    ['deleted ones', { deleted: 'only' }, ['gone', 'gone']],
    ['deleted ones with a tag', { deleted: 'only', tags: ['red'] }, ['gone']],
    ['all, deleted ones too', { deleted: 'include' }, ['Beta', 'alpha', 'gamma%2', 'gamma_1', 'gone', 'gone']],
  ])('filters by %s', async (_what, options, expected) => {
    expect(await names(options)).toEqual(expected);
  });

  it.each([
    ['GAMMA', ['gamma%2', 'gamma_1']],
    ['eta', ['Beta']],
    ['%', ['gamma%2']],
    ['_', ['gamma_1']],
    ['a%2', ['gamma%2']],
    ['\\', []],
    ["'", []],
    ['zeta', []],
  ])('finds %s in names, whatever the case and without wildcards', async (text, expected) => {
    expect(await found(text)).toEqual(expected);
  });

  it('combines a search with filters', async () => {
    expect(await found('gamma', { authType: 'api_key' })).toEqual(['gamma%2']);
    expect(await found('gone')).toEqual([]);
    expect(await found('gone', { deleted: 'only' })).toEqual(['gone', 'gone']);
  });

  it.each(['exclude', 'only', 'include'] as const)('pages by cursor through everything once (%s)', async (deleted) => {
    const tenant = subject().tenant(TENANT);
    const all = (await tenant.list({ deleted })).items.map(({ id }) => id);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await tenant.list({ deleted, limit: 1, cursor });
      expect(page.items).toHaveLength(1);
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toEqual(all);
    expect(new Set(seen).size).toBe(seen.length);
  });

  it('pages by number, with totals', async () => {
    const tenant = subject().tenant(TENANT);
    const all = (await tenant.list()).items;
    const first = await tenant.list({ page: 1, perPage: 3 });
    expect(first).toEqual({ items: all.slice(0, 3), page: 1, perPage: 3, total: 4, totalPages: 2 });
    expect(await tenant.list({ page: 2, perPage: 3 })).toMatchObject({ items: all.slice(3), page: 2, total: 4 });
    expect(await tenant.list({ page: 9, perPage: 3 })).toMatchObject({ items: [], total: 4, totalPages: 2 });
    expect(await tenant.search('gamma', { page: 1 })).toMatchObject({ perPage: 50, total: 2, totalPages: 1 });
    expect(await tenant.list({ page: 1, tags: ['nothing'] })).toMatchObject({ items: [], total: 0, totalPages: 0 });
  });

  it('tells of a deleted secret when it was deleted, and of none its value', async () => {
    const { items } = await subject().tenant(TENANT).list({ deleted: 'include' });
    for (const item of items) {
      expect(item.deletedAt instanceof Date).toBe(item.name === 'gone');
      expect('value' in item).toBe(false);
    }
  });
};
