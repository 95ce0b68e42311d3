import { describeEachEngine, type TestEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openFixture, rejection } from '../support.ts';
import { openIsolated } from './support.ts';

type Row = Record<string, unknown>;

interface Harness {
  /** As somebody who has the database. */
  readonly admin: Knex;
  fresh(tenantId: string): ReturnType<Awaited<ReturnType<typeof openFixture>>['tenant']>;
  close(): Promise<void>;
}

async function open(engine: TestEngine, wall: string): Promise<Harness> {
  if (wall === 'predicates') {
    const fixture = await openFixture(engine);
    const fresh: Harness['fresh'] = (tenantId) => fixture.reopen(fixture.root).tenant(tenantId, { actor: 'x' });
    return { admin: fixture.knex, fresh, close: fixture.close };
  }
  const fixture = await openIsolated(engine);
  return {
    admin: fixture.admin,
    fresh: (tenantId) => fixture.open().tenant(tenantId, { actor: 'x' }),
    close: fixture.close,
  };
}

/** Each takes what it needs from tenant a and gives it to tenant b. Both have a secret `key`; only a has `extra`. */
const MOVES: Readonly<Record<string, (db: Knex, a: string, b: string) => Promise<unknown>>> = {
  'a secret with its versions': async (db, a, b) => {
    const { id } = await one(db, 'secrets', { tenant_id: a, name: 'extra' });
    const kek = await one(db, 'secret_tenant_keys', { tenant_id: b });
    await copy(db, 'secrets', { tenant_id: a, id }, { tenant_id: b });
    await copy(db, 'secret_versions', { tenant_id: a, secret_id: id }, { tenant_id: b, kek_id: kek.kek_id });
  },
  'a secret with its versions and their key': async (db, a, b) => {
    const { id } = await one(db, 'secrets', { tenant_id: a, name: 'extra' });
    await copy(db, 'secret_tenant_keys', { tenant_id: a }, { tenant_id: b, status: 'decrypt-only' });
    await copy(db, 'secrets', { tenant_id: a, id }, { tenant_id: b });
    await copy(db, 'secret_versions', { tenant_id: a, secret_id: id }, { tenant_id: b });
  },
  'everything, in place of its own': async (db, a, b) => {
    await db('secret_versions').where({ tenant_id: b }).delete();
    await db('secrets').where({ tenant_id: b }).delete();
    await db('secret_tenant_keys').where({ tenant_id: b }).delete();
    for (const table of ['secret_tenant_keys', 'secrets', 'secret_versions']) {
      await copy(db, table, { tenant_id: a }, { tenant_id: b });
    }
  },
  'a value under the wrapped key of the other': async (db, a, b) => {
    const { id } = await one(db, 'secrets', { tenant_id: a, name: 'extra' });
    const { wrapped, root_kid } = await one(db, 'secret_tenant_keys', { tenant_id: a });
    const { wrapped_dek, ciphertext } = await one(db, 'secret_versions', { tenant_id: a, secret_id: id });
    await db('secret_tenant_keys').where({ tenant_id: b }).update({ wrapped, root_kid });
    await db('secret_versions').where({ tenant_id: b }).update({ wrapped_dek, ciphertext });
  },
  'a pointer to the version of the other': async (db, a, b) => {
    const { current_version, binding } = await one(db, 'secrets', { tenant_id: a, name: 'key' });
    await db('secrets').where({ tenant_id: b, name: 'key' }).update({ current_version, binding });
  },
  "the other's id": async (db, a, b) => {
    const { id } = await one(db, 'secrets', { tenant_id: a, name: 'extra' });
    const own = await one(db, 'secrets', { tenant_id: b, name: 'key' });
    await db('secrets').insert({ ...stored(own), id, name: 'extra' });
    await copy(db, 'secret_versions', { tenant_id: b, secret_id: own.id }, { secret_id: id });
  },
};

async function one(db: Knex, table: string, where: Row): Promise<Row> {
  return (await db(table).where(where).first()) as Row;
}

async function copy(db: Knex, table: string, where: Row, change: Row): Promise<void> {
  for (const row of (await db(table).where(where)) as Row[]) await db(table).insert({ ...stored(row), ...change });
}

/** JSON columns of PostgreSQL come parsed, and are taken as text. */
function stored(row: Row): Row {
  const json = (value: unknown): boolean =>
    typeof value === 'object' && value !== null && !Buffer.isBuffer(value) && !(value instanceof Date);
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, json(value) ? JSON.stringify(value) : value]),
  );
}

describeEachEngine('what somebody with the database moved from one tenant to another', (engine) => {
  for (const wall of engine.dialect === 'sqlite' ? ['predicates'] : ['predicates', 'row-level security']) {
    describe(`is refused by ${wall}:`, () => {
      let harness: Harness;
      let next = 0;

      beforeAll(async () => {
        harness = await open(engine, wall);
      });
      afterAll(async () => {
        await harness?.close();
      });

      async function twoTenants(): Promise<readonly [string, string]> {
        const [a, b] = [`a-${++next}`, `b-${next}`];
        const owner = harness.fresh(a);
        await owner.save('extra', 'secret of a');
        await owner.save('key', 'first of a');
        await owner.save('key', 'value of a');
        await harness.fresh(b).save('key', 'value of b');
        return [a, b];
      }

      it.each(Object.entries(MOVES))('%s', async (_title, move) => {
        const [a, b] = await twoTenants();
        await move(harness.admin, a, b);
        const thief = harness.fresh(b);
        const { id } = await one(harness.admin, 'secrets', { tenant_id: a, name: 'extra' });
        const codes = new Set<unknown>();
        for (const attempt of [
          () => thief.get('extra'),
          () => thief.get('key'),
          () => thief.getById(id as string),
          () => thief.get('extra', { version: 1 }),
          () => thief.rename('extra', 'mine'),
          () => thief.rollback('extra', 1),
          () => thief.list(),
        ]) {
          const outcome = await attempt().then(
            (result) => JSON.stringify(result),
            (error: { code?: unknown }) => {
              codes.add(error.code);
              return '';
            },
          );
          expect(outcome).not.toMatch(/(?:secret|first|value) of a/);
        }
        expect(codes).toContain('ERR_SECRETS_INTEGRITY');
        expect([...codes].every((code) => /^ERR_SECRETS_(?:INTEGRITY|NOT_FOUND)$/.test(String(code)))).toBe(true);
        expect((await harness.fresh(a).get('extra')).value).toBe('secret of a');
      });

      it('audit rows show it, moved or copied', async () => {
        const [a, b] = await twoTenants();
        await harness.fresh(a).get('key');
        const row = await one(harness.admin, 'secret_audit_log', { tenant_id: a, action: 'secret.get' });
        await harness.admin('secret_audit_log').insert({ ...row, tenant_id: b });
        const { items } = await harness.fresh(b).auditLog();
        expect(items.filter(({ authentic }) => !authentic).map((entry) => entry.id)).toEqual([row.id]);
        const own = await one(harness.admin, 'secret_audit_log', { tenant_id: b, action: 'secret.save' });
        await harness
          .admin('secret_audit_log')
          .where({ tenant_id: b, id: own.id as string })
          .update({ mac: row.mac });
        const again = await harness.fresh(b).auditLog();
        expect(
          again.items
            .filter(({ authentic }) => !authentic)
            .map((entry) => entry.id)
            .toSorted(),
        ).toEqual([row.id, own.id].toSorted());
        expect((await harness.fresh(a).auditLog()).items.every(({ authentic }) => authentic)).toBe(true);
      });

      it('the key of the store itself given to a tenant', async () => {
        const [, b] = await twoTenants();
        const { wrapped } = await one(harness.admin, 'secret_tenant_keys', { tenant_id: '$system' });
        await harness.admin('secret_tenant_keys').where({ tenant_id: b }).update({ wrapped });
        expect(await rejection(harness.fresh(b).get('key'))).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
        expect(await rejection(harness.fresh(b).save('new', 'x'))).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
      });
    });
  }
});
