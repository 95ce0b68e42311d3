import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditRows, type Fixture, openFixture, openUnmigrated } from './support.ts';
import { type Replicas, startReplicas } from './workers/replicas.ts';

const REPLICAS = 3;
const SAVES = 8;

describeEachEngine('concurrency', (engine) => {
  describe('of processes', () => {
    let fixture: Fixture;
    let replicas: Replicas;

    beforeAll(async () => {
      fixture = await openUnmigrated(engine);
      replicas = await startReplicas(REPLICAS, { url: fixture.url, keys: fixture.keys, activeKid: 'v1' });
    });
    afterAll(async () => {
      await replicas?.stop();
      await fixture?.close();
    });

    it('lets all of them migrate at once', async () => {
      const results = await replicas.run(Array.from({ length: REPLICAS }, () => ({ task: 'migrate' })));
      expect(results).toEqual([[0], [0], [0]]);
      expect(await fixture.knex('secret_migrations').orderBy('name').pluck('name')).toEqual([
        '001-initial',
        '002-complete',
      ]);
    });

    it('makes one key per tenant and loses no version when first writes race', async () => {
      const values = Array.from({ length: REPLICAS }, (_, process) =>
        Array.from({ length: SAVES }, (_save, index) => `${process}/${index}`),
      );
      const results = await replicas.run(
        values.map((own) => ({ task: 'save', tenant: 'raced', values: own, ifAbsent: false })),
      );
      const versions = results.flat();
      expect(versions.toSorted((a, b) => Number(a) - Number(b))).toEqual(versions.map((_, index) => index + 1));
      const tenant = fixture.tenant('raced');
      for (const [index, value] of values.flat().entries()) {
        expect((await tenant.get('key', { version: Number(versions[index]) })).value).toBe(value);
      }
      expect(await fixture.knex('secrets').where({ tenant_id: 'raced' })).toHaveLength(1);
      expect(await fixture.knex('secret_tenant_keys').where({ tenant_id: 'raced' })).toHaveLength(1);
      expect(await fixture.knex('secret_tenant_keys').where({ tenant_id: '$system' })).toHaveLength(1);
      expect(await fixture.knex('secret_root_keys').pluck('kid')).toEqual(['v1']);
      const actions = (await auditRows(fixture.knex, 'raced')).map(({ action }) => action);
      expect(actions.filter((action) => action === 'secret.save')).toHaveLength(REPLICAS * SAVES);
      expect(actions.filter((action) => action === 'tenant-key.create')).toHaveLength(1);
    });

    it('lets exactly one of many ifAbsent saves win', async () => {
      const results = await replicas.run(
        Array.from({ length: REPLICAS }, () => ({
          task: 'save',
          tenant: 'absent',
          values: ['x', 'y'],
          ifAbsent: true,
        })),
      );
      const outcomes = results.flat();
      expect(outcomes.filter((outcome) => outcome === 1)).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome === 'ERR_SECRETS_ALREADY_EXISTS')).toHaveLength(2 * REPLICAS - 1);
    });
  });

  it('reads a whole secret at any instant while it is rewritten and its root key rotated', async () => {
    const fixture = await openFixture(engine);
    try {
      const tenant = fixture.tenant('live');
      await tenant.save('key', { count: 0, again: 0 });
      const writer = { done: false };
      const reader = (async () => {
        let reads = 0;
        for (; !writer.done; reads++) {
          const { value } = await tenant.get('key');
          const { count, again } = value as { count: number; again: number };
          expect(again).toBe(count);
        }
        return reads;
      })();
      for (let count = 1; count <= 30; count++) {
        await tenant.save('key', { count, again: count });
        if (count === 15) {
          fixture.root.add('v2', new Uint8Array(32).fill(2));
          fixture.root.activate('v2');
          await fixture.store.rotateRoot({ actor: 'x' });
        }
      }
      writer.done = true;
      expect(await reader).toBeGreaterThan(0);
    } finally {
      await fixture.close();
    }
  });
});
