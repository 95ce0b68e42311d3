import { createKeyring, generateKeyBase64, isKeywrightError } from '@keywright/envelope';
import { createSecretStore, migrateSecretStore, type TenantSecrets } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex from 'knex';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, openFixture, openUnmigrated, rejection, wrapperOf } from './support.ts';

const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });

const throwing = new Proxy(
  {},
  {
    get: () => {
      throw new Error('no');
    },
  },
);

describeEachEngine('bad input', (engine) => {
  let fixture: Fixture;
  let tenant: TenantSecrets;

  beforeAll(async () => {
    fixture = await openFixture(engine);
    tenant = fixture.tenant('acme');
    await tenant.save('key', 'x');
  });
  afterAll(async () => {
    await fixture?.close();
  });

  async function counts(): Promise<readonly number[]> {
    const tables = ['secrets', 'secret_versions', 'secret_tenant_keys', 'secret_audit_log'];
    return await Promise.all(tables.map(async (table) => (await fixture.knex(table).select('tenant_id')).length));
  }

  it.each([
    ['an empty tenant', () => fixture.tenant('')],
    ['a tenant of 256 characters', () => fixture.tenant('t'.repeat(256))],
    ['a tenant with a control character', () => fixture.tenant('a\u0000b')],
    ['a tenant with a lone surrogate', () => fixture.tenant('\ud800')],
    ["the store's own tenant", () => fixture.tenant('$system')],
    ['a tenant that is no string', () => fixture.tenant(7 as never)],
    ['no actor', () => fixture.store.tenant('acme', {} as never)],
    ['no tenant options', () => fixture.store.tenant('acme', undefined as never)],
    ['an empty actor', () => fixture.store.tenant('acme', { actor: '' })],
    ['tenant options that throw', () => fixture.store.tenant('acme', throwing as never)],
    [
      'request facts that are no JSON',
      () => fixture.store.tenant('acme', { actor: 'a', request: { at: new Date() } as never }),
    ],
    ['request facts that are no object', () => fixture.store.tenant('acme', { actor: 'a', request: 'x' as never })],
  ])('refuses %s at once', (_what, attempt) => {
    expect(attempt).toThrowError(
      expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT', name: 'SecretsError' }),
    );
  });

  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;

  it.each<[string, string, () => Promise<unknown>]>([
    ['an empty name', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.save('', 'x')],
    ['a name of 256 characters', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.get('n'.repeat(256))],
    ['a name with a line break', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.get('a\nb')],
    ['a name that is no string', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.delete({} as never)],
    ['undefined as a value', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.save('new', undefined as never)],
    ['a function as a value', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.save('new', (() => 1) as never)],
    ['a bigint in a value', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.save('new', { n: 1n })],
    ['a cyclic value', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.save('new', cyclic)],
    ['text with a lone surrogate', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.save('new', 'a\udfffb')],
    ['text over the limit', 'ERR_SECRETS_VALUE_TOO_LARGE', () => tenant.save('new', 'x'.repeat(1_048_577))],
    ['bytes over the limit', 'ERR_SECRETS_VALUE_TOO_LARGE', () => tenant.save('new', new Uint8Array(1_048_577))],
    [
      'JSON over the limit',
      'ERR_SECRETS_VALUE_TOO_LARGE',
      () => tenant.update('key', { value: { x: 'é'.repeat(6e5) } }),
    ],
    [
      'metadata that is no object',
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => tenant.save('new', 'x', { metadata: [] as never }),
    ],
    ['metadata with a NUL', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.save('new', 'x', { metadata: { a: '\0' } })],
    [
      'metadata with a bad name',
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => tenant.save('new', 'x', { metadata: { '\ud800': 1 } }),
    ],
    [
      'metadata over 16 KiB',
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => tenant.update('key', { metadata: { a: 'x'.repeat(16_384) } }),
    ],
    ['an empty authType', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.save('new', 'x', { authType: '' })],
    [
      'an authType of 65 characters',
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => tenant.save('new', 'x', { authType: 'a'.repeat(65) }),
    ],
    ['null as options of save', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.save('new', 'x', null as never)],
    ['null as options of get', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.get('key', null as never)],
    ['null as options of list', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.list(null as never)],
    ['null as options of auditLog', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.auditLog(null as never)],
    ['text as options of save', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.save('new', 'x', 'live' as never)],
    ['options that throw', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.save('new', 'x', throwing as never)],
    ['changes that throw', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.update('key', throwing as never)],
    ['a page that throws', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.list(throwing as never)],
    [
      'missing changes',
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => (tenant.update as (name: string) => Promise<unknown>).call(tenant, 'key'),
    ],
    ['null as changes', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.update('key', null as never)],
    ['null as options of migrate', 'ERR_SECRETS_INVALID_ARGUMENT', () => fixture.store.migrate(null as never)],
    ['a migration without options', 'ERR_SECRETS_INVALID_ARGUMENT', () => migrateSecretStore(undefined as never)],
    ['a migration without knex', 'ERR_SECRETS_INVALID_ARGUMENT', () => migrateSecretStore({} as never)],
    [
      'a migration with tables that are null',
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => migrateSecretStore({ knex: fixture.knex, tables: null as never }),
    ],
    ['a rotation with null', 'ERR_SECRETS_INVALID_ARGUMENT', () => fixture.store.rotateRoot(null as never)],
    [
      'a rotation with a signal that is none',
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => fixture.store.rotateRoot({ actor: 'x', signal: {} as never }),
    ],
    [
      'a rotation with a callback that is none',
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => fixture.store.rotateRoot({ actor: 'x', onProgress: 1 as never }),
    ],
    ['no changes', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.update('key', {})],
    ['version 0', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.get('key', { version: 0 })],
    ['version 1.5', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.get('key', { version: 1.5 })],
    ['version 2^31', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.get('key', { version: 2 ** 31 })],
    ['a page of 0', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.list({ limit: 0 })],
    ['a page of 501', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.list({ limit: 501 })],
    ['a cursor of somebody else', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.list({ cursor: "' or 1=1" })],
    ['an audit cursor that is no id', 'ERR_SECRETS_INVALID_ARGUMENT', () => tenant.auditLog({ cursor: 'c2VjcmV0' })],
    ['a rotation without an actor', 'ERR_SECRETS_INVALID_ARGUMENT', () => fixture.store.rotateRoot({} as never)],
  ])('refuses %s and writes nothing', async (_what, code, attempt) => {
    const before = await counts();
    const error = await rejection(attempt());
    expect(error).toMatchObject({ code, name: 'SecretsError', retryable: false });
    expect(await counts()).toEqual(before);
  });

  it("takes names that are SQL, wildcards or another object's members as plain names", async () => {
    for (const name of ["'; drop table secrets; --", '%', '_', 'constructor', '__proto__', '🔑', ' a ']) {
      await tenant.save(name, `value of ${name}`);
      expect((await tenant.get(name)).value).toBe(`value of ${name}`);
    }
    expect(await tenant.exists('toString')).toBe(false);
  });

  describe('of the database', () => {
    it('says that it is not migrated', async () => {
      const unmigrated = await openUnmigrated(engine);
      try {
        for (const attempt of [
          () => unmigrated.store.ready(),
          () => unmigrated.tenant('acme').save('key', 'x'),
          () => unmigrated.tenant('acme').get('key'),
          () => unmigrated.store.rotateRoot({ actor: 'x' }),
        ]) {
          expect(await rejection(attempt())).toMatchObject({ code: 'ERR_SECRETS_NOT_MIGRATED' });
        }
        // and is not stuck with that
        await unmigrated.store.migrate();
        await unmigrated.tenant('acme').save('key', 'x');
      } finally {
        await unmigrated.close();
      }
    });

    it('says that its schema is newer', async () => {
      const newer = await openFixture(engine);
      try {
        await newer.knex('secret_migrations').insert({ name: '999-later', applied_at: new Date() });
        expect(await rejection(newer.tenant('acme').get('key'))).toMatchObject({ code: 'ERR_SECRETS_SCHEMA_NEWER' });
        expect(await rejection(newer.store.migrate())).toMatchObject({ code: 'ERR_SECRETS_SCHEMA_NEWER' });
      } finally {
        await newer.close();
      }
    });

    it('does not touch a table of the same name that is not ours, and works beside it under a prefix', async () => {
      const shared = await openUnmigrated(engine);
      try {
        await shared.knex.schema.createTable('secrets', (table) => table.text('theirs'));
        const error = await rejection(shared.store.migrate());
        expect(error).toMatchObject({ code: 'ERR_SECRETS_FOREIGN_TABLE', context: { table: 'secrets' } });
        expect(await shared.knex.schema.hasTable('secret_versions')).toBe(false);
        const prefixed = shared.reopen(shared.root, { tables: { prefix: 'keywright_' } });
        await prefixed.migrate();
        await prefixed.tenant('acme', { actor: 'x' }).save('key', 'x');
        expect((await prefixed.tenant('acme', { actor: 'x' }).get('key')).value).toBe('x');
        expect(await shared.knex('secrets').select('*')).toEqual([]);
      } finally {
        await shared.close();
      }
    });

    it.each([
      ['other columns', ['id']],
      ['rows of another tool', ['name', 'applied_at']],
    ])('does not take a table of migrations with %s for its own', async (_what, columns) => {
      const shared = await openUnmigrated(engine);
      try {
        await shared.knex.schema.createTable('secret_migrations', (table) => {
          for (const column of columns) table.text(column);
        });
        await shared
          .knex('secret_migrations')
          .insert(Object.fromEntries(columns.map((column) => [column, '2020_init'])));
        expect(await rejection(shared.store.migrate())).toMatchObject({
          code: 'ERR_SECRETS_FOREIGN_TABLE',
          context: { table: 'secret_migrations' },
        });
        expect(await shared.knex.schema.hasTable('secrets')).toBe(false);
      } finally {
        await shared.close();
      }
    });

    it('says that it is closed', async () => {
      const closed = await openFixture(engine);
      await closed.tenant('acme').save('key', 'x');
      await closed.knex.destroy();
      const { store } = closed;
      for (const attempt of [
        () => closed.tenant('acme').get('key'),
        () => closed.tenant('acme').save('key', 'y'),
        () => store.rotateRoot({ actor: 'x' }),
        () => store.migrate(),
      ]) {
        expect(await rejection(attempt())).toMatchObject({ code: 'ERR_SECRETS_DATABASE_CLOSED' });
      }
      await closed.close();
    });
  });

  if (engine.name === 'postgres') {
    it('keeps its tables in a schema of its own', async () => {
      await fixture.knex.raw('create schema vault');
      const store = fixture.reopen(fixture.root, { tables: { schema: 'vault', prefix: 'kw_' } });
      await store.migrate();
      await store.tenant('acme', { actor: 'x' }).save('key', 'in a schema');
      expect((await store.tenant('acme', { actor: 'x' }).get('key')).value).toBe('in a schema');
      expect(await fixture.knex('vault.kw_secrets').select('name')).toEqual([{ name: 'key' }]);
    });

    it('says that its schema does not exist', async () => {
      const store = fixture.reopen(fixture.root, { tables: { schema: 'nowhere' } });
      expect(await rejection(store.migrate())).toMatchObject({
        code: 'ERR_SECRETS_INVALID_ARGUMENT',
        context: { argument: 'tables.schema' },
      });
    });

    it("looks for foreign tables in the store's schema, not in another", async () => {
      await fixture.knex.raw('create schema theirs');
      await fixture.knex.raw('create table theirs.secrets (theirs text)');
      await fixture.knex.raw('create schema ours');
      const store = (schema: string) => fixture.reopen(fixture.root, { tables: { schema } });
      expect(await rejection(store('theirs').migrate())).toMatchObject({ code: 'ERR_SECRETS_FOREIGN_TABLE' });
      expect(await store('ours').migrate()).toMatchObject({ pending: [] });
    });

    it('that is unreachable is retryable', async () => {
      const log = { warn: () => undefined, error: () => undefined };
      const knex = createKnex({ client: 'pg', connection: { host: '127.0.0.1', port: 1, user: 'nobody' }, log });
      const store = createSecretStore({ knex, root });
      expect(await rejection(store.ready())).toMatchObject({ code: 'ERR_SECRETS_DATABASE', retryable: true });
      await knex.destroy();
    });
  } else {
    it('refuses a schema, which SQLite has not', async () => {
      const attempt = migrateSecretStore({ knex: fixture.knex, tables: { schema: 'main' } });
      expect(await rejection(attempt)).toMatchObject({ code: 'ERR_SECRETS_INVALID_ARGUMENT' });
    });
  }
});

describe('bad configuration', () => {
  it.each<[string, string, () => unknown]>([
    ['no options', 'ERR_SECRETS_INVALID_ARGUMENT', () => createSecretStore(undefined as never)],
    ['no knex', 'ERR_SECRETS_INVALID_ARGUMENT', () => createSecretStore({ root } as never)],
    [
      'no root key',
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => createSecretStore({ knex: createKnex({ client: 'pg' }), root: undefined as never }),
    ],
    [
      'a limit of 0',
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => createSecretStore({ knex: createKnex({ client: 'pg' }), root, maxValueBytes: 0 }),
    ],
    ...(['cachedKeys', 'cachedKeyTtlMs', 'rootTimeoutMs'] as const).map((name): [string, string, () => unknown] => [
      `${name} that is no number`,
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => createSecretStore({ knex: createKnex({ client: 'pg' }), root, [name]: Number.NaN }),
    ]),
    [
      'a prefix that is SQL',
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => createSecretStore({ knex: createKnex({ client: 'pg' }), root, tables: { prefix: 'x"; --' } }),
    ],
    ['a function as knex', 'ERR_SECRETS_INVALID_ARGUMENT', () => createSecretStore({ knex: (() => 1) as never, root })],
    ['options that throw', 'ERR_SECRETS_INVALID_ARGUMENT', () => createSecretStore(throwing as never)],
    [
      'tables that are null',
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => createSecretStore({ knex: createKnex({ client: 'pg' }), root, tables: null as never }),
    ],
    [
      'a prefix that is null',
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => createSecretStore({ knex: createKnex({ client: 'pg' }), root, tables: { prefix: null as never } }),
    ],
    ...(['wrapKey', 'unwrapKey', 'checkValue', 'verifyCheckValue', 'provider', 'activeKid'] as const).map(
      (member): [string, string, () => unknown] => [
        `a root key without ${member}`,
        'ERR_SECRETS_INVALID_ARGUMENT',
        () =>
          createSecretStore({
            knex: createKnex({ client: 'pg' }),
            root: wrapperOf(root, { [member]: undefined } as never),
          }),
      ],
    ),
    [
      'a time that no timer can wait',
      'ERR_SECRETS_INVALID_ARGUMENT',
      () => createSecretStore({ knex: createKnex({ client: 'pg' }), root, rootTimeoutMs: 2 ** 31 }),
    ],
    [
      'CockroachDB',
      'ERR_SECRETS_UNSUPPORTED_DATABASE',
      () => createSecretStore({ knex: createKnex({ client: 'cockroachdb' }), root }),
    ],
    [
      'another database',
      'ERR_SECRETS_UNSUPPORTED_DATABASE',
      () => createSecretStore({ knex: createKnex({ client: class extends createKnex.Client {} }), root }),
    ],
  ])('refuses %s', (_what, code, attempt) => {
    expect(attempt).toThrowError(expect.objectContaining({ code }));
    try {
      attempt();
    } catch (error) {
      expect(isKeywrightError(error)).toBe(true);
    }
  });
});
