// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what kms.json may hold
import { execFileSync } from 'node:child_process';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createKmsRegistry, loadKmsRegistry } from '@keywright/kms';
import { describe, expect, it } from 'vitest';
import { folderWith, load, MINIMAL, refusal, thirdParty } from './support.ts';

const CONFIG = { providers: [MINIMAL] };

describe('kms.json', () => {
  it('is found in the folder, in CONFIG_FOLDER, or at the path of a file', async () => {
    const folder = await folderWith(CONFIG);
    for (const where of [{ folder }, { env: { CONFIG_FOLDER: folder } }, { file: join(folder, 'kms.json') }]) {
      const registry = await loadKmsRegistry({ env: {}, types: [thirdParty()], ...where });
      expect(registry.provider()).toMatchObject({ id: 'main', type: 'cloud' });
    }
  });

  it('makes several providers, of one type too, in its order', async () => {
    const registry = await load({
      $schema: './kms.schema.json',
      defaultProvider: 'b',
      providers: [
        { ...MINIMAL, id: 'b', description: 'Second' },
        { ...MINIMAL, id: 'a' },
      ],
    });
    expect(registry.providers.map(({ id }) => id)).toEqual(['b', 'a']);
    expect(registry.provider().id).toBe('b');
    expect(registry.provider('a').id).toBe('a');
    expect(registry.describe()[0]).toMatchObject({
      id: 'b',
      type: 'cloud',
      description: 'Second',
      defaultAlg: 'ES256',
      canCreate: true,
      canImport: true,
      canDelete: true,
      capabilities: { deleteKey: 'immediate' },
    });
    expect(registry.describe()[0]?.supportedAlgs).toContain('PS512');
    expect(registry.describe()[1]?.description).toBeUndefined();
  });

  it('has db as default where there is one, else the only provider, and otherwise says so', async () => {
    const named = (...ids: string[]) => ({ providers: ids.map((id) => Object.assign({}, MINIMAL, { id })) });
    expect((await load(named('x', 'db'))).defaultProvider).toBe('db');
    expect((await load(named('x'))).defaultProvider).toBe('x');
    expect(await refusal(load(named('x', 'y')))).toMatchObject({
      code: 'ERR_KMS_CONFIG',
      context: { field: '/defaultProvider' },
    });
    const chosen = { ...named('x', 'y'), defaultProvider: '${DEFAULT:y}' };
    expect((await load(chosen)).defaultProvider).toBe('y');
    expect((await load(chosen, { env: { DEFAULT: 'x' } })).defaultProvider).toBe('x');
  });

  it('does not know a provider that is not configured, and tries no other', async () => {
    const registry = await load(CONFIG);
    for (const id of ['db', 'constructor', '__proto__', 'MAIN', 'x'.repeat(100)]) {
      expect(await refusal(() => registry.provider(id))).toMatchObject({ code: 'ERR_KMS_PROVIDER_UNKNOWN' });
    }
    expect((await refusal(() => registry.provider('db'))).context).toEqual({ provider: 'db' });
    expect((await refusal(() => registry.provider('a b\nc'))).context).toEqual({});
    expect(await refusal(() => registry.provider(null as never))).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
  });
});

describe('a configuration file', () => {
  const unreadable = { code: 'ERR_KMS_CONFIG_UNREADABLE' };
  const loaded = (folder: string) => loadKmsRegistry({ folder, env: {}, types: [thirdParty()] });

  it.each([
    ['empty', ''],
    ['cut off', '{"providers": ['],
    ['no JSON', 'providers: []'],
    ['followed by more', `${JSON.stringify(CONFIG)} {}`],
    ['huge', JSON.stringify({ ...CONFIG, $schema: 'x'.repeat(256 * 1024) })],
    ['deeper than any parser', '['.repeat(200_000)],
  ])('that is %s is refused', async (_, text) => {
    expect(await refusal(load(text))).toMatchObject(unreadable);
  });

  it.each(['[]', 'null', '"db"', '1', 'true', `${'['.repeat(50_000)}${']'.repeat(50_000)}`])(
    'that is no object is refused: %.8s',
    async (text) => {
      expect(await refusal(load(text))).toMatchObject({ code: 'ERR_KMS_CONFIG' });
    },
  );

  it('that is no UTF-8, no file, no readable file, or a link to nothing is refused', async () => {
    const folder = await folderWith(CONFIG);
    const path = join(folder, 'kms.json');
    await writeFile(path, Buffer.concat([Buffer.from('{"$schema":"'), Buffer.of(0xff, 0xfe), Buffer.from('"}')]));
    expect(await refusal(loaded(folder))).toMatchObject(unreadable);
    await rm(path);
    await mkdir(path);
    expect(await refusal(loaded(folder))).toMatchObject(unreadable);
    await rm(path, { recursive: true });
    await symlink('nowhere', path);
    expect(await refusal(loaded(folder))).toMatchObject(unreadable);
    await rm(path);
    await symlink('kms.json', path);
    expect(await refusal(loaded(folder))).toMatchObject(unreadable);
    await rm(path);
    await symlink('/proc/self/mem', path); // a regular file whose reading fails
    expect(await refusal(loaded(folder))).toMatchObject(unreadable);
    await rm(path);
    execFileSync('mkfifo', [path]);
    expect(await refusal(loaded(folder))).toMatchObject(unreadable);
  });

  it('in a folder that is missing, or is no folder, is refused: only a folder without it has none', async () => {
    const folder = await folderWith(CONFIG);
    for (const wrong of [join(folder, 'missing'), join(folder, 'kms.json'), 'a\0b']) {
      expect(await refusal(loaded(wrong))).toMatchObject(unreadable);
      expect(await refusal(loadKmsRegistry({ env: { CONFIG_FOLDER: wrong } }))).toMatchObject(unreadable);
    }
  });

  it('that is named must be there', async () => {
    const folder = await folderWith(CONFIG);
    const file = join(folder, 'other.json');
    expect(await refusal(loadKmsRegistry({ file, env: {} }))).toMatchObject(unreadable);
  });

  it.each([
    ['{"providers":[],"providers":[]}', '/providers'],
    ['{"providers":[{"id":"a","type":"cloud","i\\u0064":"b"}]}', '/providers/0/id'],
    ['{"providers":[{"id":"a"},{"auth":[1,{"x":{"y":"}","y":2}}]}]}', '/providers/1/auth/1/x/y'],
  ])('with a name twice is refused by the path of the second: %s', async (text, field) => {
    expect(await refusal(load(text))).toMatchObject({ code: 'ERR_KMS_CONFIG', context: { field } });
  });

  it('may begin with a byte order mark', async () => {
    expect((await load(`\ufeff${JSON.stringify(CONFIG)}`)).defaultProvider).toBe('main');
  });

  it.each([{ folder: 1 }, { folder: '' }, { file: 'a', folder: 'b' }, { env: null }, { types: {} }, null, 'kms.json'])(
    'is not looked for with wrong options: %j',
    async (options) => {
      expect(await refusal(loadKmsRegistry(options as never))).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    },
  );
});

describe('a registry made in code', () => {
  it('takes a configuration as it is: nothing in it is resolved', async () => {
    const type = thirdParty();
    const token = '${HOME}';
    const registry = createKmsRegistry({
      config: { providers: [{ ...MINIMAL, token, labels: { a: 'env:HOME' } }] },
      types: [type],
    });
    expect(type.entries[0]).toMatchObject({ token, labels: { a: 'env:HOME' } });
    expect(registry.echo()).toEqual({
      defaultProvider: 'main',
      providers: [{ ...MINIMAL, token: '[redacted]', labels: { a: 'env:HOME' } }],
    });
  });

  it('takes providers that the host made', async () => {
    const type = thirdParty();
    const make = (id: string) => type.create({ ...MINIMAL, id }, {});
    const [a, b] = [make('a'), make('b')];
    const registry = createKmsRegistry({ providers: [a, b], defaultProvider: 'b' });
    expect(registry.provider()).toBe(b);
    expect(registry.provider('a')).toBe(a);
    expect(registry.echo()).toEqual({
      defaultProvider: 'b',
      providers: [
        { id: 'a', type: 'cloud' },
        { id: 'b', type: 'cloud' },
      ],
    });
    const refused = async (options: unknown) => (await refusal(() => createKmsRegistry(options as never))).context;
    expect(await refused({ providers: [a, make('a')] })).toMatchObject({ argument: 'providers.1.id' });
    expect(await refused({ providers: [a, b] })).toMatchObject({ field: '/defaultProvider' });
    expect(await refused({ providers: [a], defaultProvider: 'b' })).toMatchObject({ field: '/defaultProvider' });
    expect(await refused({ providers: [a, {}] })).toMatchObject({ argument: 'providers.1' });
    expect(await refused({ providers: [] })).toMatchObject({ argument: 'providers' });
    expect(await refused({ providers: [a], config: CONFIG })).toMatchObject({ argument: 'config' });
    expect(await refused({ config: CONFIG, types: [type], defaultProvider: 'a' })).toMatchObject({
      argument: 'defaultProvider',
    });
  });

  it('refuses what JSON cannot hold', async () => {
    for (const value of [
      () => 1,
      1n,
      Symbol('x'),
      Number.NaN,
      Array.from({ length: 20 }).reduce((inner) => ({ inner }), {}),
    ]) {
      const config = { providers: [{ ...MINIMAL, labels: { x: value } }] };
      const error = await refusal(() => createKmsRegistry({ config: config as never, types: [thirdParty()] }));
      expect(error.code).toBe('ERR_KMS_CONFIG');
      expect(error.context.field).toMatch(/^\/providers\/0\/labels\/x/);
    }
    const trap = Object.defineProperty({}, 'providers', {
      enumerable: true,
      get: () => {
        throw new Error('hunter2');
      },
    });
    expect(await refusal(() => createKmsRegistry({ config: trap as never }))).toMatchObject({ code: 'ERR_KMS_CONFIG' });
  });
});
