import { copyFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { KmsError, type KmsProvider } from '@keywright/kms';
import { describeEachEngine, type TestEngine, testEngines } from '@keywright/testkit/engines';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type KeyFixture, openKeys, rejection } from '../support/key-fixture.ts';

const DATA = Buffer.from('data to be signed');
type OpenSqlite = new (file: string) => { exec(sql: string): void; close(): void };
const Sqlite = createRequire(import.meta.url)('better-sqlite3') as OpenSqlite;

describeEachEngine('beside reconcile', (engine) => {
  let fixture: KeyFixture;
  beforeAll(async () => {
    fixture = await openKeys(engine, { main: {}, vault: { assignsIds: true } });
  });
  afterEach(() => fixture.empty());
  afterAll(() => fixture?.close());

  it('a create that loses its answer after the list was read stays findable', async () => {
    const { acme, main } = fixture;
    main.step = async (operation, when) => {
      if (operation === 'createKey' && when === 'after') throw new KmsError('ERR_KMS_TIMEOUT');
      if (operation !== 'listKeys' || when !== 'after') return;
      await rejection(acme.create({ keyId: 'late' }));
    };
    expect((await fixture.reopen().reconcile({ olderThanMs: 0, provider: 'main' })).counts).toMatchObject({
      cleared: 0,
      underWay: 1,
    });
    expect(await acme.find('late')).toMatchObject({ status: 'creating' });
    main.step = undefined;
    const report = await fixture.reopen().reconcile({ olderThanMs: 0 });
    expect(report.counts).toMatchObject({ cleared: 1, deleted: 1, orphans: 0 });
    expect(main.ids()).toEqual([]);
  });

  it('a key that comes back to a place that is to be deleted is refused', async () => {
    const { acme, main } = fixture;
    const before = await acme.create({ keyId: 'k1' });
    main.failAt('deleteKey', 'before', 'ERR_KMS_UNAVAILABLE');
    expect(await acme.move('k1', { to: 'vault', import: true })).toMatchObject({ former: 'deleting' });
    main.step = undefined;
    await expect(acme.move('k1', { to: 'main', externalId: before.externalId })).rejects.toMatchObject({
      code: 'ERR_KMS_KEY_NOT_USABLE',
      context: { operation: 'move', state: 'deleting' },
    });
    await fixture.reopen().reconcile();
    expect(await acme.sign('k1', DATA)).toHaveLength(64);
    expect(main.ids()).toEqual([]);
  });
});

/** What another process does just before a statement: on SQLite, whose driver waits for nobody. */
describe('between two statements', () => {
  const [engine] = testEngines() as [TestEngine];
  let fixture: KeyFixture;
  afterEach(() => fixture?.close());

  /** Runs `sql` once, in a connection of its own, before the first statement that `isIt`. */
  function interleave(isIt: (sql: string) => boolean, ...sql: readonly string[]): () => boolean {
    let done = false;
    fixture.knex.on('query', (query: { readonly sql: string }) => {
      if (done || !isIt(query.sql)) return;
      done = true;
      const other = new Sqlite(new URL(fixture.database.url).pathname);
      for (const statement of sql) other.exec(statement);
      other.close();
    });
    return () => done;
  }

  it('a key that reaches its new place is no orphan there', async () => {
    fixture = await openKeys(engine, { main: {}, vault: {} });
    const { acme } = fixture;
    const name = 'f'.repeat(32);
    const old = await acme.create({ keyId: 'k1' });
    const vault = fixture.backend('vault').provider('vault');
    const privateJwk = await acme.exportKey('k1');
    await vault.importKey({ tenantId: 'acme', keyId: 'k1', alg: 'ES256', name, privateJwk });
    const [row] = await fixture.rows();
    const { public_jwk: _jwk, description: _text, ...copy } = row as Record<string, unknown>;
    const underWay = { name, provider_id: 'vault', external_id: null, status: 'creating', busy_until: 9e15 };
    await fixture.knex('kms_key_copies').insert({ ...copy, ...underWay });
    const met = interleave(
      (sql) => sql.includes('kms_key_copies') && sql.includes('external_id') && sql.includes(' in '),
      `update kms_key_copies set name = '${old.externalId}', provider_id = 'main', external_id = '${old.externalId}', status = 'deleting'`,
      `update kms_keys set name = '${name}', provider_id = 'vault', external_id = '${name}'`,
    );
    const report = await fixture.reopen().reconcile({ provider: 'vault', deleteOrphans: true });
    expect(met()).toBe(true);
    expect(report.orphans).toEqual([]);
    expect(await acme.sign('k1', DATA)).toHaveLength(64);
  });

  it('a key without a name is no orphan once its row says whose it is', async () => {
    fixture = await openKeys(engine, { main: { keepsNames: false, assignsIds: true } });
    const { acme, main } = fixture;
    const orphans: unknown[] = [];
    main.step = async (operation, when) => {
      if (operation !== 'createKey' || when !== 'after') return;
      main.step = undefined;
      const [externalId] = main.ids() as [string];
      const shown = await main.provider('main').getPublicKey(ref(externalId));
      interleave(
        (sql) => sql.includes('count('),
        `update kms_keys set status = 'active', external_id = '${externalId}', public_jwk = '${JSON.stringify(shown)}'`,
      );
      orphans.push(...(await fixture.keys.reconcile({ deleteOrphans: true })).orphans);
    };
    await rejection(acme.create({ keyId: 'k1' })); // its own last statement comes too late
    expect(orphans).toEqual([]);
    expect(await acme.sign('k1', DATA)).toHaveLength(64);
  });

  it('a key that is moved to a copy with the same id is not deleted from where it was', async () => {
    fixture = await openKeys(engine, { main: {}, replica: {} });
    const { acme, main } = fixture;
    const { externalId } = await acme.create({ keyId: 'k1' });
    copyFileSync(join(main.folder, externalId), join(fixture.backend('replica').folder, externalId));
    interleave((sql) => sql.startsWith('update'), `update kms_keys set provider_id = 'replica'`);
    await expect(acme.delete('k1')).rejects.toMatchObject({
      code: 'ERR_KMS_KEY_NOT_USABLE',
      context: { state: 'moved' },
    });
    expect(await acme.get('k1')).toMatchObject({ providerId: 'replica' });
    expect(main.ids()).toEqual([externalId]);
  });
});

function ref(externalId: string): Parameters<KmsProvider['getPublicKey']>[0] {
  return { tenantId: 'acme', keyId: 'k1', providerId: 'main', externalId, externalVersion: null, alg: 'ES256' };
}
