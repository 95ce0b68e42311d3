import { disableRowSecuritySql, type RowSecurityOptions, rowSecuritySql } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { verifyRowSecurity } from '../../src/isolation/self-test.ts';
import { createTables } from '../../src/tables.ts';
import { rejection } from '../support.ts';
import { type IsolatedFixture, openIsolated } from './support.ts';

const CODE = 'ERR_SECRETS_RLS_INEFFECTIVE';

/** What somebody did to the database, as its superuser, and what the store says of it. */
type Damage = readonly [damage: string, table: string | undefined, expected: RegExp];

const DAMAGES: Readonly<Record<string, Damage>> = {
  'the policies are not enabled': [
    'alter table secrets disable row level security',
    'secrets',
    /^ENABLE ROW LEVEL SECURITY$/,
  ],
  'the policies are not forced': [
    'alter table secret_versions no force row level security',
    'secret_versions',
    /^FORCE ROW LEVEL SECURITY$/,
  ],
  'a policy is missing': [
    'drop policy keywright_tenant on secret_audit_log',
    'secret_audit_log',
    /policy keywright_tenant/,
  ],
  'a policy lets everything in': [
    'alter policy keywright_tenant on secret_tenant_keys using (true)',
    'secret_tenant_keys',
    /policy keywright_tenant/,
  ],
  'a policy lets one tenant in besides': [
    "alter policy keywright_tenant on secrets using (tenant_id = nullif((select current_setting('keywright.tenant_id', true)), '') or tenant_id = 'mallory')",
    'secrets',
    /policy keywright_tenant/,
  ],
  'a policy compares with another setting': [
    "alter policy keywright_tenant on secrets using (tenant_id = nullif((select current_setting('other.tenant_id', true)), ''))",
    'secrets',
    /policy keywright_tenant/,
  ],
  'a policy checks no new rows': [
    'alter policy keywright_tenant on secrets with check (true)',
    'secrets',
    /policy keywright_tenant/,
  ],
  'a policy is for reading only': [
    `drop policy keywright_tenant on secrets;
     create policy keywright_tenant on secrets for select
       using (tenant_id = nullif((select current_setting('keywright.tenant_id', true)), ''))`,
    'secrets',
    /policy keywright_tenant/,
  ],
  'a second policy lets more in': [
    'create policy more on secrets for select to $app using (is_deleted)',
    'secrets',
    /no further policy/,
  ],
  'a second policy lets everybody in': [
    'create policy more on secret_changes using (true)',
    'secret_changes',
    /no further policy/,
  ],
  'the role is a superuser': ['alter role $app superuser', undefined, /SUPERUSER/],
  'the role has BYPASSRLS': ['alter role $app bypassrls', undefined, /BYPASSRLS/],
  'the role can become one that has BYPASSRLS': [
    'alter role $owner bypassrls; grant $owner to $app',
    undefined,
    /BYPASSRLS/,
  ],
  'the role owns a table': ['alter table secrets owner to $app', 'secrets', /another owner/],
  'the role can become the owner': ['grant $owner to $app', 'secret_migrations', /another owner/],
  'the role can become the maintenance role': ['grant $maintenance to $app', 'secret_root_keys', /no DELETE/],
  'the role may empty a table': ['grant truncate on secret_versions to $app', 'secret_versions', /TRUNCATE/],
  'everybody may empty a table': ['grant truncate on secret_audit_log to public', 'secret_audit_log', /TRUNCATE/],
  'the role may refer to a table, and so ask for its keys': [
    'grant references on secrets to $app',
    'secrets',
    /REFERENCES/,
  ],
  'the role may add triggers': ['grant trigger on secrets to $app', 'secrets', /TRIGGER/],
  'the role may edit the audit log': [
    'grant update (context) on secret_audit_log to $app',
    'secret_audit_log',
    /UPDATE/,
  ],
  'the role may delete from the audit log': ['grant delete on secret_audit_log to $app', 'secret_audit_log', /DELETE/],
  'the role may place rows in the tree': [
    'grant insert (leaf_index) on secret_audit_log to $app',
    'secret_audit_log',
    /leaf_index/,
  ],
  'the role may write checkpoints': [
    'grant insert on secret_audit_checkpoints to $app',
    'secret_audit_checkpoints',
    /INSERT/,
  ],
  'the role may destroy keys': ['grant update on secret_tenant_keys to $app', 'secret_tenant_keys', /UPDATE/],
  'the role may put keys under others': [
    'grant update (wrapped) on secret_tenant_keys to $app',
    'secret_tenant_keys',
    /UPDATE/,
  ],
  'the role may say which root key is right': [
    'grant update (check_value) on secret_root_keys to $app',
    'secret_root_keys',
    /UPDATE/,
  ],
  'the role may write down migrations': ['grant insert on secret_migrations to $app', 'secret_migrations', /INSERT/],
  'the role may place changes in the feed': [
    'grant insert (position) on secret_changes to $app',
    'secret_changes',
    /position/,
  ],
  'the role may delete keys': ['grant delete on secret_tenant_keys to $app', 'secret_tenant_keys', /DELETE/],
  'the role may retire root keys': ['grant update (status) on secret_root_keys to $app', 'secret_root_keys', /UPDATE/],
  'the role may take leases': ['grant update on secret_leases to $app', 'secret_leases', /UPDATE/],
  'the role may replicate the whole server': ['alter role $app replication', undefined, /REPLICATION/],
  "the role may read the server's files": ['grant pg_read_server_files to $app', undefined, /files/],
  'somebody more powerful has taken on the role': [
    'alter role $maintenance superuser; set local session authorization $maintenance',
    undefined,
    /SUPERUSER/,
  ],
  'the maintenance role has taken on the role': [
    'grant $app to $maintenance; set local session authorization $maintenance',
    'secret_tenant_keys',
    /no further policy/,
  ],
  'a tenant is set for the role in other letters': [
    `alter role $app set "Keywright.TENANT_id" = 'acme'`,
    undefined,
    /no tenant/,
  ],
  'a tenant is set for the role': ["alter role $app set keywright.tenant_id = 'acme'", undefined, /no tenant/],
  'a tenant is set for the database': [
    "alter database $database set keywright.tenant_id = 'acme'",
    undefined,
    /no tenant/,
  ],
  'a superuser has made a view for the role': [
    'create view leak as select * from secrets; grant select on leak to $app',
    'leak',
    /no view/,
  ],
  'a superuser has made a view that the role may only delete from': [
    'create view leak as select * from secrets; grant delete on leak to $app',
    'leak',
    /no view/,
  ],
  'somebody with a policy of their own has made a view for the role': [
    `create policy reports on secrets for select to $owner using (tenant_id like '%');
     create view leak as select * from secrets; alter view leak owner to $owner; grant select on leak to $app`,
    'leak',
    /no view/,
  ],
  'a materialized view holds rows of all': [
    'create materialized view leak as select tenant_id, name from secrets; grant select (name) on leak to $app',
    'leak',
    /no view/,
  ],
  'a function is missing': ['drop function secret_get', 'public.secret_get', /function of this release/],
  'a function is of another release': [
    "do $$ begin execute replace(pg_get_functiondef('secret_audit'::regproc), '$1[1]', '$1[2]'); end $$",
    'public.secret_audit',
    /function of this release/,
  ],
  "a function runs with its owner's rights": [
    "do $$ begin execute format('alter function %s security definer', 'secret_get'::regproc::regprocedure); end $$",
    'public.secret_get',
    /invoker/,
  ],
  'the search path of a function is not pinned': [
    "do $$ begin execute format('alter function %s reset search_path', 'secret_get'::regproc::regprocedure); end $$",
    'public.secret_get',
    /search_path/,
  ],
  'the role owns a function': [
    "grant create on schema public to $app; do $$ begin execute format('alter function %s owner to $app', 'secret_get'::regproc::regprocedure); end $$",
    'public.secret_get',
    /another owner/,
  ],
  'a function may not be called': [
    "do $$ begin execute format('revoke execute on function %s from $app', 'secret_get'::regproc::regprocedure); end $$",
    'public.secret_get',
    /EXECUTE/,
  ],
};

class Undone extends Error {}

describeEachEngine(
  'the self-test of row-level security',
  (engine) => {
    let fixture: IsolatedFixture;

    beforeAll(async () => {
      fixture = await openIsolated(engine);
    });
    afterAll(async () => {
      await fixture?.close();
    });

    const named = (sql: string): string =>
      sql
        .replaceAll('$app', fixture.roles.app)
        .replaceAll('$owner', fixture.roles.owner)
        .replaceAll('$maintenance', fixture.roles.maintenance)
        .replaceAll('$database', new URL(fixture.url()).pathname.slice(1));

    it.each(Object.entries(DAMAGES))('refuses when %s', async (_title, [damage, table, expected]) => {
      const { app } = fixture.roles;
      const damaged = fixture.admin.transaction(async (trx) => {
        await trx.raw(named(damage).replaceAll('?', '\\?'));
        if (!damage.includes('session authorization')) await trx.raw('set local session authorization ??', [app]);
        await trx.raw('set local role ??', [app]);
        const error = await rejection(verifyRowSecurity(trx, createTables(undefined)));
        expect(error).toMatchObject({
          code: CODE,
          retryable: false,
          context: { expected: expect.stringMatching(expected), ...(table === undefined ? {} : { table }) },
        });
        throw new Undone();
      });
      expect(await rejection(damaged)).toBeInstanceOf(Undone);
    });

    it('accepts the same transaction undamaged', async () => {
      await fixture.admin.transaction(async (trx) => {
        await trx.raw('set local session authorization ??', [fixture.roles.app]);
        await verifyRowSecurity(trx, createTables(undefined));
      });
    });

    it('refuses CREATEROLE where the role could make itself a member of any other', async () => {
      const { app, maintenance } = fixture.roles;
      const undone = fixture.admin.transaction(async (trx) => {
        await trx.raw('alter role ?? createrole', [app]);
        await trx.raw('set local session authorization ??', [app]);
        const verified = await verifyRowSecurity(trx, createTables(undefined)).catch((error: unknown) => error);
        const granted = await trx.raw('grant ?? to ??', [maintenance, app]).catch(() => 'denied');
        if (granted === 'denied') expect(verified).toBeUndefined();
        else expect(verified).toMatchObject({ code: CODE, context: { expected: 'a role without CREATEROLE' } });
        throw new Undone();
      });
      expect(await rejection(undone)).toBeInstanceOf(Undone);
    });

    it('is run by a store at its start, and again after a refusal', async () => {
      const store = fixture.open();
      fixture.psql('alter table secrets no force row level security', 'owner');
      expect(await rejection(store.ready())).toMatchObject({ code: CODE, context: { table: 'secrets' } });
      expect(await rejection(store.tenant('a', { actor: 'x' }).get('key'))).toMatchObject({ code: CODE });
      fixture.psql('alter table secrets force row level security', 'owner');
      await store.ready();
    });

    it('passes once the SQL has been run, as often as one likes, and takes members of the application role', async () => {
      const { app, maintenance } = fixture.roles;
      const sql = rowSecuritySql({ appRole: app, maintenanceRole: maintenance });
      fixture.psql(sql, 'owner');
      fixture.psql(sql, 'owner');
      await fixture.open().ready();
      const member = `${app}_member`;
      fixture.psql(`create role ${member} login password 'member'; grant ${app} to ${member};`);
      try {
        const url = Object.assign(new URL(fixture.url()), { username: member, password: 'member' }).href;
        const store = fixture.open({ knex: fixture.connect(url) });
        await store.ready();
        await store.close();
      } finally {
        fixture.psql(`drop role ${member}`);
      }
    });

    it("leaves functions alone that are somebody else's, whatever their names", async () => {
      const { app, maintenance } = fixture.roles;
      fixture.psql(`create function secret_get(integer) returns integer language sql as 'select $1';
        create function secret_get(text) returns text language sql as 'select $1';`);
      const theirs = (): string => fixture.psql("select secret_get(7), secret_get('x'::text)").trim();
      try {
        fixture.psql(disableRowSecuritySql(), 'owner');
        expect(theirs()).toBe('7|x');
        fixture.psql(rowSecuritySql({ appRole: app, maintenanceRole: maintenance }), 'owner');
        expect(theirs()).toBe('7|x');
        await fixture.open().ready();
      } finally {
        fixture.psql('drop function secret_get(integer); drop function secret_get(text)');
      }
    });

    it("refuses the superuser's and the maintenance role's pools as the application's, and as its audit pool", async () => {
      for (const pool of [fixture.admin, fixture.maintenance]) {
        const other = fixture.connect(fixture.url('maintenance'));
        const store = fixture.open({ knex: pool, rowSecurity: { maintenance: other } });
        expect(await rejection(store.ready())).toMatchObject({ code: CODE });
        expect(await rejection(fixture.open({ auditKnex: pool }).ready())).toMatchObject({ code: CODE });
      }
    });

    it("looks at the role of a caller's transaction too, where that is where the store is used first", async () => {
      const auditKnex = fixture.connect(fixture.url('app'));
      const rowSecurity = { maintenance: fixture.connect(fixture.url('maintenance')) };
      for (const knex of [fixture.admin, fixture.maintenance]) {
        const store = fixture.open({ knex, auditKnex, rowSecurity });
        const listed = knex.transaction((trx) => store.tenant('a', { actor: 'x', trx }).list());
        expect(await rejection(listed)).toMatchObject({ code: CODE });
      }
      const store = fixture.open({ auditKnex });
      await fixture.app.transaction((trx) => store.tenant('a', { actor: 'x', trx }).list());
    });

    it('refuses a database that the SQL was never run on, or undone', async () => {
      const { app, maintenance } = fixture.roles;
      fixture.psql(disableRowSecuritySql(), 'owner');
      try {
        expect(await rejection(fixture.open().ready())).toMatchObject({ code: CODE });
        const { rows } = await fixture.admin.raw(
          `select (select count(*) from pg_policy)::int as policies,
             (select count(*) from pg_class where relrowsecurity or relforcerowsecurity)::int as tables,
             (select count(*) from pg_proc where proname like 'secret%')::int as functions`,
        );
        expect(rows).toEqual([{ policies: 0, tables: 0, functions: 0 }]);
        await fixture.open({ rowSecurity: undefined }).ready();
      } finally {
        fixture.psql(rowSecuritySql({ appRole: app, maintenanceRole: maintenance }), 'owner');
      }
    });

    it('holds in a schema of its own, under a prefix, whatever the search path', async () => {
      const other = await openIsolated(engine, { schema: 'vault', prefix: 'kw_' });
      try {
        await other.store.ready();
        other.psql('alter table vault.kw_secrets no force row level security');
        expect(await rejection(other.open().ready())).toMatchObject({
          code: CODE,
          context: { table: 'vault.kw_secrets' },
        });
      } finally {
        await other.close();
      }
    });
  },
  { engines: 'postgres' },
);

describeEachEngine('row-level security', (engine) => {
  it('is refused on SQLite, and a maintenance pool that is none', async () => {
    const { createKeyring, generateKeyBase64 } = await import('@keywright/envelope');
    const { createSecretStore } = await import('@keywright/secrets');
    const { default: createKnex } = await import('knex');
    const database = await engine.createDatabase();
    const knex = createKnex(database.knexConfig);
    try {
      const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
      const make = (rowSecurity: unknown): unknown =>
        createSecretStore({ knex, root, rowSecurity: rowSecurity as RowSecurityOptions });
      const bad = engine.dialect === 'sqlite' ? [{}] : [7, 'on', null, { maintenance: 7 }, { maintenance: knex }];
      for (const rowSecurity of bad) {
        expect(() => make(rowSecurity)).toThrow(expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT' }));
      }
      if (engine.dialect === 'postgres') expect(make({})).toBeDefined();
    } finally {
      await knex.destroy();
      await database.drop();
    }
  });
});
