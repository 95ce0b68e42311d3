import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Fixture, openFixture } from './support.ts';
import type { KeyTask } from './workers/key-worker.ts';
import { type KeyWorker, startKeyWorker } from './workers/key-workers.ts';

const SECRETS = 24;
const TENANTS = 12;

describeEachEngine('work on keys that is killed', (engine) => {
  let fixture: Fixture;
  const tenants = Array.from({ length: TENANTS }, (_, index) => `t${index}`);
  const v2 = generateKeyBase64();
  let keys: Readonly<Record<string, string>>;

  beforeAll(async () => {
    fixture = await openFixture(engine);
    keys = { ...fixture.keys, v2 };
    fixture.root.add('v2', v2);
    for (const tenant of tenants) await fixture.tenant(tenant).save('s0', `value of ${tenant} s0`);
    for (let index = 1; index < SECRETS; index++) {
      await fixture.tenant('t0').save(`s${index}`, `value of t0 s${index}`);
    }
  });
  afterAll(async () => {
    await fixture?.close();
  });

  const worker = (activeKid: 'v1' | 'v2'): Promise<KeyWorker> => startKeyWorker({ url: fixture.url, keys, activeKid });

  /** Kills the work at some batch, lets another process end it, and reads in a third one all the while. */
  async function killed(task: KeyTask, read: { tenants: readonly string[]; secrets: number }): Promise<unknown> {
    const [first, second, reader] = await Promise.all([worker('v2'), worker('v2'), worker('v1')]);
    const reading = reader.run({ task: 'read', ...read });
    try {
      const done = await first.killAfter(task, 1 + Math.floor(Math.random() * 5));
      expect(done).toBeGreaterThan(0);
      // its lease would run out by itself, some seconds later
      await fixture.knex('secret_leases').update({ expires_at: new Date(0) });
      const result = await second.run(task);
      await reader.run({ task: 'stop' }).catch(() => undefined);
      return result;
    } finally {
      const seen = (await reading) as { reads: number; wrong: readonly string[] };
      expect(seen.wrong).toEqual([]);
      expect(seen.reads).toBeGreaterThan(0);
      await Promise.all([first.stop(), second.stop(), reader.stop()]);
    }
  }

  it('was a rotation of the root key, and is gone on with', { timeout: 30_000 }, async () => {
    const task: KeyTask = { task: 'rotateRoot', tenant: '', batchRows: 2 };
    expect(await killed(task, { tenants, secrets: 1 })).toMatchObject({ kid: 'v2', retired: ['v1'] });
    const alone = fixture.reopen(createKeyring({ keys: { v2 }, activeKid: 'v2' }));
    for (const tenant of tenants) {
      expect((await alone.tenant(tenant, { actor: 'x' }).get('s0')).value).toBe(`value of ${tenant} s0`);
    }
  });

  it.each(['rotateTenant', 'reencryptTenant'] as const)(
    'was %s, and is gone on with',
    { timeout: 30_000 },
    async (name) => {
      const before = await fixture.knex('secret_tenant_keys').where({ tenant_id: 't0' });
      await killed({ task: name, tenant: 't0', batchRows: 3 }, { tenants: ['t0'], secrets: SECRETS });
      const after = await fixture.knex('secret_tenant_keys').where({ tenant_id: 't0' });
      expect(after.length - before.length).toBe(name === 'rotateTenant' ? 1 : 0);
      const active = after.find(({ status }) => status === 'active');
      const under = await fixture.knex('secret_versions').where({ tenant_id: 't0', kek_id: active.kek_id });
      expect(under).toHaveLength(SECRETS);
      const fresh = fixture.reopen(createKeyring({ keys, activeKid: 'v2' })).tenant('t0', { actor: 'x' });
      for (let index = 0; index < SECRETS; index++) {
        expect((await fresh.get(`s${index}`)).value).toBe(`value of t0 s${index}`);
      }
    },
  );
});
