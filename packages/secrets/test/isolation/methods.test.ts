import { inspect } from 'node:util';
import type { SecretStore, TenantSecrets } from '@keywright/secrets';
import { generateAuditSigner } from '@keywright/secrets/audit';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openFixture, rejection } from '../support.ts';
import { openIsolated, TENANT_TABLE_NAMES } from './support.ts';

interface Harness {
  readonly store: SecretStore;
  /** Sees and may do everything. */
  readonly admin: Knex;
  /** The pool that the store is on. */
  readonly app: Knex;
  close(): Promise<void>;
}

interface Victim {
  readonly tenantId: string;
  readonly name: string;
  readonly id: string;
  readonly deletedId: string;
  readonly keyId: string;
  readonly auditId: string;
}

type Attack = (stranger: TenantSecrets, victim: Victim) => readonly (() => Promise<unknown>)[];

const CANARY = 'canary-7f3a';

/** Another tenant's names and ids, by every method of a tenant. A method without an attack fails the first test. */
const ATTACKS: Readonly<Record<string, Attack>> = {
  get: (s, v) => [() => s.get(v.name), () => s.get({ id: v.id }), () => s.get({ id: v.id }, { version: 1 })],
  getById: (s, v) => [() => s.getById(v.id), () => s.getById(v.deletedId)],
  getMany: (s, v) => [() => s.getMany([v.name, { id: v.id }, { id: v.deletedId }])],
  warm: (s) => [() => s.warm()],
  save: (s, v) => [() => s.save(v.name, 'mine', { expectedVersion: 1 })],
  update: (s, v) => [
    () => s.update(v.name, { value: 'y' }),
    () => s.update({ id: v.id }, { value: 'y' }),
    () => s.update({ id: v.id }, { metadata: { a: null } }),
  ],
  merge: (s, v) => [() => s.merge(v.name, { a: 1 }), () => s.merge({ id: v.id }, { a: 1 })],
  rollback: (s, v) => [() => s.rollback(v.name, 1), () => s.rollback({ id: v.id }, 1)],
  rename: (s, v) => [() => s.rename(v.name, 'mine'), () => s.rename({ id: v.id }, 'mine')],
  delete: (s, v) => [() => s.delete(v.name), () => s.delete({ id: v.id })],
  restore: (s, v) => [() => s.restore('deleted'), () => s.restore({ id: v.deletedId })],
  destroy: (s, v) => [() => s.destroy(v.name, 1), () => s.destroy({ id: v.id }, [1])],
  purge: (s, v) => [() => s.purge('deleted'), () => s.purge({ id: v.deletedId }), () => s.purge({ id: v.id })],
  purgeDeleted: (s) => [() => s.purgeDeleted()],
  list: (s) => [() => s.list(), () => s.list({ limit: 100 })],
  search: (s) => [() => s.search(CANARY), () => s.search('%'), () => s.search('_')],
  exists: (s, v) => [() => s.exists(v.name), () => s.exists({ id: v.id })],
  versions: (s, v) => [() => s.versions(v.name), () => s.versions({ id: v.id })],
  auditLog: (s) => [() => s.auditLog(), () => s.auditLog({ limit: 100 })],
};

/** Methods of the store and of its audit log that work across tenants, or on the tenant that an operator names. */
const SWEEPS: Readonly<Record<string, (store: SecretStore, victim: Victim) => Promise<unknown>>> = {
  rotateRoot: (store) => store.rotateRoot({ actor: 'x' }),
  rotateTenant: (store, v) => store.rotateTenant(v.tenantId, { actor: 'x' }),
  reencryptTenant: (store, v) => store.reencryptTenant(v.tenantId, { actor: 'x' }),
  shredTenant: (store, v) => store.shredTenant(v.tenantId, { actor: 'x', confirm: v.tenantId, backupHorizonDays: 1 }),
  retireKey: (store) => store.retireKey('v1', { actor: 'x' }),
  disableKey: (store, v) => store.disableKey(v, { actor: 'x' }),
  enableKey: (store, v) => store.enableKey(v, { actor: 'x' }),
  destroyKey: (store, v) => store.destroyKey(v, { actor: 'x' }),
  rotateAuditKey: (store) => store.rotateAuditKey({ actor: 'x' }),
  trimChanges: (store) => store.trimChanges(),
  watch: async (store) => {
    const watch = store.watch({ pollMs: 10, signal: AbortSignal.timeout(100) });
    for await (const event of watch) return event;
    return undefined;
  },
  'audit.seal': (store) => store.audit.seal(),
  'audit.checkpoint': (store) => store.audit.checkpoint(),
  'audit.verify': (store) => store.audit.verify(),
  'audit.proof': (store, v) => store.audit.proof(v.tenantId, v.auditId),
  'audit.consistency': (store) => store.audit.consistency(0, 1),
  'audit.export': (store) => store.audit.export({ actor: 'x' }).next(),
  'audit.prune': (store) => store.audit.prune({ actor: 'x', retentionDays: 1 }),
  'audit.redact': (store, v) => store.audit.redact({ actor: 'x', tenantId: v.tenantId, before: new Date() }),
  'audit.ship': (store) => store.audit.ship(),
  'audit.forgetSink': (store) => store.audit.forgetSink('none', { actor: 'stranger' }),
};

/** Methods that read no tenant's rows. */
const NEUTRAL = [
  'migrate',
  'migrationStatus',
  'rollbackMigration',
  'ready',
  'tenant',
  'close',
  'audit.start',
  'audit.stop',
];

const methodsOf = (object: object): readonly string[] =>
  Object.getOwnPropertyNames(Object.getPrototypeOf(object)).filter((name) => name !== 'constructor');

const HARNESSES: Readonly<
  Record<string, (engine: Parameters<Parameters<typeof describeEachEngine>[1]>[0]) => Promise<Harness>>
> = {
  predicates: async (engine) => {
    const fixture = await openFixture(engine);
    return { store: fixture.store, admin: fixture.knex, app: fixture.knex, close: fixture.close };
  },
  'row-level security': async (engine) => {
    const fixture = await openIsolated(engine);
    return { store: fixture.store, admin: fixture.admin, app: fixture.app, close: fixture.close };
  },
};

describeEachEngine('every method', (engine) => {
  for (const [wall, open] of Object.entries(HARNESSES)) {
    if (wall === 'row-level security' && engine.dialect === 'sqlite') continue;
    describe(`by ${wall}`, () => {
      let harness: Harness;
      let victim: Victim;

      beforeAll(async () => {
        harness = await open(engine);
        const tenant = harness.store.tenant('victim', { actor: 'x', request: { ip: CANARY } });
        const { id } = await tenant.save(`name-${CANARY}`, { secret: CANARY }, { metadata: { fact: CANARY } });
        const { id: deletedId } = await tenant.save('deleted', CANARY);
        await tenant.delete('deleted');
        const { kek_id: keyId } = await harness.admin('secret_tenant_keys').where({ tenant_id: 'victim' }).first();
        const { id: auditId } = await harness.admin('secret_audit_log').where({ tenant_id: 'victim' }).first();
        victim = { tenantId: 'victim', name: `name-${CANARY}`, id, deletedId, keyId, auditId };
        await harness.store.tenant('stranger', { actor: 'x' }).save('own', 'own');
      });
      afterAll(async () => {
        await harness?.close();
      });

      /** Everything of the victim, the log included: what was read of it by others would stand there. */
      const rows = async (): Promise<string> => {
        const all: unknown[] = [];
        for (const table of TENANT_TABLE_NAMES) {
          all.push(await harness.admin(table).where({ tenant_id: 'victim' }).orderByRaw('1, 2'));
        }
        return inspect(all, { depth: 9, maxArrayLength: null, maxStringLength: null });
      };

      it('has an attack', () => {
        const tenant = harness.store.tenant('stranger', { actor: 'x' });
        expect(Object.keys(ATTACKS).toSorted()).toEqual(methodsOf(tenant).toSorted());
        const audit = methodsOf(harness.store.audit).map((name) => `audit.${name}`);
        const known = [...Object.keys(SWEEPS), ...NEUTRAL].toSorted();
        expect(known).toEqual([...methodsOf(harness.store), ...audit].toSorted());
      });

      it.each(Object.entries(ATTACKS))(
        '%s says nothing of another tenant, and changes nothing of theirs',
        async (_name, attack) => {
          const before = await rows();
          const strangers = ['stranger', 'newcomer', 'VICTIM', 'victim ', '%', 'victim%', "victim' or '1'='1"];
          const attacked = strangers.map(async (tenantId) => {
            const outside = harness.store.tenant(tenantId, { actor: 'x' });
            for (const attempt of attack(outside, victim)) await harmless(attempt);
            if (engine.dialect === 'sqlite') return; // one writer: the same code, and slow
            if (tenantId.startsWith('victim')) return;
            await harness.app.transaction(async (trx) => {
              const inside = harness.store.tenant(tenantId, { actor: 'x', trx });
              for (const attempt of attack(inside, victim)) await harmless(attempt);
            });
          });
          await Promise.all(attacked);
          expect(await rows()).toBe(before);
        },
      );

      it('of an operator takes no key and no row of one tenant for those of another', async () => {
        const { store } = harness;
        const swapped = { tenantId: 'stranger', keyId: victim.keyId };
        for (const attempt of [
          () => store.retireKey(swapped, { actor: 'x' }),
          () => store.disableKey(swapped, { actor: 'x' }),
          () => store.destroyKey(swapped, { actor: 'x' }),
        ]) {
          expect(await rejection(attempt())).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
        }
        for (const reserved of ['$system', '']) {
          expect(() => store.tenant(reserved, { actor: 'x' })).toThrow(
            expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT' }),
          );
          const error = await rejection(store.rotateTenant(reserved, { actor: 'x' }));
          expect(error).toMatchObject({ code: 'ERR_SECRETS_INVALID_ARGUMENT' });
        }
      });

      it('leaves the victim as it was', async () => {
        const tenant = harness.store.tenant('victim', { actor: 'x' });
        expect((await tenant.get(victim.name)).value).toEqual({ secret: CANARY });
        expect((await tenant.restore({ id: victim.deletedId })).version).toBe(1);
      });
    });
  }
});

/** What it returns or throws holds nothing of the victim. A name that the stranger brought itself may come back. */
async function harmless(attempt: () => Promise<unknown>): Promise<void> {
  let shown: string;
  try {
    shown = inspect(await attempt(), { depth: 9, showHidden: true });
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_SECRETS_(?:NOT_FOUND|VERSION_CONFLICT)$/) });
    shown = inspect(error, { depth: 9, showHidden: true });
  }
  const own = shown.replaceAll(`name-${CANARY}`, '');
  expect(own).not.toContain(CANARY);
  expect(shown).not.toMatch(/'victim'|"victim"/);
}

describeEachEngine(
  'work across tenants, under row-level security,',
  (engine) => {
    it.each(Object.entries(SWEEPS))(
      '%s is refused without a maintenance pool, and does nothing',
      async (_name, sweep) => {
        const fixture = await shared(engine);
        const before = inspect(await everything(fixture.admin), { depth: 9 });
        expect(await rejection(sweep(fixture.blind, fixture.victim))).toMatchObject({ code: 'ERR_SECRETS_RLS_BLIND' });
        expect(inspect(await everything(fixture.admin), { depth: 9 })).toBe(before);
      },
    );

    it.each(Object.entries(SWEEPS))('%s is done with one', async (_name, sweep) => {
      const fixture = await shared(engine);
      // What stands in the way may be the key's state; never a privilege that is missing, or rows that are not seen.
      const code = await sweep(fixture.sighted, fixture.victim).then(
        () => 'done',
        (error: { code: string }) => error.code,
      );
      expect(code).toMatch(/^(?:done|ERR_SECRETS_(?:NOT_FOUND|KEY_IN_USE|KEY_UNAVAILABLE))$/);
    });

    let opened:
      | Promise<{ blind: SecretStore; sighted: SecretStore; admin: Knex; victim: Victim; close(): Promise<void> }>
      | undefined;
    async function shared(on: typeof engine) {
      opened ??= (async () => {
        const fixture = await openIsolated(on);
        const { signer } = generateAuditSigner('example.com/audit');
        const blind = fixture.open({ rowSecurity: {}, changeFeed: true, audit: { signer } });
        await blind.tenant('victim', { actor: 'x' }).save('key', 'x');
        const sighted = fixture.open({ changeFeed: true, audit: { signer } });
        const { kek_id: keyId } = await fixture.admin('secret_tenant_keys').where({ tenant_id: 'victim' }).first();
        const { id: auditId } = await fixture.admin('secret_audit_log').where({ tenant_id: 'victim' }).first();
        const victim = { tenantId: 'victim', name: 'key', id: keyId, deletedId: keyId, keyId, auditId };
        return { blind, sighted, admin: fixture.admin, victim, close: fixture.close };
      })();
      return await opened;
    }
    afterAll(async () => {
      await (await opened)?.close();
    });
    const everything = async (admin: Knex): Promise<unknown> =>
      await Promise.all(
        [...TENANT_TABLE_NAMES, 'secret_root_keys', 'secret_audit_tree', 'secret_leases'].map((table) => admin(table)),
      );
  },
  { engines: 'postgres' },
);
