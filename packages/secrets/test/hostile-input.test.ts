import type { TenantSecrets } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { auditRows, type Fixture, openFixture, rejection } from './support.ts';

const INVALID = 'ERR_SECRETS_INVALID_ARGUMENT';
const ID = '01890a5d-ac96-774b-bcce-b302099a8057';

const nested = (levels: number): object => {
  let value: object = {};
  for (let level = 1; level < levels; level++) value = { a: value };
  return value;
};
const throwing = {
  get id(): string {
    throw new Error('no');
  },
};

/** Names that are refused wherever a name or a tenant is given. */
const NAMES: readonly (readonly [string, unknown])[] = [
  ['nothing', ''],
  ['a NUL', 'a\0b'],
  ['a line break', 'a\nb'],
  ['an escape', '\u001b[31m'],
  ['a C1 control character', 'a\u0085b'],
  ['10 kB', 'n'.repeat(10_240)],
  ['10 kB of emoji', '🔑'.repeat(2_560)],
  ['half an emoji', '🔑'.slice(0, 1)],
  ['bytes that are not UTF-8', Buffer.from([0xff, 0xfe])],
  ['a number', 7],
  ['null', null],
  ['an array', ['key']],
  ['a boxed string', Object('key')],
];

const LOCATORS: readonly (readonly [string, unknown])[] = [
  ['an id that is no UUID', { id: 'key' }],
  ['an id that is SQL', { id: "' or true --" }],
  ['an id that is a number', { id: 7 }],
  ['no id', {}],
  ['an id that throws', throwing],
];

describeEachEngine('hostile input', (engine) => {
  let fixture: Fixture;
  let tenant: TenantSecrets;

  beforeAll(async () => {
    fixture = await openFixture(engine);
    tenant = fixture.tenant('acme');
    await tenant.save('key', { a: 1 });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  afterAll(async () => {
    await fixture?.close();
  });

  async function counts(): Promise<readonly number[]> {
    const tables = ['secrets', 'secret_versions', 'secret_tenant_keys', 'secret_audit_log'];
    return await Promise.all(tables.map(async (table) => (await fixture.knex(table).select('tenant_id')).length));
  }

  async function refused(attempts: readonly (() => Promise<unknown>)[], code: string): Promise<void> {
    const before = await counts();
    for (const [index, attempt] of attempts.entries()) {
      expect(await rejection(attempt()), `attempt ${index}`).toMatchObject({ code, name: 'SecretsError' });
    }
    expect(await counts()).toEqual(before);
    expect(await tenant.get('key')).toMatchObject({ value: { a: 1 }, version: 1 });
  }

  it.each([...NAMES, ...LOCATORS])('as the name of a secret is refused by every method: %s', async (_what, name) => {
    const at = name as string;
    await refused(
      [
        () => tenant.get(at),
        () => tenant.getMany([at]),
        () => tenant.update(at, { value: 'x' }),
        () => tenant.merge(at, { x: 1 }),
        () => tenant.rename(at, 'x'),
        () => tenant.rename('key', at),
        () => tenant.rollback(at, 1),
        () => tenant.delete(at),
        () => tenant.restore(at),
        () => tenant.destroy(at, 1),
        () => tenant.purge(at),
        () => tenant.exists(at),
        () => tenant.versions(at),
        () => tenant.save(at, 'x'),
        () => tenant.search(at),
      ],
      INVALID,
    );
  });

  it.each(NAMES)('as the id of a tenant, an actor or a request is refused: %s', async (_what, name) => {
    const text = name as string;
    for (const attempt of [
      () => fixture.store.tenant(text, { actor: 'x' }),
      () => fixture.store.tenant('acme', { actor: text }),
    ]) {
      expect(attempt).toThrowError(expect.objectContaining({ code: INVALID }));
    }
  });

  it.each(["'; drop table secrets; --", '%', '_', '\\', '"', 'constructor', '__proto__', '🔑', ' a ', 'a'.repeat(255)])(
    'as a name, a tenant, a tag and a search is taken as it is: %s',
    async (text) => {
      const other = fixture.tenant(`tenant ${text}`.slice(0, 255));
      const tag = text.slice(0, 128);
      const { id } = await other.save(text, 'x', { tags: [tag], metadata: { [text]: text } });
      expect(await other.get(text)).toMatchObject({ id, tags: [tag] });
      expect((await other.get(text)).metadata).toEqual(JSON.parse(JSON.stringify({ [text]: text })));
      const metadata = JSON.parse(`{${JSON.stringify(text)}:${JSON.stringify(text)}}`) as Record<string, unknown>;
      for (const page of [other.search(text), other.list({ tags: [tag] }), other.list({ metadata })]) {
        expect((await page).items.map((item) => item.id)).toEqual([id]);
      }
    },
  );

  it.each<[string, (value: never) => Promise<unknown>, readonly unknown[]]>([
    ['page', (page) => tenant.list({ page }), [0, -1, 1.5, '1', Number.NaN, 2 ** 31, null, [1]]],
    ['perPage', (perPage) => tenant.list({ page: 1, perPage }), [0, -1, 501, '1', Number.POSITIVE_INFINITY]],
    ['limit', (limit) => tenant.list({ limit }), [0, -1, 501, '1', null]],
    ['limit of versions', (limit) => tenant.versions('key', { limit }), [0, -1, 501]],
    ['limit of a purge', (limit) => tenant.purgeDeleted({ limit }), [0, -1, 1_001, '1']],
    ['cursor', (cursor) => tenant.list({ cursor }), ['x', 'bmFtZQ', 'AAAA', 7, null, 'bgBub3QgYW4gaWQ']],
    ['cursor of versions', (cursor) => tenant.versions('key', { cursor }), ['x', 'bmFtZQ', 'LTE', 'MS41']],
    ['version', (version) => tenant.get('key', { version }), [0, -1, 1.5, 2 ** 31, '1', null]],
    ['version to roll back to', (version) => tenant.rollback('key', version), [0, -1, '1', undefined]],
    ['version to destroy', (version) => tenant.destroy('key', version), [0, -1, [], [0], ['1'], Array(1_001).fill(1)]],
    [
      'expected version',
      (expectedVersion) => tenant.save('key', 'x', { expectedVersion }),
      [-1, 1.5, '1', Number.NaN, null, 2 ** 31],
    ],
    [
      'expected version of an update',
      (expectedVersion) => tenant.update('key', { value: 'x' }, { expectedVersion }),
      [0],
    ],
    [
      'expiry',
      (expiresAt) => tenant.save('key', 'x', { expiresAt }),
      [new Date(Number.NaN), new Date(-1), new Date(8.64e15), 0, '2030-01-01', {}, Object.create(Date.prototype)],
    ],
    ['time before', (before) => tenant.purgeDeleted({ before }), [new Date(Number.NaN), 0, null]],
    ['description', (description) => tenant.save('key', 'x', { description }), ['x'.repeat(1_025), 'a\0', '\ud800', 7]],
    [
      'list of tags',
      (tags) => tenant.save('key', 'x', { tags }),
      [
        'red',
        [''],
        ['a\0'],
        ['x'.repeat(129)],
        [7],
        [null],
        Array(65).fill('x'),
        Array(2 ** 32 - 1),
        Array.from({ length: 65 }, (_, n) => `tag ${n}`),
        { length: 1, 0: 'x' },
      ],
    ],
    ['filter by tags', (tags) => tenant.list({ tags }), ['red', [''], Array(2 ** 32 - 1)]],
    ['filter by deletion', (deleted) => tenant.list({ deleted }), ['yes', null, true, 'constructor']],
    ['filter by expiry', (expired) => tenant.list({ expired }), ['yes', null, 1]],
    [
      'filter by metadata',
      (metadata) => tenant.list({ metadata }),
      [
        [],
        'x',
        nested(9),
        Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`m${n}`, n])),
        { a: 'x'.repeat(16_384) },
        { a: '\0' },
      ],
    ],
    ['casRequired', (casRequired) => tenant.save('key', 'x', { casRequired }), ['yes', 1, null]],
    ['maxVersions', (maxVersions) => tenant.save('key', 'x', { maxVersions }), [0, -1, 1.5, '3', 2 ** 31]],
    [
      'patch',
      (patch) => tenant.merge('key', patch),
      [null, [], 'x', 7, undefined, { a: 1n }, new Map(), new Uint8Array(1)],
    ],
  ])('as %s is refused and writes nothing', async (_what, call, values) => {
    await refused(
      values.map((value) => () => call(value as never)),
      INVALID,
    );
  });

  it('pages either by number or by cursor', async () => {
    await refused(
      [
        () => tenant.list({ page: 1, limit: 1 } as never),
        () => tenant.list({ page: 1, cursor: 'x' } as never),
        () => tenant.search('x', { perPage: 3 } as never),
      ],
      INVALID,
    );
  });

  it.each<[string, unknown]>([
    ['more than 32 levels', nested(33)],
    ['a hundred thousand levels', nested(100_000)],
    ['arrays in arrays', JSON.parse(`{"a":${'['.repeat(40)}${']'.repeat(40)}}`)],
    ['more than 16 KiB', { a: 'x'.repeat(16_384) }],
    ['more than 16 KiB of names', Object.fromEntries(Array.from({ length: 4_000 }, (_, n) => [`name ${n}`, 1]))],
    ['a million members', Object.fromEntries(Array.from({ length: 1_000_000 }, (_, n) => [n, n]))],
    ['a NUL', { a: 'x\0' }],
    ['a NUL in a name', { 'a\0': 1 }],
    ['half an emoji', { a: '\ud83d' }],
    ['NaN', { a: Number.NaN }],
    ['a date', { a: new Date() }],
  ])('as metadata is refused and writes nothing: %s', async (_what, metadata) => {
    const given = metadata as Record<string, unknown>;
    await refused(
      [
        () => tenant.save('key', 'x', { metadata: given }),
        () => tenant.update('key', { metadata: given }),
        () => tenant.save('new', 'x', { metadata: given }),
      ],
      INVALID,
    );
  });

  it('as metadata of 32 levels and with every name that objects have is kept', async () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'toJson', '$gt', 'a.b', 'a"b', ''];
    const text = `{${names.map((name) => `${JSON.stringify(name)}:${JSON.stringify(name)}`).join()}}`;
    const metadata = JSON.parse(text) as Record<string, unknown>;
    await tenant.save('named', 'x', { metadata });
    const read = (await tenant.get('named')).metadata;
    expect(Object.entries(read).toSorted()).toEqual(Object.entries(metadata).toSorted());
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
    await tenant.update('named', { metadata: JSON.parse('{"__proto__":{"polluted":true}}') });
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    await tenant.save('deep', 'x', { metadata: nested(32) as Record<string, unknown> });
    expect((await tenant.get('deep')).metadata).toEqual(nested(32));
  });

  it('as a patch does not touch prototypes', async () => {
    await tenant.save('patched', { a: 1 });
    await tenant.merge('patched', JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"p":1}}}'));
    const { value } = await tenant.get('patched');
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect(Object.hasOwn(value as object, '__proto__')).toBe(true);
    expect(JSON.stringify(value)).toContain('"polluted":true');
  });

  it('as bytes that are not UTF-8 is kept byte by byte', async () => {
    const bytes = new Uint8Array([0xff, 0xfe, 0x00, 0xc3, 0x28, 0xed, 0xa0, 0x80]);
    await tenant.save('bytes', bytes);
    expect((await tenant.get('bytes')).value).toEqual(bytes);
  });

  it('is not read twice: an option that changes while it is read is the one that was checked', async () => {
    let reads = 0;
    const shifty = {
      get expectedVersion(): number {
        return reads++ === 0 ? 7 : 1;
      },
    };
    expect(await rejection(tenant.save('key', 'x', shifty))).toMatchObject({ code: 'ERR_SECRETS_VERSION_CONFLICT' });
    expect(reads).toBe(1);
  });

  describe('of the clock, going backwards', () => {
    it('keeps versions, times and the log in order', async () => {
      const clock = fixture.tenant('clock');
      const first = await clock.save('key', 'one');
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 3_600_000 });
      const second = await clock.save('key', 'two');
      const third = await clock.update('key', { value: 'three' });
      await clock.delete('key');
      await clock.restore('key');
      expect(second).toMatchObject({ id: first.id, version: 2 });
      expect(third.version).toBe(3);
      for (const { updatedAt } of [second, third]) {
        expect(updatedAt.getTime()).toBeGreaterThanOrEqual(first.updatedAt.getTime());
      }
      const { items } = await clock.versions('key');
      const times = items.map(({ createdAt }) => createdAt.getTime());
      expect(times).toEqual(times.toSorted((a, b) => b - a));
      const rows = await auditRows(fixture.knex, 'clock');
      expect(rows.map(({ action }) => action)).toEqual([
        'tenant-key.create',
        'secret.save',
        'secret.save',
        'secret.update',
        'secret.delete',
        'secret.restore',
        'secret.versions',
      ]);
      expect((await clock.auditLog()).items.every(({ authentic }) => authentic)).toBe(true);
    });

    it('does not make a secret unchangeable whose last change somebody put beyond all time', async () => {
      const clock = fixture.tenant('beyond');
      await clock.save('key', 'one');
      const beyond = engine.dialect === 'postgres' ? 'infinity' : Number.MAX_SAFE_INTEGER;
      const edit = () => fixture.knex('secrets').where({ tenant_id: 'beyond' }).update({ updated_at: beyond });
      for (const change of [
        () => clock.save('key', 'two'),
        () => clock.update('key', { description: 'x' }),
        () => clock.destroy('key', 1),
        () => clock.delete('key'),
        () => clock.restore('key'),
      ]) {
        await edit();
        await change();
      }
      const { updatedAt } = await clock.get('key');
      expect(Math.abs(updatedAt.getTime() - Date.now())).toBeLessThan(60_000);
    });

    it('does not bring an expired secret back by itself for longer than it went back', async () => {
      const clock = fixture.tenant('expiring');
      const expiresAt = new Date(Date.now() + 50);
      await clock.save('key', 'x', { expiresAt });
      vi.useFakeTimers({ toFake: ['Date'], now: expiresAt });
      expect(await rejection(clock.get('key'))).toMatchObject({ code: 'ERR_SECRETS_EXPIRED' });
    });
  });

  it('of an id in capitals is that id', async () => {
    const { id } = await tenant.save('capitals', 'x');
    expect(await tenant.exists({ id: id.toUpperCase() })).toBe(true);
    expect(await tenant.exists({ id: ID })).toBe(false);
  });
});
