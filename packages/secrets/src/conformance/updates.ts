import { expect, it } from 'vitest';
import { expectRefusal, type Theme } from './harness.ts';

/** Changes of a secret that exists. */
export const updates: Theme = (subject) => {
  it('makes a version of a new value, and none of anything else', async () => {
    const tenant = subject().tenant('updates');
    const { id } = await tenant.save('key', 'one', { metadata: { keep: 1, drop: 2, deep: { a: 1, b: 2 } } });
    expect(await tenant.update('key', { value: 'two' })).toMatchObject({ id, version: 2 });
    expect(await tenant.update({ id }, { metadata: { drop: null, deep: { b: null, c: 3 } } })).toMatchObject({
      version: 2,
    });
    expect(await tenant.get('key')).toMatchObject({ value: 'two', metadata: { keep: 1, deep: { a: 1, c: 3 } } });
    await tenant.update('key', { description: 'new', tags: ['t'], authType: 'oauth', maxVersions: 3 });
    expect(await tenant.get('key')).toMatchObject({
      description: 'new',
      tags: ['t'],
      authType: 'oauth',
      maxVersions: 3,
    });
    await tenant.update('key', { description: null, tags: [], authType: null, maxVersions: null });
    expect(await tenant.get('key')).toMatchObject({ description: null, tags: [], authType: null, maxVersions: null });
  });

  it('refuses metadata that grew too large, and changes nothing', async () => {
    const tenant = subject().tenant('updates');
    await tenant.save('grown', 'x', { metadata: { a: 'x'.repeat(10_000) } });
    await expectRefusal(
      tenant.update('grown', { value: 'y', metadata: { b: 'y'.repeat(10_000) } }),
      'ERR_SECRETS_INVALID_ARGUMENT',
    );
    expect(await tenant.get('grown')).toMatchObject({ value: 'x', version: 1 });
  });

  it('merges a patch into a JSON object as RFC 7396 has it', async () => {
    const tenant = subject().tenant('updates');
    await tenant.save('json', { a: 'b', c: { d: 'e', f: 'g' }, list: [1, 2] });
    expect(await tenant.merge('json', { a: 'z', c: { f: null }, list: [3] })).toMatchObject({ version: 2 });
    expect((await tenant.get('json')).value).toEqual({ a: 'z', c: { d: 'e' }, list: [3] });
    expect((await tenant.get('json', { version: 1 })).value).toEqual({ a: 'b', c: { d: 'e', f: 'g' }, list: [1, 2] });
  });

  it.each([
    ['text', 'text'],
    ['bytes', new Uint8Array(3)],
    ['an array', [1]],
    ['null', null],
  ])('merges nothing into %s', async (_what, value) => {
    const tenant = subject().tenant('updates');
    await tenant.save('no object', value);
    await expectRefusal(tenant.merge('no object', { a: 1 }), 'ERR_SECRETS_VALUE_NOT_JSON');
  });

  it('renames: id, versions and everything else stay, and the old name is free', async () => {
    const tenant = subject().tenant('updates');
    const { id } = await tenant.save('before', 'one', { tags: ['t'] });
    await tenant.save('before', 'two');
    expect(await tenant.rename('before', 'after')).toMatchObject({ id, name: 'after', version: 2 });
    expect(await tenant.get('after')).toMatchObject({ id, value: 'two', tags: ['t'] });
    expect((await tenant.get('after', { version: 1 })).value).toBe('one');
    expect(await tenant.exists('before')).toBe(false);
    const again = await tenant.save('before', 'three');
    expect(again.id).not.toBe(id);
    await expectRefusal(tenant.rename({ id }, 'before'), 'ERR_SECRETS_ALREADY_EXISTS');
    expect(await tenant.get({ id })).toMatchObject({ name: 'after' });
    expect(await tenant.rename({ id }, 'after')).toMatchObject({ name: 'after' });
  });

  it('lets exactly one of many renames to one name win', async () => {
    const tenant = subject().tenant('updates');
    const saved = await Promise.all(['r1', 'r2', 'r3', 'r4'].map((name) => tenant.save(name, name)));
    const outcomes = await Promise.allSettled(saved.map(({ id }) => tenant.rename({ id }, 'winner')));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'ERR_SECRETS_ALREADY_EXISTS' });
    }
  });
};
