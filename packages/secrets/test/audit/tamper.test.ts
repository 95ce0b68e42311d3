import { verifyAuditExport } from '@keywright/secrets/audit';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Fixture } from '../support.ts';
import {
  act,
  another,
  lines,
  openSealed,
  type SealedRow,
  SIGNER,
  sealedRows,
  undone,
  VERIFIER_KEY,
} from './support.ts';

describeEachEngine('the sealed log', (engine) => {
  let fixture: Fixture;
  let rows: readonly SealedRow[];
  let victim: SealedRow;
  let checkpoint: string;

  beforeAll(async () => {
    fixture = await openSealed(engine);
    await act(fixture.store, 'acme', 200);
    await fixture.store.audit.seal();
    await act(fixture.store, 'globex', 120);
    const sealing = await fixture.store.audit.seal();
    checkpoint = sealing.checkpoint?.note ?? '';
    rows = await sealedRows(fixture.knex);
    victim = rows[101] as SealedRow;
  });
  afterAll(async () => {
    await fixture?.close();
  });

  const at = (leaf: number) => fixture.knex('secret_audit_log').where({ leaf_index: leaf });
  const verified = async (note?: string) => await another(fixture).audit.verify({ checkpoint: note });

  it('is intact as it was written', async () => {
    const result = await verified(checkpoint);
    expect(result).toMatchObject({ intact: true, verified: { from: 0, to: rows.length }, pruned: 0, unsealed: 0 });
    expect(result.checkpoint).toMatchObject({ origin: SIGNER.name, treeSize: rows.length, note: checkpoint });
  });

  it.each([
    ['tenant_id', { tenant_id: 'moved-to' }],
    ['id', { id: '01890a5d-ac96-774b-bcce-b302099a8057' }],
    ['at', { at: new Date(0) }],
    ['actor', { actor: 'someone else' }],
    ['action', { action: 'secret.list' }],
    ['secret_id', { secret_id: '01890a5d-ac96-774b-bcce-b302099a8057' }],
    ['secret_name', { secret_name: 'other' }],
    ['version', { version: 9 }],
    ['outcome', { outcome: 'refused' }],
    ['context', { context: '{"code":"x"}' }],
    ['payload_hash', { payload_hash: Buffer.alloc(32) }],
    ['missing payload_hash', { payload_hash: null }],
    ['mac', { mac: Buffer.alloc(48) }],
  ])('shows an edited %s, and whose row it was', async (_column, change) => {
    await undone(fixture.knex, async () => {
      await at(101).update(change);
      expect(await verified()).toMatchObject({ intact: false, firstBad: { reason: 'edited', leafIndex: 101 } });
    });
  });

  it.each([
    ['payload', { payload: Buffer.from('{"ip":"198.51.100.1"}') }],
    ['salt', { salt: Buffer.alloc(16) }],
    ['missing salt', { salt: null }],
    ['missing payload', { payload: null }],
  ])('shows an edited %s', async (_column, change) => {
    await undone(fixture.knex, async () => {
      await at(101).update(change);
      const found = { reason: 'payload', leafIndex: 101, rowId: victim.id, tenantId: 'acme' };
      expect(await verified()).toMatchObject({ intact: false, bad: 1, firstBad: found });
    });
  });

  it('shows a request that is gone without a row that tells of it', async () => {
    await undone(fixture.knex, async () => {
      await at(101).update({ payload: null, salt: null });
      const found = { reason: 'redacted', leafIndex: 101, rowId: victim.id };
      expect(await verified()).toMatchObject({ intact: false, bad: 1, firstBad: found });
    });
  });

  it('shows a deleted row', async () => {
    await undone(fixture.knex, async () => {
      await at(101).delete();
      expect(await verified()).toMatchObject({
        intact: false,
        bad: 1,
        firstBad: { reason: 'missing', leafIndex: 101 },
      });
    });
  });

  it('shows a row that lost its leaf', async () => {
    await undone(fixture.knex, async () => {
      await at(101).update({ leaf_index: null });
      expect(await verified()).toMatchObject({
        intact: false,
        bad: 1,
        firstBad: { reason: 'missing', leafIndex: 101 },
      });
    });
  });

  it('shows two rows in each other’s place', async () => {
    await undone(fixture.knex, async () => {
      await at(101).update({ leaf_index: 1_000 });
      await at(102).update({ leaf_index: 101 });
      await at(1_000).update({ leaf_index: 102 });
      const result = await verified();
      expect(result).toMatchObject({ intact: false, bad: 2, firstBad: { reason: 'edited', leafIndex: 101 } });
    });
  });

  it.each([-1, 1_000])('shows a row that was inserted at leaf %i', async (leaf) => {
    await undone(fixture.knex, async () => {
      const id = '01890a5d-ac96-774b-bcce-b302099a8057';
      await fixture.knex('secret_audit_log').insert({ ...victim, id, leaf_index: leaf });
      const found = { reason: 'inserted', leafIndex: leaf, rowId: id };
      expect(await verified()).toMatchObject({ intact: false, firstBad: found });
    });
  });

  it('shows rows inserted at leaves that are taken', async () => {
    await undone(fixture.knex, async () => {
      await fixture.knex.raw('drop index secret_audit_log_leaf');
      const id = 'ffffffff-ac96-774b-bcce-b302099a8057';
      await fixture.knex('secret_audit_log').insert({ ...victim, id });
      expect(await verified()).toMatchObject({ intact: false, firstBad: { reason: 'inserted', rowId: id } });
    });
    await fixture.knex.raw('create unique index secret_audit_log_leaf on secret_audit_log (leaf_index)');
  });

  it('shows a tail that was cut', async () => {
    await undone(fixture.knex, async () => {
      await fixture.knex('secret_audit_log').where('leaf_index', '>=', 300).delete();
      expect(await verified()).toMatchObject({ intact: false, firstBad: { reason: 'missing', leafIndex: 300 } });
      await fixture.knex('secret_audit_tree').update({ size: 300 });
      expect(await verified()).toMatchObject({
        intact: false,
        firstBad: { reason: 'missing', leafIndex: 300, treeSize: rows.length },
      });
    });
  });

  it('shows against an exported checkpoint that the log was put back to an earlier state', async () => {
    await undone(fixture.knex, async () => {
      const first = (await fixture.knex('secret_audit_checkpoints').min({ size: 'tree_size' }).first()) as {
        size: number | string;
      };
      const size = Number(first.size);
      expect(size).toBeLessThan(rows.length);
      await fixture.knex('secret_audit_checkpoints').where('tree_size', '>', size).delete();
      await fixture.knex('secret_audit_log').where('leaf_index', '>=', size).delete();
      await fixture.knex('secret_audit_tree').update({ size });
      expect(await verified()).toMatchObject({ intact: true });
      expect(await verified(checkpoint)).toMatchObject({
        intact: false,
        firstBad: { reason: 'missing', leafIndex: size, treeSize: rows.length },
      });
      // A process that has signed more than that does not sign on.
      await expect(fixture.store.audit.seal()).rejects.toMatchObject({ code: 'ERR_SECRETS_AUDIT_TAMPERED' });
    });
  });

  it('shows that it was written anew by somebody without the signing key', async () => {
    await undone(fixture.knex, async () => {
      await at(101).delete();
      await reseal();
      const forger = another(fixture, { ...SIGNER, sign: async () => new Uint8Array(64) });
      await expect(forger.audit.seal()).rejects.toMatchObject({ code: 'ERR_SECRETS_SIGNER_UNAVAILABLE' });
      // everything but the signature is made to fit
      expect(await verified(checkpoint)).toMatchObject({ intact: false });
      const { rows: sealed } = await forge();
      expect(await verified()).toMatchObject({ intact: false, firstBad: { reason: 'checkpoint', treeSize: sealed } });
    });
  });

  it('shows against an exported checkpoint that it was written anew with all that is in the database', async () => {
    await undone(fixture.knex, async () => {
      await at(101).delete();
      await reseal();
      // the service itself then signs what it finds, as one that knows of no checkpoint
      await another(fixture).audit.seal();
      expect(await verified()).toMatchObject({ intact: true });
      const result = await verified(checkpoint);
      expect(result).toMatchObject({ intact: false });
      await act(fixture.store, 'later', 2);
      await another(fixture).audit.seal();
      expect(await verified(checkpoint)).toMatchObject({
        intact: false,
        firstBad: { reason: 'tree', treeSize: rows.length },
      });
      const exported = await lines(another(fixture).audit.export({ actor: 'auditor' }));
      expect(await verifyAuditExport(exported, { verifierKey: VERIFIER_KEY })).toMatchObject({ intact: true });
      expect(await verifyAuditExport(exported, { verifierKey: VERIFIER_KEY, checkpoint })).toMatchObject({
        intact: false,
        firstBad: { reason: 'tree', treeSize: rows.length },
      });
    });
  });

  it('shows hashes of the tree that were edited, and does not sign on', async () => {
    for (const [level, tile] of [
      [0, 0],
      [0, 1],
      [1, 0],
    ]) {
      await undone(fixture.knex, async () => {
        const place = fixture.knex('secret_audit_leaves').where({ level, tile });
        const { hashes } = (await place.clone().first('hashes')) as { hashes: Buffer };
        const other = Buffer.from(hashes);
        other[5] = (other[5] ?? 0) ^ 1;
        await place.clone().update({ hashes: other });
        expect((await verified()).intact).toBe(false);
        await place.clone().delete();
        expect((await verified()).intact).toBe(false);
        if (level === 0 && tile === 0) return; // the root does not need it any more
        await expect(another(fixture).audit.seal()).rejects.toMatchObject({ code: 'ERR_SECRETS_AUDIT_TAMPERED' });
      });
    }
  });

  it.each([
    ['note', { note: 'example.com/audit\n1\nAAAA\n\n— example.com/audit AAAA\n' }],
    ['root hash', { root_hash: Buffer.alloc(32) }],
    ['size', { tree_size: 500 }],
  ])('shows a checkpoint whose %s was edited', async (_what, change) => {
    await undone(fixture.knex, async () => {
      await fixture.knex('secret_audit_checkpoints').where({ tree_size: rows.length }).update(change);
      expect(await verified()).toMatchObject({ intact: false, firstBad: { reason: 'checkpoint' } });
    });
  });

  it('shows a pruned range that nobody has pruned', async () => {
    await undone(fixture.knex, async () => {
      await fixture.knex('secret_audit_log').where('leaf_index', '<', 50).delete();
      await fixture.knex('secret_audit_tree').update({ pruned: 50 });
      expect(await verified()).toMatchObject({ intact: false, firstBad: { reason: 'pruned', leafIndex: 50 } });
    });
  });

  it('tells a refused sealing in the log, once', async () => {
    await undone(fixture.knex, async () => {
      const store = another(fixture);
      await fixture.knex('secret_audit_tree').update({ size: 10 });
      for (let round = 0; round < 3; round++) await store.audit.seal().catch(() => undefined);
      const told = await fixture.knex('secret_audit_log').where({ tenant_id: '$system', action: 'audit.seal' });
      expect(told.map(({ outcome, context }) => [outcome, JSON.parse(context).code])).toEqual([
        ['refused', 'ERR_SECRETS_AUDIT_TAMPERED'],
      ]);
    });
  });

  /** Everything that an attacker with the database can do: the tree as if it had been sealed so from the start. */
  async function reseal(): Promise<void> {
    await fixture.knex('secret_audit_checkpoints').delete();
    await fixture.knex('secret_audit_leaves').delete();
    await fixture.knex('secret_audit_tree').delete();
    await fixture.knex('secret_audit_log').update({ leaf_index: null });
  }

  /** A checkpoint by a key of the attacker's, under the name of the log. */
  async function forge(): Promise<{ readonly rows: number }> {
    const { generateAuditSigner } = await import('@keywright/secrets/audit');
    const { signer } = generateAuditSigner(SIGNER.name);
    await reseal();
    const { checkpoint: forged } = await another(fixture, signer).audit.seal();
    return { rows: forged?.treeSize ?? 0 };
  }
});
