import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditRows, type Fixture, openFixture, rejection } from './support.ts';

const REFUSED = { code: 'ERR_SECRETS_INTEGRITY', retryable: false };

describeEachEngine('isolation', (engine) => {
  let fixture: Fixture;
  let knex: Knex;
  let next = 0;

  beforeAll(async () => {
    fixture = await openFixture(engine);
    knex = fixture.knex;
  });
  afterAll(async () => {
    await fixture?.close();
  });

  /** Two tenants with a secret of the same name, two versions each. */
  async function twoTenants(): Promise<{ a: string; b: string; idA: string; idB: string }> {
    const a = `a-${++next}`;
    const b = `b-${next}`;
    await fixture.tenant(a).save('key', 'first of a');
    await fixture.tenant(b).save('key', 'first of b');
    const { id: idA } = await fixture.tenant(a).save('key', 'value of a');
    const { id: idB } = await fixture.tenant(b).save('key', 'value of b');
    return { a, b, idA, idB };
  }

  it("keeps one tenant's secrets out of every method of another", async () => {
    const { a } = await twoTenants();
    await fixture.tenant(a).save('only-a', 'x');
    const other = fixture.tenant(`stranger-${next}`);
    for (const attempt of [
      () => other.get('only-a'),
      () => other.get('only-a', { version: 1 }),
      () => other.update('only-a', { value: 'y' }),
      () => other.delete('only-a'),
      () => other.versions('only-a'),
    ]) {
      expect(await rejection(attempt())).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
    }
    expect(await other.exists('only-a')).toBe(false);
    expect((await other.list()).items).toEqual([]);
    expect((await fixture.tenant(a).get('only-a')).value).toBe('x');
  });

  describe('refuses to read what someone with the database moved or edited:', () => {
    type Attack = (at: { a: string; b: string; idA: string; idB: string }) => Promise<unknown>;

    const version = async (tenant: string, id: string, number: number): Promise<Record<string, unknown>> =>
      await knex('secret_versions').where({ tenant_id: tenant, secret_id: id, version: number }).first();
    const editSecret = (change: object): Attack => {
      return ({ a, idA }) => knex('secrets').where({ tenant_id: a, id: idA }).update(change);
    };
    const editVersion = (change: (row: Record<string, unknown>) => object): Attack => {
      return async ({ a, idA }) => {
        const row = await version(a, idA, 2);
        await knex('secret_versions').where({ tenant_id: a, secret_id: idA, version: 2 }).update(change(row));
      };
    };

    const attacks: Record<string, Attack> = {
      'ciphertext and wrapped key of another tenant': async ({ a, b, idA, idB }) => {
        const { wrapped_dek, ciphertext } = await version(b, idB, 2);
        await knex('secret_versions')
          .where({ tenant_id: a, secret_id: idA, version: 2 })
          .update({ wrapped_dek, ciphertext });
      },
      'a whole version with its tenant key copied from another tenant': async ({ a, b, idA, idB }) => {
        const row = await version(b, idB, 2);
        const kek = await knex('secret_tenant_keys').where({ tenant_id: b, kek_id: row.kek_id }).first();
        await knex('secret_tenant_keys').insert({ ...kek, tenant_id: a, status: 'decrypt-only' });
        await knex('secret_versions')
          .where({ tenant_id: a, secret_id: idA, version: 2 })
          .update({ kek_id: row.kek_id, wrapped_dek: row.wrapped_dek, ciphertext: row.ciphertext });
      },
      'an old version under the number of the new one': async ({ a, idA }) => {
        const { wrapped_dek, ciphertext } = await version(a, idA, 1);
        await knex('secret_versions')
          .where({ tenant_id: a, secret_id: idA, version: 2 })
          .update({ wrapped_dek, ciphertext });
      },
      'only the ciphertext of an old version': async ({ a, idA }) => {
        const { ciphertext } = await version(a, idA, 1);
        await knex('secret_versions').where({ tenant_id: a, secret_id: idA, version: 2 }).update({ ciphertext });
      },
      'the pointer to the current version': editSecret({ current_version: 1 }),
      'the expiry': editSecret({ expires_at: new Date(Date.now() + 1e9) }),
      'a binding of zeros': editSecret({ binding: Buffer.alloc(48) }),
      'a binding that is too short': editSecret({ binding: Buffer.alloc(3) }),
      'a flipped bit of the ciphertext': editVersion((row) => ({ ciphertext: flipped(row.ciphertext as Buffer) })),
      'a flipped bit of the wrapped key': editVersion((row) => ({ wrapped_dek: flipped(row.wrapped_dek as Buffer) })),
      'an empty ciphertext': editVersion(() => ({ ciphertext: Buffer.alloc(0) })),
      'no ciphertext': editVersion(() => ({ ciphertext: null })),
      'no current version at all': async ({ a, idA }) => {
        await knex('secret_versions').where({ tenant_id: a, secret_id: idA, version: 2 }).delete();
      },
      'a flipped bit of the tenant key': async ({ a }) => {
        const { wrapped } = await knex('secret_tenant_keys').where({ tenant_id: a }).first();
        await knex('secret_tenant_keys')
          .where({ tenant_id: a })
          .update({ wrapped: flipped(wrapped) });
      },
    };

    it.each(Object.keys(attacks))('%s', async (name) => {
      const at = await twoTenants();
      expect((await fixture.tenant(at.a).get('key')).value).toBe('value of a');
      await attacks[name]?.(at);
      const fresh = fixture.reopen(fixture.root).tenant(at.a, { actor: 'victim' });
      const error = await rejection(fresh.get('key'));
      expect(error).toMatchObject(REFUSED);
      expect((await auditRows(knex, at.a)).at(-1)).toMatchObject({
        action: 'secret.get',
        outcome: 'refused',
        actor: 'victim',
      });
    });

    it('a name swapped between two secrets', async () => {
      const tenantId = `swap-${++next}`;
      const tenant = fixture.tenant(tenantId);
      const { id } = await tenant.save('payments/live', 'live');
      await tenant.save('payments/test', 'test');
      await knex('secrets').where({ tenant_id: tenantId, name: 'payments/test' }).update({ name: 'aside' });
      await knex('secrets').where({ tenant_id: tenantId, id }).update({ name: 'payments/test' });
      for (const attempt of [
        () => tenant.get('payments/test'),
        () => tenant.exists('payments/test'),
        () => tenant.versions('payments/test'),
        () => tenant.list(),
        () => tenant.save('payments/test', 'over it'),
        () => tenant.update('payments/test', { value: 'over it' }),
        () => tenant.delete('payments/test'),
      ]) {
        expect(await rejection(attempt())).toMatchObject(REFUSED);
      }
    });

    it('a whole row of before, put back and then written to', async () => {
      const tenantId = `replay-${++next}`;
      const tenant = fixture.tenant(tenantId);
      await tenant.save('key', 'one');
      const { current_version, binding } = await knex('secrets').where({ tenant_id: tenantId }).first();
      await tenant.save('key', 'two');
      await knex('secrets').where({ tenant_id: tenantId }).update({ current_version, binding });
      expect(await rejection(tenant.save('key', 'three'))).toMatchObject(REFUSED);
      expect((await auditRows(knex, tenantId)).at(-1)).toMatchObject({ action: 'secret.save', outcome: 'refused' });
      for (const attempt of [
        () => tenant.get('key'),
        () => tenant.get('key', { version: 2 }),
        () => tenant.versions('key'),
      ]) {
        expect(await rejection(attempt())).toMatchObject(REFUSED);
      }
    });

    it('a renamed row, whatever version is asked for', async () => {
      const tenantId = `renamed-${++next}`;
      const tenant = fixture.tenant(tenantId);
      await tenant.save('key', 'one');
      await knex('secrets').where({ tenant_id: tenantId }).update({ name: 'other' });
      expect(await rejection(tenant.get('other', { version: 9 }))).toMatchObject(REFUSED);
    });

    it('a secret that was marked as deleted by hand', async () => {
      const tenantId = `hidden-${++next}`;
      const tenant = fixture.tenant(tenantId);
      await tenant.save('key', 'older');
      await tenant.delete('key');
      await tenant.save('key', 'x');
      await knex('secrets').where({ tenant_id: tenantId }).update({ is_deleted: true });
      const before = await knex('secrets').where({ tenant_id: tenantId }).orderBy('id');
      for (const attempt of [
        () => tenant.get('key'),
        () => tenant.exists('key'),
        () => tenant.versions('key'),
        () => tenant.save('key', 'over it'),
        () => tenant.save('key', 'over it', { ifAbsent: true }),
        () => tenant.update('key', { value: 'over it' }),
        () => tenant.delete('key'),
      ]) {
        expect(await rejection(attempt())).toMatchObject(REFUSED);
      }
      expect(await knex('secrets').where({ tenant_id: tenantId }).orderBy('id')).toEqual(before);
    });

    it('a deleted secret whose key was destroyed since is not in the way of its name', async () => {
      const tenantId = `shredded-${++next}`;
      const tenant = fixture.tenant(tenantId);
      await tenant.save('key', 'x');
      await tenant.delete('key');
      await knex('secret_tenant_keys').where({ tenant_id: tenantId }).update({ status: 'destroyed', wrapped: null });
      expect(await tenant.exists('key')).toBe(false);
    });

    it('any row of a page, not only the first', async () => {
      const tenantId = `page-${++next}`;
      const tenant = fixture.tenant(tenantId);
      for (const name of ['a', 'b', 'c']) await tenant.save(name, 'x');
      await knex('secrets').where({ tenant_id: tenantId, name: 'c' }).update({ expires_at: new Date() });
      expect(await rejection(tenant.list())).toMatchObject(REFUSED);
      expect((await tenant.list({ limit: 1 })).items).toHaveLength(1);
    });

    it.each(['[]', '"text"', '7', 'null'])('metadata that is %s', async (metadata) => {
      const tenantId = `metadata-${++next}`;
      const tenant = fixture.tenant(tenantId);
      await tenant.save('key', 'x');
      await knex('secrets').where({ tenant_id: tenantId }).update({ metadata });
      for (const attempt of [
        () => tenant.get('key'),
        () => tenant.list(),
        () => tenant.update('key', { metadata: { a: 1 } }),
      ]) {
        expect(await rejection(attempt())).toMatchObject(REFUSED);
      }
    });

    it('a deleted secret that was revived', async () => {
      const tenantId = `revive-${++next}`;
      const tenant = fixture.tenant(tenantId);
      await tenant.save('key', 'x');
      await tenant.delete('key');
      await knex('secrets').where({ tenant_id: tenantId }).update({ is_deleted: false, deleted_at: null });
      expect(await rejection(tenant.get('key'))).toMatchObject(REFUSED);
    });
  });

  it('refuses a tenant key that was taken out of use, although it is still in memory', async () => {
    const tenantId = `disabled-${++next}`;
    const tenant = fixture.tenant(tenantId);
    await tenant.save('key', 'x');
    await tenant.get('key');
    await knex('secret_tenant_keys').where({ tenant_id: tenantId }).update({ status: 'disabled' });
    expect(await rejection(tenant.get('key'))).toMatchObject({ code: 'ERR_SECRETS_KEY_UNAVAILABLE' });
    expect(await rejection(tenant.list())).toMatchObject({ code: 'ERR_SECRETS_KEY_UNAVAILABLE' });
  });
});

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
  return copy;
}
