import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type ReconcileCounts, verifySignature } from '@keywright/kms';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BackendShape } from '../support/file-backend.ts';
import { type KeyFixture, openKeys, rejection } from '../support/key-fixture.ts';
import type { KeyTask, KeyWork } from '../support/key-worker.ts';

const DATA = Buffer.from('data to be signed');
const WORKER = fileURLToPath(new URL('../support/key-worker.ts', import.meta.url));

/** Where a process is killed. Each point has a tenant and two backends for itself: one process dies at all of them. */
const POINTS = (
  [
    ['create', 'before', 'from', 'createKey'],
    ['create', 'after', 'from', 'createKey'],
    ['delete', 'before', 'from', 'deleteKey'],
    ['delete', 'after', 'from', 'deleteKey'],
    ['reconcile', 'after', 'from', 'listKeys'],
    ['reconcile', 'before', 'from', 'deleteKey'],
    ['reconcile', 'after', 'from', 'deleteKey'],
    ['move', 'before', 'from', 'exportKey'],
    ['move', 'before', 'to', 'importKey'],
    ['move', 'after', 'to', 'importKey'],
    ['move', 'before', 'to', 'sign'],
    ['move', 'after', 'to', 'sign'],
    ['move', 'before', 'from', 'deleteKey'],
    ['move', 'after', 'from', 'deleteKey'],
  ] as const
).map(([call, when, backend, operation], index) => {
  return { call, when, backend, operation, tenantId: `tenant-${index}`, from: `from-${index}`, to: `to-${index}` };
});
type Point = (typeof POINTS)[number];
const pointsOf = (...calls: readonly KeyTask['call'][]): readonly Point[] =>
  POINTS.filter(({ call }) => calls.includes(call));

describeEachEngine('a process that is killed', (engine) => {
  let fixture: KeyFixture;
  beforeAll(async () => {
    const shapes = POINTS.flatMap(({ from, to }): [string, BackendShape][] => [
      [from, {}],
      [to, { assignsIds: true }],
    ]);
    fixture = await openKeys(engine, Object.fromEntries(shapes));
    const create = ({ tenantId, from }: Point): Promise<unknown> =>
      fixture.keys.tenant(tenantId).create({ keyId: 'k1', provider: from });
    for (const point of pointsOf('delete', 'move')) await create(point);
    for (const point of pointsOf('reconcile')) {
      fixture.backend(point.from).failAt('createKey', 'after', 'ERR_KMS_TIMEOUT', 1);
      await rejection(create(point));
    }
    await killAtAll();
  });
  afterAll(() => fixture?.close());

  /** Runs the calls in one process, each up to its point, and kills it there. */
  async function killAtAll(): Promise<void> {
    const backend = (id: string): KeyTask['from'] => {
      const { folder, shape } = fixture.backend(id);
      return { id, folder, shape };
    };
    const tasks = POINTS.map(({ from, to, ...point }) => ({ ...point, from: backend(from), to: backend(to) }));
    const work: KeyWork = { url: fixture.database.url, tasks };
    const child = fork(WORKER, [JSON.stringify(work)]);
    const exited = once(child, 'exit');
    let stopped = 0;
    const all = new Promise<void>((resolve) => {
      child.on('message', () => {
        stopped += 1;
        if (stopped === POINTS.length) resolve();
      });
    });
    await Promise.race([all, exited]);
    child.kill('SIGKILL');
    expect([stopped, ...(await exited)]).toEqual([POINTS.length, null, 'SIGKILL']);
  }

  /** All that is left of a point anywhere: rows, copies, and keys of both backends. */
  async function left({ tenantId, from, to }: Point): Promise<readonly number[]> {
    const own = async (table: string): Promise<number> =>
      (await fixture.rows(table)).filter(({ tenant_id: id }) => id === tenantId).length;
    const held = [from, to].map((id) => fixture.backend(id).ids().length);
    return [await own('kms_keys'), await own('kms_key_copies'), ...held];
  }

  /** What a later process finds at both backends of a point. */
  async function reconcile({ tenantId, from, to }: Point): Promise<ReconcileCounts> {
    await fixture.age({ tenant_id: tenantId });
    const keys = fixture.reopen();
    const { counts } = await keys.reconcile({ provider: from });
    const { counts: others } = await keys.reconcile({ provider: to });
    for (const one of [counts, others]) expect(one).toMatchObject({ orphans: 0, missing: 0, failures: 0, underWay: 0 });
    return counts;
  }

  it.each(pointsOf('create'))('$when $operation in a $call leaves a row by which all is found', async (point) => {
    const made = point.when === 'after' ? 1 : 0;
    const tenant = fixture.keys.tenant(point.tenantId);
    expect(await left(point)).toEqual([1, 0, made, 0]);
    expect(await tenant.find('k1')).toMatchObject({ status: 'creating' });

    // While it could still live, nobody touches it.
    const young = await fixture.keys.reconcile({ provider: point.from, olderThanMs: 0, deleteOrphans: true });
    expect(young.counts).toMatchObject({ underWay: 1, cleared: 0, orphans: 0 });
    expect(await left(point)).toEqual([1, 0, made, 0]);

    expect(await reconcile(point)).toMatchObject({ cleared: 1, deleted: made });
    expect(await left(point)).toEqual([0, 0, 0, 0]);
    await tenant.create({ keyId: 'k1', provider: point.from });
  });

  it.each(pointsOf('delete'))('$when $operation in a $call has the key deleted by the next', async (point) => {
    const tenant = fixture.keys.tenant(point.tenantId);
    expect(await tenant.find('k1')).toMatchObject({ status: 'deleting' });
    await expect(tenant.sign('k1', DATA)).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_USABLE' });
    expect(await reconcile(point)).toMatchObject({ deleted: 1 });
    expect(await left(point)).toEqual([0, 0, 0, 0]);
  });

  it.each(pointsOf('reconcile'))('$when $operation in a $call leaves it to the next', async (point) => {
    expect(await left(point)).toEqual([1, 0, point.operation === 'deleteKey' && point.when === 'after' ? 0 : 1, 0]);
    expect(await reconcile(point)).toMatchObject({ deleted: 1 });
    expect(await left(point)).toEqual([0, 0, 0, 0]);
  });

  it.each(pointsOf('move'))(
    '$when $operation at $backend in a $call leaves one key that signs, and nothing besides',
    async (point) => {
      const { publicJwk } = await fixture.keys.tenant(point.tenantId).get('k1');
      const signs = async (): Promise<boolean> => {
        const signature = await fixture.reopen().tenant(point.tenantId).sign('k1', DATA);
        return verifySignature('ES256', publicJwk, DATA, signature);
      };
      expect(await signs()).toBe(true);
      await reconcile(point);
      expect(await signs()).toBe(true);
      const moved = point.operation === 'deleteKey';
      expect((await fixture.keys.tenant(point.tenantId).get('k1')).providerId).toBe(moved ? point.to : point.from);
      expect(await left(point)).toEqual([1, 0, moved ? 0 : 1, moved ? 1 : 0]);
    },
  );
});
