import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { verifySignature } from '@keywright/kms';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type KeyFixture, openKeys } from '../support/key-fixture.ts';
import type { KeyTask } from '../support/key-worker.ts';

const DATA = Buffer.from('data to be signed');
const WORKER = fileURLToPath(new URL('../support/key-worker.ts', import.meta.url));

describeEachEngine('a process that is killed', (engine) => {
  let fixture: KeyFixture;
  beforeAll(async () => {
    fixture = await openKeys(engine, { main: {}, vault: { assignsIds: true } });
  });
  afterEach(() => fixture.empty());
  afterAll(() => fixture?.close());

  /** Runs a call in a process of its own, up to a point, and kills it there. */
  async function kill(call: KeyTask['call'], at: KeyTask['at']): Promise<void> {
    const backends = Object.fromEntries(
      ['main', 'vault'].map((id) => [id, { folder: fixture.backend(id).folder, shape: fixture.backend(id).shape }]),
    );
    const task: KeyTask = { url: fixture.database.url, backends, call, at };
    const child = fork(WORKER, [JSON.stringify(task)]);
    const exited = once(child, 'exit');
    const [message] = await Promise.race([once(child, 'message'), exited]);
    expect(message).toBe('stopped');
    child.kill('SIGKILL');
    expect(await exited).toEqual([null, 'SIGKILL']);
  }

  /** All that is left anywhere: rows, copies, and keys of both backends. */
  const left = async (): Promise<readonly number[]> => [
    (await fixture.rows()).length,
    (await fixture.rows('kms_key_copies')).length,
    fixture.main.ids().length,
    fixture.backend('vault').ids().length,
  ];

  it.each([
    ['before', 0],
    ['after', 1],
  ] as const)('%s the backend made the key leaves a row by which all of it is found', async (when, made) => {
    await kill('create', { backend: 'main', operation: 'createKey', when });
    expect(await left()).toEqual([1, 0, made, 0]);
    expect(await fixture.acme.find('k1')).toMatchObject({ status: 'creating' });

    // While it could still live, nobody touches it.
    const young = await fixture.keys.reconcile({ olderThanMs: 0, deleteOrphans: true });
    expect(young.counts).toMatchObject({ underWay: 1, cleared: 0, orphans: 0 });
    expect(await left()).toEqual([1, 0, made, 0]);

    await fixture.age();
    expect((await fixture.keys.reconcile()).counts).toMatchObject({ cleared: 1, deleted: made, orphans: 0 });
    expect(await left()).toEqual([0, 0, 0, 0]);
    await fixture.acme.create({ keyId: 'k1' });
  });

  it.each(['before', 'after'] as const)('%s the backend deleted the key has it deleted by the next', async (when) => {
    await fixture.acme.create({ keyId: 'k1' });
    await kill('delete', { backend: 'main', operation: 'deleteKey', when });
    expect(await fixture.acme.find('k1')).toMatchObject({ status: 'deleting' });
    await expect(fixture.acme.sign('k1', DATA)).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_USABLE' });
    expect((await fixture.keys.reconcile()).counts).toMatchObject({ deleted: 1, failures: 0, orphans: 0 });
    expect(await left()).toEqual([0, 0, 0, 0]);
  });

  it.each([
    ['before', 'main', 'exportKey'],
    ['before', 'vault', 'importKey'],
    ['after', 'vault', 'importKey'],
    ['before', 'vault', 'sign'],
    ['after', 'vault', 'sign'],
    ['before', 'main', 'deleteKey'],
    ['after', 'main', 'deleteKey'],
  ] as const)(
    'in a move, %s %s did %s, leaves one key that signs, and nothing besides',
    async (when, backend, operation) => {
      const { publicJwk } = await fixture.acme.create({ keyId: 'k1' });
      await kill('move', { backend, operation, when });
      const signs = async (): Promise<boolean> =>
        verifySignature('ES256', publicJwk, DATA, await fixture.reopen().tenant('acme').sign('k1', DATA));
      expect(await signs()).toBe(true);
      await fixture.age();
      expect((await fixture.reopen().reconcile()).counts).toMatchObject({ failures: 0, orphans: 0, missing: 0 });
      expect(await signs()).toBe(true);
      const moved = operation === 'deleteKey';
      expect((await fixture.acme.get('k1')).providerId).toBe(moved ? 'vault' : 'main');
      expect(await left()).toEqual([1, 0, moved ? 0 : 1, moved ? 1 : 0]);
    },
  );
});
