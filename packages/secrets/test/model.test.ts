import { isKeywrightError } from '@keywright/envelope';
import type { TenantSecrets } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Answer, Model, type Operation } from './model/model.ts';
import { auditRows, type Fixture, openFixture } from './support.ts';

const name = fc.constantFrom('a', 'b', 'c');
const version = fc.integer({ min: 1, max: 5 });
const value = fc.oneof(fc.string({ maxLength: 5 }), fc.dictionary(fc.constantFrom('x', 'y'), fc.integer()));
const tags = fc.array(fc.constantFrom('red', 'blue'), { maxLength: 3 });
const options = fc.record(
  {
    ifAbsent: fc.boolean(),
    expectedVersion: fc.integer({ min: 0, max: 3 }),
    tags,
    casRequired: fc.boolean(),
    maxVersions: fc.integer({ min: 1, max: 3 }),
  },
  { requiredKeys: [] },
);
const plain = fc.record({ tags }, { requiredKeys: [] });

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('save' as const), name, value, options: plain }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('save' as const), name, value, options }) },
  fc.record(
    { kind: fc.constant('update' as const), name, value, expected: version },
    { requiredKeys: ['kind', 'name', 'value'] },
  ),
  fc.record({ kind: fc.constant('retag' as const), name, tags }),
  fc.record({
    kind: fc.constant('merge' as const),
    name,
    patch: fc.dictionary(fc.constantFrom('x', 'y'), fc.option(fc.integer())),
  }),
  fc.record({ kind: fc.constant('rename' as const), name, to: name }),
  fc.record({ kind: fc.constant('rollback' as const), name, version }),
  fc.record({ kind: fc.constant('destroy' as const), name, version }),
  fc.record({ kind: fc.constantFrom('delete' as const, 'restore' as const, 'purge' as const), name }),
  fc.record({ kind: fc.constant('purgeDeleted' as const) }),
  fc.record({ kind: fc.constant('get' as const), name, version }, { requiredKeys: ['kind', 'name'] }),
);

async function run(tenant: TenantSecrets, given: Operation): Promise<unknown> {
  switch (given.kind) {
    case 'save':
      return (await tenant.save(given.name, given.value, given.options)).version;
    case 'update':
      return (await tenant.update(given.name, { value: given.value }, { expectedVersion: given.expected })).version;
    case 'retag':
      return (await tenant.update(given.name, { tags: given.tags })).version;
    case 'merge':
      return (await tenant.merge(given.name, given.patch)).version;
    case 'rename':
      return (await tenant.rename(given.name, given.to)).version;
    case 'rollback':
      return (await tenant.rollback(given.name, given.version)).version;
    case 'destroy':
      return await tenant.destroy(given.name, given.version);
    case 'delete':
      return await tenant.delete(given.name);
    case 'restore':
      return (await tenant.restore(given.name)).version;
    case 'purge':
      return await tenant.purge(given.name);
    case 'purgeDeleted':
      return (await tenant.purgeDeleted()).purged;
    case 'get':
      return (await tenant.get(given.name, { version: given.version })).value;
  }
}

async function answer(tenant: TenantSecrets, given: Operation): Promise<Answer> {
  try {
    return { ok: await run(tenant, given) };
  } catch (error) {
    if (isKeywrightError(error)) return { refused: error.code };
    throw error;
  }
}

async function stateOf(tenant: TenantSecrets): Promise<readonly unknown[]> {
  const { items } = await tenant.list();
  return await Promise.all(
    items.map(async (item) => {
      const { items: versions } = await tenant.versions(item.name);
      const read = versions.map(async (each) => {
        const gone = each.destroyedAt !== null;
        return [each.version, gone ? undefined : (await tenant.get(item.name, { version: each.version })).value];
      });
      return { name: item.name, current: item.currentVersion, tags: item.tags, versions: await Promise.all(read) };
    }),
  );
}

describeEachEngine('any sequence of operations', (engine) => {
  let fixture: Fixture;
  let next = 0;

  beforeAll(async () => {
    fixture = await openFixture(engine);
  });
  afterAll(async () => {
    await fixture?.close();
  });

  it('does what the model does, and writes one audit row for each', async () => {
    const numRuns = engine.name === 'sqlite' ? 60 : 25;
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 25 }), async (operations) => {
        const tenantId = `model ${next++}`;
        const tenant = fixture.tenant(tenantId);
        const model = new Model();
        // A tenant that never saved anything has no key, and is told that it has nothing.
        await tenant.save('first', 'x');
        model.apply({ kind: 'save', name: 'first', value: 'x', options: {} });
        for (const given of operations) expect(await answer(tenant, given)).toEqual(model.apply(given));
        const rows = await auditRows(fixture.knex, tenantId);
        expect(rows).toHaveLength(operations.length + 2);
        expect(await stateOf(tenant)).toEqual(model.state());
        const deleted = (await tenant.list({ deleted: 'only' })).items.map((item) => item.name);
        expect(deleted).toEqual(model.deletedNames());
      }),
      { numRuns },
    );
  });
});
