import type { TenantSecrets } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { auditRows, type Fixture, openFixture } from './support.ts';

const CHANGES: readonly (readonly [string, (tenant: TenantSecrets) => Promise<unknown>, unknown])[] = [
  ['save', (tenant) => tenant.save('key', { b: 2 }), { b: 2 }],
  ['save of much', (tenant) => tenant.save('key', 'x'.repeat(50_000)), 'x'.repeat(50_000)],
  ['update', (tenant) => tenant.update('key', { value: { c: 3 } }), { c: 3 }],
  ['merge', (tenant) => tenant.merge('key', { d: 4 }), { a: 1, d: 4 }],
  ['rollback', (tenant) => tenant.rollback('key', 1), { a: 1 }],
];

describeEachEngine('a change that the database undoes for the sake of another', (engine) => {
  if (engine.dialect !== 'postgres') {
    it('is a matter of PostgreSQL: here writers take turns', () => {
      expect(engine.dialect).toBe('sqlite');
    });
    return;
  }
  let fixture: Fixture;
  let next = 0;

  beforeAll(async () => {
    fixture = await openFixture(engine);
    // Every second version is refused as if a transaction had come in between; a sequence does not roll back.
    await fixture.knex.raw(`
      create sequence tries start 1;
      create function undo() returns trigger language plpgsql as $$
      begin
        if nextval('tries') % 2 = 0 then
          raise exception 'undone' using errcode = 'serialization_failure';
        end if;
        return new;
      end $$;
      create trigger undo before insert on secret_versions for each row execute function undo();
    `);
  });
  beforeEach(async () => {
    await fixture.knex.raw("select setval('tries', 100)");
    next++;
  });
  afterAll(async () => {
    await fixture?.close();
  });

  it.each(CHANGES)(
    'is made all the same, with the value that was given, and audited once: %s',
    async (_what, change, value) => {
      const tenant = fixture.tenant(`undone ${next}`);
      await tenant.save('key', { a: 1 }); // 101
      await change(tenant); // 102 is refused, 103 is not
      const { last_value: tries } = await fixture.knex('tries').first('last_value');
      expect(Number(tries)).toBe(103);
      expect(await tenant.get('key')).toMatchObject({ version: 2, value });
      const rows = await auditRows(fixture.knex, `undone ${next}`);
      expect(rows.filter(({ action }) => action.startsWith('secret.'))).toHaveLength(3);
    },
  );
});
