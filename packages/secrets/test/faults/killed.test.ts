import { setTimeout as sleep } from 'node:timers/promises';
import type { SecretStore } from '@keywright/secrets';
import { createPostgresDatabase, type FragileServer, startFragilePostgres } from '@keywright/testkit';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { auditRows } from '../support.ts';
import { expectFault, expectInStep, expectKept, openFaulty, type Saved } from './support.ts';

const TENANTS = ['t1', 't2', 't3', 't4'];

interface Load {
  readonly saved: Saved[];
  readonly read: number[];
  readonly errors: unknown[];
  done: boolean;
}

describeEachEngine(
  'a database that is killed under load',
  () => {
    let server: FragileServer;
    beforeAll(async () => {
      server = await startFragilePostgres();
    });
    afterAll(() => server.stop());

    it('costs typed, retryable errors only: nothing is lost or half written, and the same store goes on', async () => {
      const { knex, store } = await openFaulty(await createPostgresDatabase(server.url));
      await store.ready();
      const load: Load = { saved: [], read: [], errors: [], done: false };
      const running = TENANTS.flatMap((tenant) => [
        write(store, tenant, load),
        writeInTransaction(knex, store, tenant, load),
        read(store, tenant, load),
      ]);
      for (let kill = 0; kill < 2; kill++) {
        await progress(load);
        await server.kill();
        await sleep(50);
        await server.restart();
      }
      await progress(load);
      load.done = true;
      await Promise.all(running);

      expect(load.errors).not.toEqual([]);
      for (const error of load.errors) expectFault(error);
      await expectInStep(knex);
      await expectKept(store, load.saved);
      // a value that was handed out was audited
      for (const [index, tenant] of TENANTS.entries()) {
        const gets = (await auditRows(knex, tenant)).filter(
          ({ action, actor, outcome }) => action === 'secret.get' && actor === 'reader' && outcome === 'success',
        );
        expect(gets.length).toBeGreaterThanOrEqual(load.read[index] ?? 0);
      }
    });
  },
  { engines: 'postgres18' },
);

/** Waits until every kind of call has gone through again. */
async function progress(load: Load): Promise<void> {
  const before = [load.saved.length, ...load.read];
  const goal = before.map((count) => count + 8);
  for (let waited = 0; waited < 400; waited++) {
    if ([load.saved.length, ...load.read].every((count, index) => count >= (goal[index] ?? 8))) return;
    await sleep(25);
  }
  throw new Error('the store did not go on');
}

async function write(store: SecretStore, tenant: string, load: Load): Promise<void> {
  const secrets = store.tenant(tenant, { actor: 'writer' });
  for (let count = 0; !load.done; count++) {
    const name = `key ${count % 5}`;
    const value = `${tenant} ${count}`;
    await attempt(load, async () => {
      const { version } = await secrets.save(name, value);
      load.saved.push({ tenant, name, version, value });
    });
  }
}

async function writeInTransaction(knex: Knex, store: SecretStore, tenant: string, load: Load): Promise<void> {
  for (let count = 0; !load.done; count++) {
    const value = `${tenant} in a transaction ${count}`;
    const saved = await knex
      .transaction(async (trx) => {
        const secrets = store.tenant(tenant, { actor: 'writer', trx });
        let version = 0;
        await attempt(load, async () => {
          version = (await secrets.save('trx', value)).version;
          await secrets.get('trx');
        });
        return version > 0 ? { tenant, name: 'trx', version, value } : undefined;
      })
      .catch(() => undefined); // beginning and committing are the host's
    if (saved !== undefined) load.saved.push(saved);
  }
}

async function read(store: SecretStore, tenant: string, load: Load): Promise<void> {
  const index = TENANTS.indexOf(tenant);
  const secrets = store.tenant(tenant, { actor: 'reader' });
  load.read[index] = 0;
  while (!load.done) {
    await attempt(load, async () => {
      const { items } = await secrets.list({ limit: 3 });
      for (const { name } of items) {
        await secrets.get(name);
        load.read[index] = (load.read[index] ?? 0) + 1;
      }
      if (items.length === 0) await sleep(5);
    });
  }
}

async function attempt(load: Load, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    load.errors.push(error);
    await sleep(5);
  }
}
