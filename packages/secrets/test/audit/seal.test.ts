import { setTimeout as sleep } from 'node:timers/promises';
import { createKeyring } from '@keywright/envelope';
import { type AuditSigner, generateAuditSigner, openSignedCheckpoint, verifierKey } from '@keywright/secrets/audit';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Fixture, openFixture, rejection } from '../support.ts';
import { act, another, openSealed, SIGNER, SIGNING, sealedRows, undone, VERIFIER_KEY } from './support.ts';

describeEachEngine('sealing', (engine) => {
  let fixture: Fixture;

  beforeAll(async () => {
    fixture = await openSealed(engine);
    await act(fixture.store, 'acme', 5);
    await fixture.store.audit.seal();
  });
  afterAll(async () => {
    await fixture?.close();
  });

  beforeEach(async () => {
    await another(fixture).audit.seal();
  });

  const unsealed = async (): Promise<number> => {
    const [row] = await fixture.knex('secret_audit_log').whereNull('leaf_index').count({ rows: '*' });
    return Number(row?.rows);
  };

  it('gives every row one leaf, signs the tree, and then has nothing to do', async () => {
    await act(fixture.store, 'acme', 3);
    const seen: number[] = [];
    const { sealed, forged, checkpoint } = await fixture.store.audit.seal({ onProgress: (rows) => seen.push(rows) });
    expect([sealed, forged, seen]).toEqual([3, 0, [3]]);
    const rows = await sealedRows(fixture.knex);
    expect(rows.map(({ leaf_index: leaf }) => leaf)).toEqual(rows.map((_, index) => index));
    expect(openSignedCheckpoint(checkpoint?.note ?? '', VERIFIER_KEY)).toMatchObject({
      valid: true,
      checkpoint: { origin: SIGNER.name, treeSize: rows.length },
    });
    expect(await fixture.store.audit.seal()).toMatchObject({ sealed: 0, checkpoint });
    expect(await fixture.store.audit.checkpoint()).toEqual(checkpoint);
    expect((await fixture.tenant('acme').auditLog()).items.filter((item) => item.sealed)).toHaveLength(8);
  });

  it('grows tile by tile, whatever the batches', async () => {
    await undone(fixture.knex, async () => {
      for (const count of [1, 250, 1, 6, 300]) {
        await act(fixture.store, 'tiles', count);
        await another(fixture).audit.seal();
      }
      expect(await another(fixture).audit.verify()).toMatchObject({ intact: true, unsealed: 0 });
    });
  });

  it('shows every edit and forgery of unsealed rows', async () => {
    await undone(fixture.knex, async () => {
      await act(fixture.store, 'acme', 2);
      const rows = await fixture.knex('secret_audit_log').whereNull('leaf_index').orderBy('id');
      const row = rows.find(({ payload }) => payload !== null);
      const own = () => fixture.knex('secret_audit_log').where({ id: row.id });
      const changes = {
        at: new Date(0),
        actor: 'x',
        action: 'secret.list',
        secret_id: row.id,
        secret_name: 'other',
        version: 9,
        outcome: 'refused',
        context: '{}x',
        payload: Buffer.from('{}'),
        salt: Buffer.alloc(16),
        payload_hash: Buffer.alloc(32),
        mac: Buffer.alloc(48),
      };
      for (const [column, value] of Object.entries(changes)) {
        await own().update({ [column]: value });
        const result = await fixture.store.audit.verify();
        expect(result, column).toMatchObject({ intact: false, unsealed: 2, bad: 1, firstBad: { rowId: row.id } });
        await own().update({ [column]: row[column] });
      }
      const id = '01890a5d-ac96-774b-bcce-b302099a8057';
      for (const forged of [{ tenant_id: 'other' }, { id }]) {
        await own().update(forged);
        const firstBad = { reason: 'forged', ...('id' in forged ? { rowId: id } : { tenantId: 'other' }) };
        expect(await fixture.store.audit.verify()).toMatchObject({ intact: false, firstBad });
        await fixture
          .knex('secret_audit_log')
          .whereIn('id', [row.id, id])
          .update({ tenant_id: row.tenant_id, id: row.id });
      }
      expect(await fixture.store.audit.verify()).toMatchObject({
        intact: true,
        unsealed: 2,
        unsealedSince: new Date(rows[0].at),
      });
    });
  });

  it('seals a forged row too, says so, and never again finds it intact', async () => {
    await undone(fixture.knex, async () => {
      const errors: string[] = [];
      const logger = { info: () => {}, warn: () => {}, error: (message: string) => errors.push(message) };
      const store = fixture.reopen(fixture.root, { audit: { signer: SIGNER }, logger });
      await act(store, 'acme', 1);
      const [row] = await fixture.knex('secret_audit_log').whereNull('leaf_index');
      await fixture.knex('secret_audit_log').where({ id: row.id }).update({ actor: 'nobody' });
      expect(await store.audit.seal()).toMatchObject({ sealed: 2, forged: 1 });
      expect(errors).toHaveLength(1);
      const [told] = await fixture.knex('secret_audit_log').where({ action: 'audit.seal' });
      expect(told).toMatchObject({ tenant_id: '$system', outcome: 'refused' });
      expect(JSON.parse(told.context)).toEqual({
        code: 'ERR_SECRETS_AUDIT_TAMPERED',
        tenant: 'acme',
        row: row.id,
      });
      const firstBad = { reason: 'forged', rowId: row.id };
      expect(await store.audit.verify()).toMatchObject({ intact: false, bad: 1, firstBad });
    });
  });

  it('seals rows under an earlier key, and under one that another process made', async () => {
    const lone = await openSealed(engine);
    try {
      await act(lone.store, 'acme', 2);
      const other = another(lone);
      await act(other, 'acme', 1);
      const { keyId, previous } = await lone.store.rotateAuditKey({ actor: 'ops' });
      expect(keyId).not.toBe(previous);
      const key = createKeyring({ keys: lone.keys, activeKid: 'v1' });
      await act(lone.store, 'acme', 2);
      const late = lone.reopen(key, { audit: { signer: SIGNER } });
      expect(await other.audit.seal()).toMatchObject({ forged: 0 });
      expect(await late.audit.verify()).toMatchObject({ intact: true });
      const { items } = await other.tenant('acme', { actor: 'x' }).auditLog();
      expect(items.every(({ authentic }) => authentic)).toBe(true);
    } finally {
      await lone.close();
    }
  });

  it('is refused without a signer, and by a store on a transaction', async () => {
    const store = fixture.reopen(fixture.root, { audit: {} });
    for (const call of [
      () => store.audit.seal(),
      () => store.audit.verify(),
      () => store.audit.prune({ actor: 'x' }),
    ]) {
      expect(await rejection(call())).toMatchObject({ code: 'ERR_SECRETS_SIGNER_MISSING' });
    }
    expect(() => store.audit.start()).toThrow(expect.objectContaining({ code: 'ERR_SECRETS_SIGNER_MISSING' }));
    await fixture.knex.transaction(async (trx) => {
      const inside = fixture.reopen(fixture.root, { knex: trx, audit: { signer: SIGNER } });
      expect(await rejection(inside.audit.seal())).toMatchObject({ code: 'ERR_SECRETS_INVALID_ARGUMENT' });
    });
  });

  it('goes by the keys of earlier signers, and takes nobody else’s checkpoints', async () => {
    await undone(fixture.knex, async () => {
      const next = generateAuditSigner('example.com/audit-2');
      await act(fixture.store, 'acme', 1);
      expect(await rejection(another(fixture, next.signer).audit.seal())).toMatchObject({
        code: 'ERR_SECRETS_AUDIT_TAMPERED',
      });
      const audit = { signer: next.signer, verifierKeys: [VERIFIER_KEY] };
      const store = fixture.reopen(fixture.root, { audit });
      expect((await store.audit.seal()).checkpoint).toMatchObject({ origin: next.signer.name });
      expect(await store.audit.verify()).toMatchObject({ intact: true });
      const auditor = fixture.reopen(fixture.root, { audit: { verifierKeys: [VERIFIER_KEY, next.verifierKey] } });
      expect(await auditor.audit.verify()).toMatchObject({ intact: true });
    });
  });

  it('goes on after a crash between any two of its steps', async () => {
    await undone(fixture.knex, async () => {
      await act(fixture.store, 'acme', 300);
      const failing = engine.name === 'postgres' ? postgresFailure : sqliteFailure;
      const before = await unsealed();
      expect(before).toBe(300);
      for (const [table, event] of [
        ['secret_leases', 'update'],
        ['secret_audit_log', 'update'],
        ['secret_audit_leaves', 'insert'],
        ['secret_audit_tree', 'update'],
      ] as const) {
        await failing(table, event, async () => {
          await rejection(another(fixture).audit.seal());
        });
        expect([table, await unsealed()]).toEqual([table, before]);
        expect(await another(fixture).audit.verify()).toMatchObject({ intact: true });
        await freeLease();
      }
      const stuck = another(fixture, { ...SIGNER, sign: () => Promise.reject(new Error('the KMS is down')) });
      expect(await rejection(stuck.audit.seal())).toMatchObject({
        code: 'ERR_SECRETS_SIGNER_UNAVAILABLE',
        retryable: true,
      });
      expect(await unsealed()).toBe(0);
      await failing('secret_audit_checkpoints', 'insert', async () => {
        await rejection(another(fixture).audit.seal());
      });
      await act(fixture.store, 'acme', 1);
      const { sealed, checkpoint } = await another(fixture).audit.seal();
      expect(sealed).toBe(1);
      expect(checkpoint?.treeSize).toBe((await sealedRows(fixture.knex)).length);
      expect(await another(fixture).audit.verify()).toMatchObject({ intact: true, unsealed: 0 });
    });
  });

  it.each([
    [
      'another key',
      async () => generateAuditSigner('x').signer.sign(Buffer.from('x'), { signal: AbortSignal.abort() }),
    ],
    ['no signature', async () => 'signed' as never],
    [
      'a signer that throws at once',
      () => {
        throw new Error('the KMS is down');
      },
    ],
  ])('takes no signature by %s', async (_what, sign) => {
    await undone(fixture.knex, async () => {
      await act(fixture.store, 'acme', 1);
      const error = await rejection(another(fixture, { ...SIGNER, sign }).audit.seal());
      expect(error).toMatchObject({ code: 'ERR_SECRETS_SIGNER_UNAVAILABLE' });
    });
  });

  it('ends between two steps when the caller says so', async () => {
    await undone(fixture.knex, async () => {
      await act(fixture.store, 'acme', 1);
      expect(await rejection(fixture.store.audit.seal({ signal: AbortSignal.abort() }))).toMatchObject({
        code: 'ERR_SECRETS_ABORTED',
      });
      const controller = new AbortController();
      const slow = another(fixture, {
        ...SIGNER,
        sign: (_message, { signal }) =>
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error()))),
      });
      const sealing = rejection(slow.audit.seal({ signal: controller.signal }));
      setTimeout(() => controller.abort(), 20);
      expect(await sealing).toMatchObject({ code: 'ERR_SECRETS_ABORTED' });
    });
  });

  it('leaves nothing behind that fails later when it is ended', async () => {
    await undone(fixture.knex, async () => {
      const store = another(fixture);
      await store.audit.seal();
      const rejections: unknown[] = [];
      const listen = (reason: unknown): void => void rejections.push(reason);
      process.on('unhandledRejection', listen);
      try {
        await fixture.knex.schema.renameTable('secret_audit_log', 'gone');
        await rejection(store.audit.seal({ signal: AbortSignal.abort() }));
        await sleep(50);
      } finally {
        await fixture.knex.schema.renameTable('gone', 'secret_audit_log');
        process.off('unhandledRejection', listen);
      }
      expect(rejections).toEqual([]);
    });
  });

  it('is done by one at a time; the others wait and find it done', async () => {
    await undone(fixture.knex, async () => {
      await act(fixture.store, 'acme', 40);
      const results = await Promise.all(Array.from({ length: 4 }, () => another(fixture).audit.seal()));
      expect(results.map(({ sealed }) => sealed).toSorted((one, other) => one - other)).toEqual([0, 0, 0, 40]);
      expect(new Set(results.map(({ checkpoint }) => checkpoint?.note)).size).toBe(1);
      expect(await another(fixture).audit.verify()).toMatchObject({ intact: true, unsealed: 0 });
    });
  });

  it('is given up by one whose lease was taken over while it waited for its signature', async () => {
    await undone(fixture.knex, async () => {
      await act(fixture.store, 'acme', 3);
      const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
      const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
      const slow: AuditSigner = {
        ...SIGNER,
        sign: async (message, options) => {
          ask();
          await answered;
          return await SIGNER.sign(message, options);
        },
      };
      const first = rejection(another(fixture, slow).audit.seal());
      await asked;
      await fixture.knex('secret_leases').update({ expires_at: new Date(0) });
      await act(fixture.store, 'acme', 2);
      const { sealed, checkpoint } = await another(fixture).audit.seal();
      answer();
      expect(await first).toMatchObject({ code: 'ERR_SECRETS_LEASE_LOST' });
      expect(sealed).toBe(2);
      expect(await another(fixture).audit.verify()).toMatchObject({ intact: true, unsealed: 0, checkpoint });
    });
  });

  it('happens by itself from start() to stop(), and what is written is soon sealed', async () => {
    await undone(fixture.knex, async () => {
      const store = fixture.reopen(fixture.root, { audit: { signer: SIGNER, maxUnsealedMs: 100 } });
      store.audit.start();
      store.audit.start();
      await act(fixture.store, 'acme', 3);
      for (let wait = 0; wait < 100 && (await unsealed()) > 0; wait++) await sleep(20);
      expect(await unsealed()).toBe(0);
      await store.close();
      await act(fixture.store, 'acme', 1);
      await sleep(150);
      expect(await unsealed()).toBe(1);
    });
  });

  if (engine.name === 'postgres') {
    it('never skips a row that is committed late: in a transaction open across two seals', async () => {
      await undone(fixture.knex, async () => {
        const trx = await fixture.knex.transaction();
        await fixture.tenant('late', trx).save('key', 'x');
        await fixture.tenant('late', trx).get('key');
        for (let round = 0; round < 2; round++) {
          await act(fixture.store, 'acme', 3);
          await another(fixture).audit.seal();
        }
        await trx.commit();
        const [row] = await fixture.knex('secret_audit_log').where({ tenant_id: 'late', action: 'secret.save' });
        expect(row.leaf_index).toBeNull();
        const rows = await sealedRows(fixture.knex);
        expect(row.id < (rows.at(-1)?.id ?? '')).toBe(true);
        await another(fixture).audit.seal();
        expect(await unsealed()).toBe(0);
        expect(await another(fixture).audit.verify()).toMatchObject({ intact: true });
      });
    });

    it('seals what a rolled-back transaction has read', async () => {
      await undone(fixture.knex, async () => {
        await fixture.tenant('rolled').save('key', 'x');
        const trx = await fixture.knex.transaction();
        expect((await fixture.tenant('rolled', trx).get('key')).value).toBe('x');
        await trx.rollback();
        await another(fixture).audit.seal();
        const rows = await sealedRows(fixture.knex);
        expect(rows.filter((row) => row.tenant_id === 'rolled').map(({ action }) => action)).toContain('secret.get');
      });
    });
  }

  async function freeLease(): Promise<void> {
    await fixture.knex('secret_leases').update({ holder: null });
  }

  async function postgresFailure(table: string, event: string, work: () => Promise<void>): Promise<void> {
    await fixture.knex.raw(
      `create or replace function broken() returns trigger language plpgsql as $$ begin raise 'broken'; end $$`,
    );
    const when = table === 'secret_leases' ? 'when (old.holder is not null and new.holder is not null)' : '';
    await fixture.knex.raw(
      `create trigger broken before ${event} on ${table} for each row ${when} execute function broken()`,
    );
    try {
      await work();
    } finally {
      await fixture.knex.raw(`drop trigger broken on ${table}`);
    }
  }

  async function sqliteFailure(table: string, event: string, work: () => Promise<void>): Promise<void> {
    const when = table === 'secret_leases' ? 'when (old.holder is not null and new.holder is not null)' : '';
    await fixture.knex.raw(
      `create trigger broken before ${event} on ${table} ${when} begin select raise(abort, 'broken'); end`,
    );
    try {
      await work();
    } finally {
      await fixture.knex.raw('drop trigger broken');
    }
  }
});

describeEachEngine('a first seal', (engine) => {
  it('signs nothing where nothing was written, and needs no rows of its own', async () => {
    const fixture = await openFixture(engine, { audit: { signer: SIGNING.signer } });
    try {
      expect(await fixture.store.audit.checkpoint()).toBeUndefined();
      expect(await another(fixture).audit.verify()).toMatchObject({ intact: true, verified: { from: 0, to: 0 } });
      const { sealed, checkpoint } = await another(fixture).audit.seal();
      expect([sealed, checkpoint?.treeSize]).toEqual([1, 1]); // the audit key
      expect(verifierKey(SIGNING.signer)).toBe(VERIFIER_KEY);
    } finally {
      await fixture.close();
    }
  });
});
