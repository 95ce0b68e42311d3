import knex, { type Knex } from 'knex';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEachEngine } from '../src/engines.ts';
import { type PgBouncerOptions, pgBouncerProgram, startPgBouncer } from '../src/pgbouncer.ts';
import type { TestServer } from '../src/postgres.ts';
import { requireOrSkip } from '../src/requirement.ts';

const there = requireOrSkip('pgbouncer', pgBouncerProgram(), 'On Debian, install pgbouncer.') !== undefined;

describeEachEngine(
  'PgBouncer',
  (engine) => {
    describe.skipIf(!there)(there ? 'before it' : 'before it (pgbouncer is not installed)', () => {
      let db: Knex;
      let upstream: string;
      let drop: () => Promise<void>;

      beforeAll(async () => {
        const database = await engine.createDatabase();
        upstream = database.url;
        db = knex(database.knexConfig);
        await db.raw(`create role pgb_${engine.name} login password 'it''s "quoted"'`);
        drop = database.drop;
      });
      afterAll(async () => {
        await db.raw(`drop role pgb_${engine.name}`);
        await db.destroy();
        await drop();
      });

      async function through(options: Partial<PgBouncerOptions>, work: (server: TestServer) => Promise<void>) {
        const server = await startPgBouncer({ upstream, ...options });
        try {
          await work(server);
        } finally {
          await server.stop();
        }
      }

      it('gives the connections of one transaction to the next one, whoever asks', async () => {
        await through({ poolSize: 1 }, async ({ url }) => {
          const clients = [1, 2].map(() => new Client({ connectionString: url }));
          await Promise.all(clients.map((client) => client.connect()));
          const pids = await Promise.all(clients.map(async (client) => await client.query('select pg_backend_pid()')));
          expect(pids[0]?.rows).toEqual(pids[1]?.rows);
          await Promise.all(clients.map((client) => client.end()));
        });
      });

      it('keeps a connection for a session when asked to', async () => {
        await through({ poolMode: 'session', poolSize: 2 }, async ({ url }) => {
          const clients = [1, 2].map(() => new Client({ connectionString: url }));
          await Promise.all(clients.map((client) => client.connect()));
          const pids = await Promise.all(clients.map(async (client) => await client.query('select pg_backend_pid()')));
          expect(pids[0]?.rows).not.toEqual(pids[1]?.rows);
          await Promise.all(clients.map((client) => client.end()));
        });
      });

      it('lets further users in by their passwords, and nobody by another', async () => {
        const name = `pgb_${engine.name}`;
        const password = 'it\'s "quoted"';
        await through({ users: { [name]: password } }, async ({ url }) => {
          const address = new URL(url);
          address.username = name;
          address.password = encodeURIComponent(password);
          const client = new Client({ connectionString: address.href });
          await client.connect();
          expect((await client.query('select current_user as name')).rows).toEqual([{ name }]);
          await client.end();
          address.password = 'wrong';
          await expect(new Client({ connectionString: address.href }).connect()).rejects.toMatchObject({
            code: '08P01',
          });
        });
      });

      it('is gone when it is stopped', async () => {
        let address = '';
        await through({}, async ({ url }) => {
          address = url;
        });
        await expect(new Client({ connectionString: address }).connect()).rejects.toMatchObject({
          code: 'ECONNREFUSED',
        });
      });

      it('that cannot start says why', async () => {
        await expect(startPgBouncer({ upstream, poolMode: 'nonsense' as never })).rejects.toMatchObject({
          code: 'ERR_TESTKIT_SERVER_START_FAILED',
          message: expect.stringMatching(/^PgBouncer did not start\n.*pool_mode/s),
        });
      });
    });
  },
  { engines: 'postgres' },
);
