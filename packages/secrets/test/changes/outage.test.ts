import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createSecretStore, type SecretStore } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Fixture, openFixture, rejection } from '../support.ts';
import { queriesDuring, summary, take } from './support.ts';

/** A way to a server that can be cut and mended. */
class Cable {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;

  constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
  }

  async mend(): Promise<number> {
    const server = createServer((near) => {
      const far = connect(this.#target);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.pipe(to);
        from.on('error', () => to.destroy());
        from.on('close', () => {
          to.destroy();
          this.#sockets.delete(from);
        });
      }
    });
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#server = server;
    this.#port = (server.address() as { port: number }).port;
    return this.#port;
  }

  async cut(): Promise<void> {
    const closed = this.#server === undefined ? undefined : once(this.#server, 'close');
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    this.#server = undefined;
  }
}

describeEachEngine('watching changes while the database is away', (engine) => {
  let fixture: Fixture;
  let cable: Cable;
  let knex: Knex;
  let store: SecretStore;
  const lines: string[] = [];

  if (engine.dialect === 'sqlite') {
    it('ends with an error when the pool was destroyed', async () => {
      fixture = await openFixture(engine, { changeFeed: true });
      const other = createKnex(fixture.knexConfig);
      const watch = fixture.reopen(fixture.root, { knex: other }).watch({ pollMs: 10 });
      await watch.start();
      await other.destroy();
      expect((await rejection(take(watch, 1))).code).toBe('ERR_SECRETS_DATABASE_CLOSED');
      await fixture.close();
    });
    return;
  }

  beforeAll(async () => {
    fixture = await openFixture(engine, { changeFeed: true });
    await fixture.store.ready();
  });
  afterAll(async () => await fixture?.close());
  beforeEach(async () => {
    const url = new URL(fixture.url);
    cable = new Cable({ host: url.hostname, port: Number(url.port) });
    url.host = `127.0.0.1:${await cable.mend()}`;
    knex = createKnex({ client: 'pg', connection: url.href, pool: { min: 0, max: 4 } });
    lines.length = 0;
    const log = (line: string): void => void lines.push(line);
    store = createSecretStore({
      knex,
      root: fixture.root,
      changeFeed: true,
      logger: { info: log, warn: log, error: log },
    });
  });
  afterEach(async () => {
    await store?.close();
    await knex?.destroy();
    await cable?.cut();
  });

  it('says gap once, tries again, and tells what was committed meanwhile', async () => {
    const watch = store.watch({ pollMs: 10 });
    await watch.start();
    await cable.cut();
    const [gap] = await take(watch, 1);
    expect(gap).toMatchObject({ type: 'gap', error: { code: 'ERR_SECRETS_DATABASE', retryable: true } });
    await fixture.tenant('t').save('meanwhile', 'x');
    const next = take(watch, 2);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await cable.mend();
    expect((await next).map(summary)).toEqual(['resumed', 'save meanwhile 1']);
    expect(lines.filter((line) => line.includes('interrupted'))).toEqual([
      'The change feed is interrupted: ERR_SECRETS_DATABASE.',
    ]);
    expect(lines).toContain('The change feed has resumed.');
  });

  it('starts when the database comes, and can be ended while it is away', async () => {
    await cable.cut();
    const stop = new AbortController();
    const ended = store.watch({ pollMs: 10, signal: stop.signal });
    const starting = ended.start();
    setTimeout(() => stop.abort(), 50);
    await starting;
    const watch = store.watch({ pollMs: 10 });
    const started = watch.start();
    await new Promise((resolve) => setTimeout(resolve, 100));
    await cable.mend();
    await started;
    await fixture.tenant('t').save('then', 'x');
    expect((await take(watch, 3)).map(summary)).toEqual(['gap', 'resumed', 'save then 1']);
  });

  it('keeps the read cache from serving, which goes on when the database is back', async () => {
    await fixture.tenant('t').save('key', 'one');
    const readCache = { maxSecrets: 10, maxAgeMs: 60_000, pollMs: 10 };
    const cached = createSecretStore({
      knex,
      root: fixture.root,
      changeFeed: true,
      readCache,
      audit: { reads: 'unaudited' }, // nothing but the cache would need the database
    });
    const tenant = cached.tenant('t', { actor: 'x' });
    const fromMemory = async (): Promise<boolean> => {
      const queries = await queriesDuring(knex, () => tenant.get('key'));
      return queries.every((sql) => sql.includes('secret_changes'));
    };
    while (!(await fromMemory())) await new Promise((resolve) => setTimeout(resolve, 10));
    await cable.cut();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await rejection(tenant.get('key'))).toMatchObject({ code: 'ERR_SECRETS_DATABASE', retryable: true });
    await fixture.tenant('t').save('key', 'two');
    await cable.mend();
    expect((await tenant.get('key')).value).toBe('two');
    while (!(await fromMemory())) await new Promise((resolve) => setTimeout(resolve, 10));
    expect((await tenant.get('key')).value).toBe('two');
    await cached.close();
  });

  it('ends with an error when the pool was destroyed', async () => {
    const watch = store.watch({ pollMs: 10 });
    await watch.start();
    await knex.destroy();
    expect((await rejection(take(watch, 1))).code).toBe('ERR_SECRETS_DATABASE_CLOSED');
  });
});
