import { type BackendKeyPage, defineProvider, KmsError, type KmsProvider, type ReconcileReport } from '@keywright/kms';
import { describeEachEngine, type TestDatabase } from '@keywright/testkit/engines';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BackendShape } from '../support/file-backend.ts';
import { type KeyFixture, openKeys, registryOf, rejection } from '../support/key-fixture.ts';

const NOTHING = { cleared: 0, deleted: 0, underWay: 0, orphans: 0, missing: 0, unresolved: 0, failures: 0 };
const SHAPES: Readonly<Record<string, BackendShape>> = {
  'lists all its keys': {},
  'keeps tenants apart': { lists: 'by-tenant' },
  'keeps no names': { keepsNames: false },
  'has ids of its own': { assignsIds: true },
  'cannot list': { lists: 'no' },
};

describeEachEngine('reconcile', (engine) => {
  let database: TestDatabase;
  let fixture: KeyFixture;
  beforeAll(async () => {
    database = await engine.createDatabase();
  });
  afterEach(() => fixture?.empty());
  afterAll(() => database?.drop());

  /** As a later process would call it. */
  const reconcile = (options = {}): Promise<ReconcileReport> => fixture.reopen().reconcile(options);
  const loseAnswer = async (keyId: string, code: KmsError['code'] = 'ERR_KMS_TIMEOUT'): Promise<void> => {
    fixture.main.failAt('createKey', 'after', code, 1);
    await rejection(fixture.acme.create({ keyId }));
    fixture.main.step = undefined;
  };

  describe.each(Object.entries(SHAPES))('where the backend %s', (_title, shape) => {
    beforeAll(async () => {
      fixture = await openKeys(engine, { main: shape }, database);
    });
    afterAll(() => fixture?.close());

    it('finds nothing to do where nothing is wrong', async () => {
      for (const tenant of ['acme', 'globex']) await fixture.keys.tenant(tenant).create({ keyId: 'k1' });
      const report = await reconcile();
      expect(report).toMatchObject({ counts: NOTHING, orphans: [], missing: [], unresolved: [], failures: [] });
      expect(fixture.main.ids()).toHaveLength(2);
    });

    it('clears away what a lost answer had made, and frees the id', async () => {
      await fixture.acme.create({ keyId: 'good' });
      await loseAnswer('lost');
      expect(fixture.main.ids()).toHaveLength(2);
      expect((await reconcile()).counts).toMatchObject({ underWay: 1, cleared: 0 });
      expect(await fixture.rows()).toHaveLength(2);
      expect((await reconcile({ olderThanMs: 0 })).counts).toEqual({
        ...NOTHING,
        cleared: 1,
        deleted: 1,
        checked: expect.any(Number),
      });
      expect((await fixture.rows()).map(({ key_id: id }) => id)).toEqual(['good']);
      expect(fixture.main.ids()).toHaveLength(1);
      await fixture.acme.sign('good', Buffer.of(1));
      await fixture.acme.create({ keyId: 'lost' });
    });

    it('clears away a create of which nothing was made', async () => {
      await fixture.acme.create({ keyId: 'good' });
      fixture.main.failAt('createKey', 'before', 'ERR_KMS_UNAVAILABLE', 1);
      await rejection(fixture.acme.create({ keyId: 'k1' }));
      await fixture.age();
      expect((await reconcile()).counts).toMatchObject({ cleared: 1, unresolved: 0, failures: 0 });
      expect(await fixture.rows()).toHaveLength(1);
    });

    it('finishes a delete that failed', async () => {
      await fixture.acme.create({ keyId: 'k1' });
      fixture.main.failAt('deleteKey', 'before', 'ERR_KMS_DENIED');
      await rejection(fixture.acme.delete('k1'));
      const report = await reconcile();
      expect(report.failures).toEqual([{ providerId: 'main', tenantId: 'acme', keyId: 'k1', code: 'ERR_KMS_DENIED' }]);
      expect(await fixture.acme.find('k1')).toMatchObject({ status: 'deleting', attempts: 2 });
      fixture.main.step = undefined;
      expect((await reconcile()).counts).toMatchObject({ deleted: 1, failures: 0 });
      expect(await fixture.rows()).toEqual([]);
      expect(fixture.main.ids()).toEqual([]);
    });

    it('reports an active key that is gone, and leaves its row', async () => {
      await fixture.acme.create({ keyId: 'there' });
      const { externalId } = await fixture.acme.create({ keyId: 'gone' });
      fixture.main.lose(externalId);
      // by a later process, and by the one that made it and has its public key in memory
      for (const report of [await reconcile(), await fixture.keys.reconcile()]) {
        expect(report.missing).toEqual([{ providerId: 'main', tenantId: 'acme', keyId: 'gone' }]);
      }
      expect(await fixture.rows()).toHaveLength(2);
    });

    it('does not touch a create under way, whatever it is told', async () => {
      await fixture.acme.create({ keyId: 'good' });
      fixture.main.step = async (operation, when) => {
        if (operation !== 'createKey' || when !== 'after') return;
        const report = await reconcile({ olderThanMs: 0, deleteOrphans: true });
        expect(report).toMatchObject({ counts: { underWay: 1, cleared: 0, orphans: 0 } });
      };
      const key = await fixture.acme.create({ keyId: 'k1' });
      fixture.main.step = undefined;
      expect(await fixture.acme.sign(key, Buffer.of(1))).toHaveLength(64);
    });

    it('does no harm twice at once, beside creates and deletes', async () => {
      for (const keyId of ['d1', 'd2', 'd3']) await fixture.acme.create({ keyId });
      await loseAnswer('lost');
      const work = ['n1', 'n2', 'n3'].map((keyId) => fixture.acme.create({ keyId }));
      const deletes = ['d1', 'd2', 'd3'].map((keyId) => fixture.acme.delete(keyId));
      const sweeps = [0, 1, 2].map(() => reconcile({ olderThanMs: 0, deleteOrphans: true }));
      await Promise.all([...work, ...deletes, ...sweeps]);
      expect((await fixture.rows()).map(({ key_id: id, status }) => `${id} ${status}`)).toEqual([
        'n1 active',
        'n2 active',
        'n3 active',
      ]);
      expect(fixture.main.ids()).toHaveLength(3);
      for (const keyId of ['n1', 'n2', 'n3']) await fixture.acme.sign(keyId, Buffer.of(1));
    });
  });

  describe('orphans', () => {
    beforeAll(async () => {
      fixture = await openKeys(engine, { main: {}, other: {} }, database);
    });
    afterAll(() => fixture?.close());

    /** The default provider with another list. */
    const listing = (page: (options: { readonly cursor?: string | undefined }) => object): KmsProvider => {
      const listKeys = async (options: object): Promise<BackendKeyPage> => page(options) as BackendKeyPage;
      const driver = { ...fixture.main.driver(), listKeys };
      return defineProvider(driver, { id: 'main', retries: 0 });
    };
    const strand = async (keyId: string, provider = 'main'): Promise<void> => {
      await fixture.acme.create({ keyId, provider });
      await fixture.knex('kms_keys').where({ key_id: keyId }).delete();
    };

    it('are reported, and deleted only where that is asked for', async () => {
      const key = await fixture.acme.create({ keyId: 'good' });
      await strand('k1');
      const found = { providerId: 'main', tenantId: 'acme', keyId: 'k1', externalId: expect.any(String) };
      expect((await reconcile()).orphans).toEqual([{ ...found, name: expect.any(String), deleted: false }]);
      expect(fixture.main.ids()).toHaveLength(2);
      expect((await reconcile({ deleteOrphans: true })).orphans).toMatchObject([{ ...found, deleted: true }]);
      expect(fixture.main.ids()).toEqual([key.externalId]);
    });

    it('are reported where deleting them fails', async () => {
      await strand('k1');
      fixture.main.failAt('deleteKey', 'before', 'ERR_KMS_DENIED');
      const report = await reconcile({ deleteOrphans: true });
      expect(report.orphans).toMatchObject([{ keyId: 'k1', deleted: false }]);
      expect(report.failures).toMatchObject([{ providerId: 'main', code: 'ERR_KMS_DENIED' }]);
    });

    it('are not the keys of another provider on the same backend', async () => {
      const registry = registryOf([fixture.main.provider('main'), fixture.main.provider('second')]);
      const keys = fixture.reopen({ registry });
      await keys.tenant('acme').create({ keyId: 'k1', provider: 'main' });
      await keys.tenant('acme').create({ keyId: 'k2', provider: 'second' });
      expect((await keys.reconcile({ deleteOrphans: true })).orphans).toEqual([]);
      expect(fixture.main.ids()).toHaveLength(2);
    });

    it('and gone keys are found in many pages, and counted beyond what is listed', async () => {
      await fixture.acme.create({ keyId: 'k0' });
      const [row] = (await fixture.rows()) as [Record<string, unknown>];
      const gone = Array.from({ length: 210 }, (_, index) => `gone-${index}`);
      const jwk = JSON.stringify(row.public_jwk);
      const rows = gone.map((id) => ({ ...row, key_id: id, name: id, external_id: id, public_jwk: jwk }));
      await fixture.knex.batchInsert('kms_keys', rows, 50);
      const stray = Array.from({ length: 1_150 }, (_, index) => ({ externalId: `x${10_000 + index}` }));
      const main = listing(({ cursor = '' }) => {
        const keys = stray.filter(({ externalId }) => externalId > cursor).slice(0, 100);
        return { keys, cursor: keys.at(-1)?.externalId };
      });
      const progress: number[] = [];
      const onProgress = ({ checked }: { checked: number }): void => void progress.push(checked);
      const report = await fixture.reopen({ registry: registryOf([main]) }).reconcile({ onProgress });
      expect(report.counts).toMatchObject({ ...NOTHING, orphans: 1_150, missing: 210 });
      expect(report.missing.map(({ keyId }) => keyId).toSorted()).toEqual(gone.toSorted());
      expect(report.orphans.map(({ externalId }) => ({ externalId }))).toEqual(stray.slice(0, 1_000));
      expect(progress.length).toBeGreaterThan(14);
      expect(progress).toEqual(progress.toSorted((one, other) => one - other));
    });

    it('of one provider are looked for where one is named', async () => {
      await strand('k1');
      await strand('k2', 'other');
      expect((await reconcile({ provider: 'other' })).orphans).toMatchObject([{ providerId: 'other', keyId: 'k2' }]);
      expect((await reconcile()).counts.orphans).toBe(2);
    });

    it('of a provider that answers are found though another is away, or no longer configured', async () => {
      await fixture.acme.create({ keyId: 'k0' });
      await strand('k2', 'other');
      fixture.main.failAt('listKeys', 'before', 'ERR_KMS_UNAVAILABLE');
      const away = await reconcile();
      expect(away.orphans).toMatchObject([{ providerId: 'other' }]);
      expect(away.failures).toEqual([{ providerId: 'main', code: 'ERR_KMS_UNAVAILABLE' }]);
      const without = fixture.reopen({ registry: registryOf([fixture.backend('other').provider('other')]) });
      expect(await without.reconcile()).toMatchObject({
        orphans: [{ providerId: 'other' }],
        failures: [{ providerId: 'main', code: 'ERR_KMS_PROVIDER_UNKNOWN' }],
      });
      await expect(without.reconcile({ provider: 'main' })).rejects.toMatchObject({ code: 'ERR_KMS_PROVIDER_UNKNOWN' });
    });

    it('are not keys that rows name by the backend’s own id', async () => {
      const key = await fixture.acme.create({ keyId: 'k1' });
      const other = fixture.backend('other').provider('other');
      const privateJwk = await fixture.acme.exportKey('k1');
      const { externalId } = await other.importKey({ tenantId: 'acme', keyId: 'k1', privateJwk, alg: 'ES256' });
      await fixture.acme.move('k1', { to: 'other', externalId });
      expect((await reconcile({ deleteOrphans: true })).orphans).toEqual([]);
      expect(await fixture.acme.get('k1')).toMatchObject({ externalId, publicJwk: key.publicJwk });
      expect(fixture.backend('other').ids()).toEqual([externalId]);
    });

    it('are not what was deleted meanwhile, nor missing', async () => {
      const { externalId } = await fixture.acme.create({ keyId: 'k1' });
      fixture.main.lose(externalId);
      fixture.main.step = async (operation) => {
        if (operation === 'getPublicKey') await fixture.knex('kms_keys').delete();
      };
      expect(await reconcile()).toMatchObject({ missing: [], orphans: [] });
    });

    it.each([
      ['a name that no database takes', () => ({ keys: [{ externalId: 'x', name: 'a\0b' }], cursor: undefined })],
      ['an id that is too long', () => ({ keys: [{ externalId: 'x'.repeat(513) }], cursor: undefined })],
      ['no id', () => ({ keys: [{}], cursor: undefined })],
      ['no keys', () => ({})],
      ['one page for ever', () => ({ keys: [], cursor: 'again' })],
    ])('are not looked for in a list with %s, and other providers are gone through', async (_title, page) => {
      await strand('k2', 'other');
      const registry = registryOf([listing(page), fixture.backend('other').provider('other')]);
      const report = await fixture.reopen({ registry }).reconcile({ deleteOrphans: true });
      expect(report.orphans).toMatchObject([{ providerId: 'other', keyId: 'k2', deleted: true }]);
      expect(report.failures).toMatchObject([{ providerId: 'main' }]);
    });

    it('are found in a page that is longer than was asked for', async () => {
      const keys = Array.from({ length: 250 }, (_, index) => ({ externalId: `x${index}` }));
      const registry = registryOf([listing(() => ({ keys }))]);
      expect((await fixture.reopen({ registry }).reconcile()).counts).toMatchObject({ orphans: 250, failures: 0 });
    });

    it('are not looked for where the list is refused, and the rest is done', async () => {
      await fixture.acme.create({ keyId: 'good' });
      await loseAnswer('lost');
      await fixture.age();
      await fixture.acme.create({ keyId: 'k0' });
      fixture.main.failAt('deleteKey', 'before', 'ERR_KMS_TIMEOUT', 1);
      await rejection(fixture.acme.delete('k0'));
      fixture.main.failAt('listKeys', 'before', 'ERR_KMS_DENIED');
      const report = await reconcile({ provider: 'main' });
      expect(report.failures).toEqual([{ providerId: 'main', code: 'ERR_KMS_DENIED' }]);
      expect(report.counts).toMatchObject({ deleted: 2, cleared: 1 });
      expect(fixture.main.ids()).toEqual([(await fixture.acme.get('good')).externalId]);
    });
  });

  describe('where the backend neither keeps names nor takes them for ids', () => {
    beforeAll(async () => {
      fixture = await openKeys(engine, { main: { keepsNames: false, assignsIds: true } }, database);
    });
    afterAll(() => fixture?.close());

    it.each(['main', 'second'])('takes no key for an orphan that %s may be making', async (provider) => {
      const registry = registryOf(['main', 'second'].map((id) => fixture.main.provider(id)));
      const keys = fixture.reopen({ registry });
      fixture.main.step = async (operation, when) => {
        if (operation !== 'createKey' || when !== 'after') return;
        const report = await keys.reconcile({ provider: 'main', olderThanMs: 0, deleteOrphans: true });
        expect(report.orphans).toEqual([]);
      };
      const key = await keys.tenant('acme').create({ keyId: 'k1', provider });
      fixture.main.step = undefined;
      expect(await keys.tenant('acme').sign(key, Buffer.of(1))).toHaveLength(64);
    });
  });

  describe('calls', () => {
    beforeAll(async () => {
      fixture = await openKeys(engine, { main: { lists: 'no', assignsIds: true } }, database);
    });
    afterAll(() => fixture?.close());

    it('leave unresolved what they cannot find out', async () => {
      await fixture.acme.create({ keyId: 'good' });
      await loseAnswer('lost');
      const report = await reconcile({ olderThanMs: 0 });
      expect(report.unresolved).toEqual([{ providerId: 'main', tenantId: 'acme', keyId: 'lost' }]);
      expect(report.counts).toMatchObject({ ...NOTHING, unresolved: 1 });
      expect(await fixture.acme.find('lost')).toMatchObject({ status: 'creating' });
      expect(fixture.main.ids()).toHaveLength(2);
    });

    it('end at their signal, and refuse what cannot be', async () => {
      await expect(reconcile({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ERR_KMS_ABORTED' });
      await fixture.acme.create({ keyId: 'k1' });
      const ending = new AbortController();
      fixture.main.step = () => ending.abort();
      await expect(reconcile({ signal: ending.signal })).rejects.toMatchObject({ code: 'ERR_KMS_ABORTED' });
      for (const options of [{ olderThanMs: -1 }, { deleteOrphans: 'yes' }, { provider: '' }, { onProgress: 1 }, 7]) {
        await expect(reconcile(options as object)).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
      }
    });

    it('end with what the host’s own callback throws', async () => {
      const own = new Error('of the host');
      const onProgress = (): never => {
        throw own;
      };
      await expect(reconcile({ onProgress })).rejects.toBe(own);
    });

    it('fail with the database, and not as a failure of a provider', async () => {
      await fixture.acme.create({ keyId: 'k1' });
      const error = await rejection(fixture.reopen({ tables: { prefix: 'no_' } }).reconcile());
      expect(error).toBeInstanceOf(KmsError);
      expect(error.code).toBe('ERR_KMS_NOT_MIGRATED');
    });
  });
});
