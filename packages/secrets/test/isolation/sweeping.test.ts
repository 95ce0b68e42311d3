import { randomBytes } from 'node:crypto';
import { rowSecuritySql } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { rejection } from '../support.ts';
import { type IsolatedFixture, openIsolated, TENANT_TABLE_NAMES } from './support.ts';

const BLIND = 'ERR_SECRETS_RLS_BLIND';

describeEachEngine(
  'work across tenants under row-level security',
  (engine) => {
    let fixture: IsolatedFixture;

    beforeAll(async () => {
      fixture = await openIsolated(engine);
      await fixture.tenant('a').save('key', 'value of a');
      await fixture.tenant('b').save('key', 'value of b');
    });
    afterAll(async () => {
      await fixture?.close();
    });
    let damaged = false;
    const damage = async (sql: string): Promise<void> => {
      damaged = true;
      await fixture.admin.raw(sql);
    };
    afterEach(async () => {
      if (!damaged) return;
      damaged = false;
      const { app, maintenance, owner } = fixture.roles;
      await fixture.admin.transaction(async (trx) => {
        await trx.raw('set local role ??', [owner]);
        await trx.raw(rowSecuritySql({ appRole: app, maintenanceRole: maintenance }));
      });
    });

    /** Tries a rotation to a fresh root key: one that is blind would retire the old key and lose every secret. */
    async function rotation(maintenance: Knex | undefined): Promise<Error & { code?: string; context?: object }> {
      const kid = `v${Math.random().toString(36).slice(2)}`;
      const before = fixture.root.activeKid;
      fixture.root.add(kid, randomBytes(32));
      fixture.root.activate(kid);
      const store = fixture.open({ rowSecurity: { maintenance } });
      try {
        return await rejection(store.rotateRoot({ actor: 'x' }));
      } finally {
        fixture.root.activate(before);
        await store.close();
      }
    }
    const nothingRotated = async (): Promise<void> => {
      expect(await fixture.admin('secret_root_keys').pluck('status')).toEqual(['active']);
      expect(await fixture.admin('secret_tenant_keys').distinct('root_kid')).toEqual([{ root_kid: 'v1' }]);
    };

    it('is refused without a maintenance pool', async () => {
      expect(await rotation(undefined)).toMatchObject({ code: BLIND, retryable: false });
      await nothingRotated();
    });

    it('is refused by a pool of the application role, whatever tenant is set on its connections', async () => {
      expect(await rotation(fixture.connect(fixture.url('app')))).toMatchObject({ code: BLIND });
      for (const tenant of ['$system', 'a']) {
        const options = `-c keywright.tenant_id=${tenant}`;
        const connection = { connectionString: fixture.url('app'), options };
        expect(await rotation(fixture.connect('', { connection }))).toMatchObject({ code: BLIND });
      }
      await nothingRotated();
    });

    it('is refused by a pool of the owner, who is under the policies as everybody else', async () => {
      await damage(`grant select on all tables in schema public to ${fixture.roles.owner}`);
      expect(await rotation(fixture.connect(fixture.url('owner')))).toMatchObject({ code: BLIND });
      await nothingRotated();
    });

    it.each(TENANT_TABLE_NAMES)('is refused where the policy for it is missing on %s', async (table) => {
      const blind = { code: BLIND, context: { table } };
      await damage(`drop policy keywright_maintenance on ${table}`);
      expect(await rotation(fixture.connect(fixture.url('maintenance')))).toMatchObject(blind);
      await damage(
        `create policy keywright_maintenance on ${table} to ${fixture.roles.maintenance} using (tenant_id <> 'a')`,
      );
      expect(await rotation(fixture.connect(fixture.url('maintenance')))).toMatchObject(blind);
      await nothingRotated();
    });

    it('is refused as soon as its policy is gone, however short a time ago it was proved', async () => {
      await fixture.store.retireKey('v1', { actor: 'x' });
      await damage('drop policy keywright_maintenance on secret_tenant_keys');
      expect(await rejection(fixture.store.retireKey('v1', { actor: 'x' }))).toMatchObject({ code: BLIND });
      expect(await rotation(fixture.maintenance)).toMatchObject({ code: BLIND });
      await nothingRotated();
    });

    it('is refused where another policy takes rows away', async () => {
      await damage("create policy narrower on secrets as restrictive using (name <> 'key')");
      const error = await rotation(fixture.connect(fixture.url('maintenance')));
      await damage('drop policy narrower on secrets');
      expect(error).toMatchObject({ code: BLIND, context: { table: 'secrets' } });
      await nothingRotated();
    });

    it('is refused by the superuser of another database', async () => {
      const other = await openIsolated(engine);
      try {
        await other.tenant('a').save('key', 'x');
        expect(await rotation(other.maintenance)).toMatchObject({ code: BLIND });
        expect(await rotation(other.admin)).toMatchObject({ code: BLIND });
      } finally {
        await other.close();
      }
      await nothingRotated();
    });

    it('knows the root keys that are in use although the application role does not see who uses them', async () => {
      const { createKeyring, generateKeyBase64 } = await import('@keywright/envelope');
      const wrong = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
      expect(await rejection(fixture.open({ root: wrong }).ready())).toMatchObject({
        code: 'ERR_SECRETS_ROOT_KEY_WRONG',
      });
      const missing = createKeyring({ keys: { v2: generateKeyBase64() }, activeKid: 'v2' });
      for (const rowSecurity of [{}, { maintenance: fixture.maintenance }]) {
        const error = await rejection(fixture.open({ root: missing, rowSecurity }).ready());
        expect(error).toMatchObject({ code: 'ERR_SECRETS_ROOT_KEY_MISSING' });
      }
    });

    it("does not make a second audit key where the store's own rows were removed", async () => {
      const { admin } = fixture;
      const keys = await admin('secret_tenant_keys').where({ tenant_id: '$system' });
      await admin('secret_tenant_keys').where({ tenant_id: '$system' }).delete();
      await admin('secret_audit_log').where({ tenant_id: '$system' }).delete();
      const error = await rejection(fixture.open().ready());
      await admin('secret_tenant_keys').insert(keys);
      expect(error).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
    });

    it('sees every tenant by the maintenance role, and nobody sees more afterwards', async () => {
      fixture.root.add('v2', new Uint8Array(32).fill(2));
      fixture.root.activate('v2');
      expect(await fixture.store.rotateRoot({ actor: 'x' })).toMatchObject({ rewrapped: 3, retired: ['v1'] });
      expect((await fixture.tenant('a').get('key')).value).toBe('value of a');
      expect(await fixture.app('secrets').pluck('tenant_id')).toEqual([]);
      expect(await fixture.app('secret_tenant_keys').pluck('tenant_id')).toEqual([]);
    });
  },
  { engines: 'postgres' },
);
