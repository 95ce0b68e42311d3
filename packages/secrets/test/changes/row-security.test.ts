import { testEngines } from '@keywright/testkit/engines';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type IsolatedFixture, openIsolated } from '../isolation/support.ts';
import { rejection } from '../support.ts';
import { take, takeChanges } from './support.ts';

for (const engine of testEngines().filter(({ dialect, available }) => dialect === 'postgres' && available)) {
  describe(`watching changes under row-level security on ${engine.name}`, () => {
    let fixture: IsolatedFixture;

    beforeAll(async () => {
      fixture = await openIsolated(engine, { schema: 'kept', prefix: 'kw_' });
    });
    afterAll(async () => await fixture?.close());

    const open = (more = {}) => fixture.open({ changeFeed: true, ...more });
    const save = async (tenantId: string, name: string): Promise<void> => {
      await open().tenant(tenantId, { actor: 'x' }).save(name, 'x');
    };

    it("tells a tenant's changes as that tenant, and everybody's as the maintenance role", async () => {
      const [ofTenant, ofAll] = [open().watch({ pollMs: 10, tenantId: 'a' }), open().watch({ pollMs: 10 })];
      await Promise.all([ofTenant.start(), ofAll.start()]);
      await save('b', 'one');
      await save('a', 'two');
      const named = (await takeChanges(ofAll, 2)).map(({ tenantId, name }) => `${tenantId} ${name}`);
      expect(named).toEqual(['b one', 'a two']);
      expect((await takeChanges(ofTenant, 1)).map(({ name }) => name)).toEqual(['two']);
    });

    it('needs no maintenance role for one tenant, and refuses all of them without it instead of seeing none', async () => {
      const store = open({ rowSecurity: {} });
      const watch = store.watch({ pollMs: 10, tenantId: 'a' });
      await watch.start();
      await save('a', 'three');
      expect(await takeChanges(watch, 1)).toHaveLength(1);
      expect((await rejection(take(store.watch({ pollMs: 10 }), 1))).code).toBe('ERR_SECRETS_RLS_BLIND');
    });

    it('keeps the read cache in step through the maintenance role', async () => {
      const store = open({ readCache: { maxSecrets: 10, maxAgeMs: 60_000, pollMs: 10 } });
      const tenant = store.tenant('c', { actor: 'x' });
      await save('c', 'key');
      for (let count = 0; count < 20; count++) {
        await tenant.get('key');
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      await fixture
        .admin('kept.kw_secret_versions')
        .where({ tenant_id: 'c' })
        .update({ ciphertext: Buffer.of(1) });
      expect((await tenant.get('key')).value).toBe('x'); // from memory
      await save('c', 'key');
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect((await tenant.get('key')).version).toBe(2);
    });
  });
}
