import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { createSecretStore, type SecretStore } from '@keywright/secrets';
import { pgBouncerProgram, startPgBouncer } from '@keywright/testkit';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest';
import { type Fixture, openFixture } from '../support.ts';
import { summary, take } from './support.ts';

const LISTENERS =
  "select pid, application_name from pg_stat_activity where query ~* '^(listen|select pg_notify)' and datname = current_database()";

describeEachEngine('notifications of changes', (engine) => {
  let fixture: Fixture;
  let tenantId: string;
  const knexes: Knex[] = [];
  const stores: SecretStore[] = [];
  const lines: string[] = [];

  /** A store as another process has one: a pool and a listening connection of its own. */
  function processOf(url = fixture.url): SecretStore {
    const knex = createKnex(fixture.knexConfig);
    const log = (line: string): void => void lines.push(line);
    const logger = { info: log, warn: log, error: log };
    const listen = { connection: url };
    const store = createSecretStore({ knex, root: fixture.root, changeFeed: true, listen, logger });
    knexes.push(knex);
    stores.push(store);
    return store;
  }

  async function listeners(): Promise<readonly { pid: number }[]> {
    return ((await fixture.knex.raw(LISTENERS)) as { rows: readonly { pid: number }[] }).rows;
  }

  async function until(count: number): Promise<void> {
    const deadline = Date.now() + 8_000;
    while ((await listeners()).length !== count) {
      if (Date.now() > deadline) throw new Error(`never ${count} listeners`);
      await sleep(20);
    }
  }

  if (engine.dialect === 'sqlite') {
    it('are refused where there are none', async () => {
      fixture = await openFixture(engine, { changeFeed: true });
      const open = () => fixture.reopen(fixture.root, { listen: { connection: 'postgres://localhost/x' } });
      const refused = {
        code: 'ERR_SECRETS_INVALID_ARGUMENT',
        context: expect.objectContaining({ argument: 'listen' }),
      };
      expect(open).toThrow(expect.objectContaining(refused));
      const without = () => fixture.reopen(fixture.root, { changeFeed: false, listen: { connection: 'x' } });
      expect(without).toThrow(expect.objectContaining(refused));
      await fixture.close();
    });
    return;
  }

  beforeAll(async () => {
    fixture = await openFixture(engine, { changeFeed: true });
    await fixture.store.ready();
  });
  afterAll(async () => await fixture?.close());
  beforeEach(() => {
    tenantId = randomUUID();
    lines.length = 0;
  });
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close()));
    await Promise.all(knexes.splice(0).map((knex) => knex.destroy()));
    await until(0);
  });

  it('wake a watch of another process long before its next poll', async () => {
    const [writer, reader] = [processOf(), processOf()];
    const watch = reader.watch({ pollMs: 3_600_000 });
    await watch.start();
    await until(1);
    await sleep(50); // past the poll that listening itself asks for
    await writer.tenant(tenantId, { actor: 'x' }).save('a', 'x');
    expect((await take(watch, 1)).map(summary)).toEqual(['save a 1']);
    await fixture.knex.transaction(async (trx) => {
      await writer.tenant(tenantId, { actor: 'x', trx }).save('a', 'y');
    });
    expect((await take(watch, 1)).map(summary)).toEqual(['save a 2']);
  });

  it('are sent at most about every 50 ms, however much is written, and after the commit', async () => {
    const [writer, reader] = [processOf(), processOf()];
    const watch = reader.watch({ pollMs: 3_600_000 });
    await watch.start();
    await until(1);
    const queries: string[] = [];
    for (const knex of knexes) knex.on('query', ({ sql }: { sql: string }) => queries.push(sql));
    const tenant = writer.tenant(tenantId, { actor: 'x' });
    const before = performance.now();
    for (let count = 0; count < 60; count++) await tenant.save(`n${count}`, 'x');
    const polls = queries.filter((sql) => sql.includes('pg_current_snapshot()')).length;
    const took = performance.now() - before;
    expect(polls).toBeLessThanOrEqual(Math.ceil(took / 50) + 2);
    expect(queries.filter((sql) => /notify/i.test(sql))).toEqual([]); // not on any pool
    expect(await take(watch, 60)).toHaveLength(60);
  });

  it('may be lost: the next poll finds the change, and the connection comes back', async () => {
    const [writer, reader] = [processOf(), processOf()];
    const watch = reader.watch({ pollMs: 200 });
    await watch.start();
    await until(1);
    const [listener] = await listeners();
    await fixture.knex.raw('select pg_terminate_backend(?)', [listener?.pid ?? 0]);
    await writer.tenant(tenantId, { actor: 'x' }).save('unheard', 'x');
    expect((await take(watch, 1)).map(summary)).toEqual(['save unheard 1']);
    await until(2); // the writer's, and the reader's new one
    expect(lines.filter((line) => line.startsWith('The connection of listen was lost'))).toHaveLength(1);
    await sleep(50);
    const patient = reader.watch({ pollMs: 3_600_000 });
    await patient.start();
    await writer.tenant(tenantId, { actor: 'x' }).save('heard', 'x');
    expect((await take(patient, 1)).map(summary)).toEqual(['save heard 1']);
  });

  it('cost nothing but time where nobody can connect, and the log names no address', async () => {
    const store = processOf('postgres://user:canary-password@127.0.0.1:1/none');
    const watch = store.watch({ pollMs: 50 });
    await watch.start();
    await store.tenant(tenantId, { actor: 'x' }).save('a', 'x');
    expect((await take(watch, 1)).map(summary)).toEqual(['save a 1']);
    await sleep(100);
    expect(lines.some((line) => line.startsWith('The connection of listen was lost: ERR_SECRETS_DATABASE'))).toBe(true);
    expect(lines.join()).not.toMatch(/canary|127\.0\.0\.1/);
  });

  it('are not tried for more often than is polite while nobody can connect, however much is written', async () => {
    const url = await impostor((socket) => socket.destroy());
    const tenant = processOf(url.href).tenant(tenantId, { actor: 'x' });
    for (let count = 0; count < 20; count++) {
      await tenant.save('a', 'x');
      await sleep(20);
    }
    expect(url.connections()).toBeLessThanOrEqual(2);
  });

  it('keep nobody from closing the store where the server does not answer', async () => {
    const url = await impostor(() => {});
    const store = processOf(url.href);
    await store.watch({ pollMs: 10 }).start();
    while (url.connections() === 0) await sleep(5);
    const before = performance.now();
    await store.close();
    expect(performance.now() - before).toBeLessThan(3_000);
  });

  it('are refused at once for a connection that is none, and the error does not hold it', () => {
    const open = () => processOf('postgres://user:canary-password@host:none/x');
    expect(open).toThrow(
      expect.objectContaining({
        code: 'ERR_SECRETS_INVALID_ARGUMENT',
        context: expect.objectContaining({ argument: 'listen.connection' }),
      }),
    );
    try {
      open();
    } catch (error) {
      expect(inspect(error, { depth: 9 })).not.toContain('canary');
    }
  });

  it.skipIf(pgBouncerProgram() === undefined)('are not listened to through a pooler', async () => {
    const bouncer = await startPgBouncer({ upstream: fixture.url });
    try {
      const store = processOf(bouncer.url);
      const watch = store.watch({ pollMs: 50 });
      await watch.start();
      await store.tenant(tenantId, { actor: 'x' }).save('a', 'x');
      expect((await take(watch, 1)).map(summary)).toEqual(['save a 1']);
      const deadline = Date.now() + 5_000;
      while (!lines.some((line) => line.includes('pooler')) && Date.now() < deadline) await sleep(20);
      expect(lines.filter((line) => line.includes('goes through a pooler'))).toHaveLength(1);
    } finally {
      await Promise.all(stores.splice(0).map((each) => each.close()));
      await bouncer.stop();
    }
  });
});

/** The address of a server that speaks no PostgreSQL. */
async function impostor(meet: (socket: Socket) => void): Promise<{ readonly href: string; connections(): number }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    meet(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { href: `postgres://user:password@127.0.0.1:${port}/none`, connections: () => sockets.length };
}
