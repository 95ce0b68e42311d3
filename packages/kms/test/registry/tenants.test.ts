import { describe, expect, it } from 'vitest';
import { load, MINIMAL, refusal, shown } from './support.ts';

const CONFIG = {
  defaultProvider: 'main',
  providers: [MINIMAL, { ...MINIMAL, id: 'eu', description: 'In the EU' }, { ...MINIMAL, id: 'us' }],
};

describe('a tenant', () => {
  it('without an overlay has all providers and the default', async () => {
    const registry = await load(CONFIG);
    for (const overlay of [undefined, {}, { providers: undefined }, JSON.parse('{}')]) {
      const view = registry.forTenant(overlay);
      expect(view.defaultProvider).toBe('main');
      expect(view.providers).toEqual(registry.providers);
    }
  });

  it('has the providers that it chose and no other', async () => {
    const registry = await load(CONFIG);
    const view = registry.forTenant({ providers: ['us', 'eu'], defaultProvider: 'us' });
    expect(view.provider()).toBe(registry.provider('us'));
    expect(view.provider('eu')).toBe(registry.provider('eu'));
    expect(view.providers.map(({ id }) => id)).toEqual(['eu', 'us']);
    expect(view.describe().map(({ id, description }) => [id, description])).toEqual([
      ['eu', 'In the EU'],
      ['us', undefined],
    ]);
    expect((await view.health()).map(({ providerId, ok }) => [providerId, ok])).toEqual([
      ['eu', true],
      ['us', true],
    ]);
    for (const id of ['main', 'db', '']) {
      expect(await refusal(() => view.provider(id))).toMatchObject({ code: 'ERR_KMS_PROVIDER_UNKNOWN' });
    }
    expect(shown(view)).not.toContain('main');
    expect('close' in view || 'echo' in view || 'forTenant' in view).toBe(false);
  });

  it('has a default among its providers: the one that it chose, the registry’s, or the only one', async () => {
    const registry = await load(CONFIG);
    const defaultOf = (overlay: object) => registry.forTenant(overlay).defaultProvider;
    expect(defaultOf({ defaultProvider: 'us' })).toBe('us');
    expect(defaultOf({ providers: ['us', 'main'] })).toBe('main');
    expect(defaultOf({ providers: ['us'] })).toBe('us');
    const field = async (overlay: unknown) => (await refusal(() => registry.forTenant(overlay as never))).context.field;
    expect(await field({ providers: ['us', 'eu'] })).toBe('/defaultProvider');
    expect(await field({ providers: ['us', 'eu'], defaultProvider: 'main' })).toBe('/defaultProvider');
    expect(await field({ defaultProvider: null })).toBe('/defaultProvider');
    expect(await field({ providers: [] })).toBe('/providers');
    expect(await field({ providers: null })).toBe('/providers');
    expect(await field({ providers: ['us', 'us'] })).toBe('/providers/1');
    expect(await field({ providers: ['us', ['us']] })).toBe('/providers/1');
  });
});
