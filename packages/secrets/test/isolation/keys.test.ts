import { randomBytes } from 'node:crypto';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rejection } from '../support.ts';
import { type IsolatedFixture, openIsolated } from './support.ts';

const ACTOR = { actor: 'operator' } as const;

describeEachEngine(
  'work on keys under row-level security',
  (engine) => {
    let fixture: IsolatedFixture;

    beforeAll(async () => {
      fixture = await openIsolated(engine);
      for (const tenant of ['a', 'b']) {
        await fixture.tenant(tenant).save('one', `1 of ${tenant}`);
        await fixture.tenant(tenant).save('two', `2 of ${tenant}`);
      }
    });
    afterAll(async () => {
      await fixture?.close();
    });

    it('reaches what it is about, and no more', async () => {
      const { store } = fixture;
      const other = await fixture.admin('secret_versions').where({ tenant_id: 'b' }).orderBy('secret_id');
      const { previous, keyId } = await store.rotateTenant('a', ACTOR);
      expect(await store.retireKey({ tenantId: 'a', keyId }, ACTOR)).toMatchObject({ versions: 2, bindings: 2 });
      await store.destroyKey({ tenantId: 'a', keyId: previous[0] ?? '' }, ACTOR);
      expect(await store.reencryptTenant('a', ACTOR)).toMatchObject({ versions: 2 });
      await store.disableKey({ tenantId: 'a', keyId }, ACTOR);
      expect(await rejection(fixture.tenant('a').get('one'))).toMatchObject({ code: 'ERR_SECRETS_KEY_UNAVAILABLE' });
      await store.enableKey({ tenantId: 'a', keyId }, ACTOR);
      expect((await fixture.tenant('a').get('one')).value).toBe('1 of a');
      expect(await fixture.admin('secret_versions').where({ tenant_id: 'b' }).orderBy('secret_id')).toEqual(other);
      fixture.root.add('v2', randomBytes(32));
      fixture.root.activate('v2');
      expect(await store.rotateRoot(ACTOR)).toMatchObject({ rewrapped: 3, retired: ['v1'] });
      await store.rotateAuditKey(ACTOR);
      const shred = { ...ACTOR, confirm: 'a', backupHorizonDays: 1 };
      expect(await store.shredTenant('a', shred)).toMatchObject({ secrets: 2, versions: 2 });
      expect(await rejection(fixture.open().tenant('a', ACTOR).get('two'))).toMatchObject({
        code: 'ERR_SECRETS_KEY_UNAVAILABLE',
      });
      expect((await fixture.open().tenant('b', ACTOR).get('two')).value).toBe('2 of b');
      const { items } = await fixture.open().tenant('a', ACTOR).auditLog();
      expect(items.filter(({ authentic }) => !authentic)).toEqual([]);
      expect(items.map(({ action }) => action)).toContain('tenant.shred');
    });

    it('is refused to a service that serves tenants only', async () => {
      const store = fixture.open({ rowSecurity: {} });
      const key = { tenantId: 'b', keyId: '00000000-0000-7000-8000-000000000000' };
      for (const attempt of [
        () => store.rotateTenant('b', ACTOR),
        () => store.reencryptTenant('b', ACTOR),
        () => store.shredTenant('b', { ...ACTOR, confirm: 'b', backupHorizonDays: 1 }),
        () => store.retireKey('v1', ACTOR),
        () => store.destroyKey(key, ACTOR),
        () => store.rotateAuditKey(ACTOR),
      ]) {
        expect(await rejection(attempt())).toMatchObject({ code: 'ERR_SECRETS_RLS_BLIND' });
      }
    });
  },
  { engines: 'postgres' },
);
