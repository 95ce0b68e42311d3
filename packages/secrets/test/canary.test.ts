import { inspect } from 'node:util';
import { createKeyring, generateKeyBase64, isKeywrightError, type Logger } from '@keywright/envelope';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex from 'knex';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Fixture, openFixture, rejection } from './support.ts';

const CANARY = 'canary-5b1f0c';

describeEachEngine('a planted secret', (engine) => {
  let fixture: Fixture;
  const logged: string[] = [];
  const log = (message: string): void => {
    logged.push(message);
  };
  const logger: Logger = { debug: log, info: log, warn: log, error: log };

  beforeAll(async () => {
    fixture = await openFixture(engine, { logger });
    await fixture.tenant('acme').save('text', CANARY, { metadata: { env: 'test' } });
    await fixture.tenant('acme').save('json', { deep: [CANARY] });
    await fixture.tenant('acme').save('bytes', Buffer.from(CANARY));
  });
  afterAll(async () => {
    await fixture?.close();
  });

  /** Everything that a log line, an error page or a debugger might show of a value. */
  function shown(thing: unknown): string {
    const parts = [String(thing), inspect(thing, { depth: 10, showHidden: true }), JSON.stringify(thing) ?? ''];
    for (let error = thing; error instanceof Error; error = error.cause) parts.push(error.message, error.stack ?? '');
    return parts.join('\n');
  }

  it('is in no row of the database', async () => {
    for (const table of ['secrets', 'secret_versions', 'secret_tenant_keys', 'secret_root_keys', 'secret_audit_log']) {
      for (const row of await fixture.knex(table).select('*')) {
        for (const value of Object.values(row as object)) {
          const bytes = Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value));
          expect(bytes.includes(CANARY)).toBe(false);
        }
      }
    }
  });

  it('is in no binding that knex sees', async () => {
    const seen: string[] = [];
    const knex = createKnex(fixture.knex.client.config);
    knex.on('query', (query: unknown) => seen.push(inspect(query, { depth: 5, maxStringLength: null })));
    const store = fixture.reopen(fixture.root, { knex });
    await store.tenant('acme', { actor: 'x' }).save('observed', CANARY);
    await store.tenant('acme', { actor: 'x' }).get('observed');
    await knex.destroy();
    expect(seen.length).toBeGreaterThan(5);
    expect(seen.join('\n')).not.toContain(CANARY);
  });

  it('is not shown by a secret that is logged, inspected or serialised', async () => {
    for (const name of ['text', 'json', 'bytes']) {
      const secret = await fixture.tenant('acme').get(name);
      const text = shown(secret);
      expect(text).not.toContain(CANARY);
      expect(text).not.toContain(Buffer.from(CANARY).toString('base64'));
      expect(text).toContain('[secret]');
      expect(Object.keys(secret)).not.toContain('value');
      expect(secret.value).toBeDefined();
    }
  });

  it('is served by a store whose logger throws', async () => {
    const failing = (): void => {
      throw new Error('log file is full');
    };
    const store = fixture.reopen(fixture.root, { logger: { info: failing, warn: failing, error: failing } });
    const tenant = store.tenant('unlogged', { actor: 'x' });
    await tenant.save('text', CANARY);
    expect((await tenant.get('text')).value).toBe(CANARY);
    const { id } = await tenant.save('text', CANARY);
    await fixture.knex('secrets').where({ id }).update({ current_version: 1 });
    expect(await rejection(tenant.get('text'))).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
  });

  it('is in no error, whatever goes wrong', async () => {
    const tenant = fixture.tenant('acme');
    const errors: unknown[] = [];
    errors.push(await rejection(tenant.save('text', CANARY, { ifAbsent: true })));
    errors.push(await rejection(tenant.save('large', CANARY.repeat(1e5))));
    errors.push(await rejection(tenant.save(`\n${CANARY}`, CANARY)));
    errors.push(await rejection(tenant.save('bad', { [CANARY]: 1n, also: CANARY })));
    errors.push(await rejection(tenant.save('bad', `${CANARY}\ud800`)));
    errors.push(await rejection(tenant.save('bad', CANARY, { metadata: { a: `${CANARY}\0` } })));
    errors.push(await rejection(tenant.update('nothing', { value: CANARY })));
    await fixture
      .knex('secret_versions')
      .where({ version: 1 })
      .update({ ciphertext: Buffer.from(CANARY) });
    for (const name of ['text', 'json', 'bytes']) errors.push(await rejection(tenant.get(name)));
    const key = generateKeyBase64();
    const wrong = fixture.reopen(createKeyring({ keys: { v1: key }, activeKid: 'v1' }));
    errors.push(await rejection(wrong.ready()));
    await fixture.knex.schema.dropTable('secret_versions');
    errors.push(await rejection(tenant.save('text', CANARY)));
    await fixture.knex.destroy();
    errors.push(await rejection(tenant.save('text', CANARY)));
    for (const error of errors) {
      expect(isKeywrightError(error)).toBe(true);
      for (const secret of [CANARY, key, fixture.keys.v1 ?? '', Buffer.from(CANARY).toString('hex')]) {
        expect(shown(error)).not.toContain(secret);
      }
    }
    expect(shown(fixture.store) + shown(tenant) + shown(fixture.root)).not.toContain(fixture.keys.v1);
  });

  it('is in no log line', () => {
    expect(logged).toContain('secret.get refused: ERR_SECRETS_INTEGRITY');
    expect(logged.join('\n')).not.toContain(CANARY);
  });
});
