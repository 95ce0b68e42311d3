import { verifyAuditExport, verifyInclusion } from '@keywright/secrets/audit';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { LeafCheck } from '../../src/audit/verify-leaves.ts';
import { type Fixture, rejection } from '../support.ts';
import { act, another, lines, openSealed, SIGNER, sealedRows, undone, VERIFIER_KEY } from './support.ts';

const DAY_MS = 24 * 60 * 60_000;

describeEachEngine('retention', (engine) => {
  let fixture: Fixture;
  let old: number;
  let checkpoint: string;

  beforeAll(async () => {
    fixture = await openSealed(engine);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 400 * DAY_MS });
    await act(fixture.store, 'acme', 300);
    vi.useRealTimers();
    old = (await fixture.store.audit.seal()).checkpoint?.treeSize ?? 0;
    await act(fixture.store, 'acme', 10);
    checkpoint = (await fixture.store.audit.seal()).checkpoint?.note ?? '';
  });
  afterAll(async () => {
    vi.useRealTimers();
    await fixture?.close();
  });

  const prune = async (retentionDays?: number) => await another(fixture).audit.prune({ actor: 'ops', retentionDays });

  it('keeps seven years by default', async () => {
    expect(await prune()).toEqual({ pruned: 0, from: 0 });
    expect(await prune(401)).toEqual({ pruned: 0, from: 0 });
  });

  it('removes what is older, tells how much, and the rest verifies, proves and exports', async () => {
    await undone(fixture.knex, async () => {
      await act(fixture.store, 'acme', 1); // sealed first
      expect(await prune(399)).toEqual({ pruned: old, from: old });
      const store = another(fixture);
      const rows = await sealedRows(fixture.knex);
      expect(rows[0]?.leaf_index).toBe(old);
      expect(await store.audit.verify({ checkpoint })).toMatchObject({ intact: true, pruned: old });
      const [told] = await fixture.knex('secret_audit_log').where({ action: 'audit.prune' });
      expect(told).toMatchObject({ tenant_id: '$system', actor: 'ops', outcome: 'success' });
      expect(JSON.parse(told.context)).toMatchObject({ from: 0, pruned: old });
      const exported = await lines(store.audit.export({ actor: 'auditor' }));
      expect(await verifyAuditExport(exported, { verifierKey: VERIFIER_KEY, checkpoint })).toMatchObject({
        intact: true,
        verified: { from: old },
      });
      const withoutRecord = exported.filter((line) => !line.includes('audit.prune'));
      expect(await verifyAuditExport(withoutRecord, { verifierKey: VERIFIER_KEY })).toMatchObject({ intact: false });
      const left = rows.at(-1);
      const proof = await store.audit.proof(left?.tenant_id ?? '', left?.id ?? '');
      expect(verifyInclusion(proof, VERIFIER_KEY).valid).toBe(true);
      const tiles = await fixture.knex('secret_audit_leaves').orderBy(['level', 'tile']).select('level', 'tile');
      expect(tiles.map(({ level, tile }) => `${level}/${tile}`)).toEqual(['0/1', '1/0']);
      await act(store, 'acme', 300);
      await store.audit.seal();
      expect(await store.audit.verify({ checkpoint })).toMatchObject({ intact: true });
      expect(await store.audit.prune({ actor: 'ops', retentionDays: 399 })).toEqual({ pruned: 0, from: old });
    });
  });

  it('compares what it is left with with what was exported before, as far as that can be', async () => {
    await undone(fixture.knex, async () => {
      const first = await fixture.knex('secret_audit_checkpoints').where({ tree_size: old }).first('note');
      await prune(399);
      expect(await another(fixture).audit.verify({ checkpoint: first.note })).toMatchObject({ intact: true });
      await fixture.knex('secret_audit_tree').update({ pruned: old + 1 });
      expect(await another(fixture).audit.verify()).toMatchObject({ intact: false, firstBad: { reason: 'pruned' } });
    });
  });

  it('is not taken for damage by who verifies at that moment', async () => {
    await undone(fixture.knex, async () => {
      const run = vi.spyOn(LeafCheck.prototype, 'run');
      run.mockImplementationOnce(async function (this: LeafCheck, ...args) {
        await prune(399);
        return await this.run(...args);
      });
      try {
        expect(await another(fixture).audit.verify()).toMatchObject({ intact: true, pruned: old });
      } finally {
        run.mockRestore();
      }
    });
  });

  it('breaks off an export of what it removes', async () => {
    await undone(fixture.knex, async () => {
      const exporting = another(fixture).audit.export({ actor: 'auditor' });
      await exporting.next();
      await prune(399);
      expect(await rejection(lines(exporting))).toMatchObject({ code: 'ERR_SECRETS_DATABASE', retryable: true });
    });
  });

  it('removes nothing that was edited to look old', async () => {
    await undone(fixture.knex, async () => {
      await fixture
        .knex('secret_audit_log')
        .where({ leaf_index: old })
        .update({ at: new Date(0) });
      expect(await rejection(prune(399))).toMatchObject({
        code: 'ERR_SECRETS_AUDIT_TAMPERED',
        context: { leafIndex: old },
      });
      expect(await sealedRows(fixture.knex)).toHaveLength(old + 10);
      const told = await fixture.knex('secret_audit_log').where({ action: 'audit.prune' });
      expect(told).toMatchObject([{ outcome: 'refused', actor: 'ops' }]);
    });
  });

  it('removes nothing that a sink has not been given', async () => {
    await undone(fixture.knex, async () => {
      let open = false;
      const taken: number[] = [];
      const sink = {
        write: async (entries: readonly { leafIndex: number }[]) => {
          if (!open && taken.length > 0) throw new Error('down');
          taken.push(...entries.slice(0, open ? undefined : 1).map(({ leafIndex }) => leafIndex));
        },
      };
      const store = fixture.reopen(fixture.root, { audit: { signer: SIGNER, sinks: [{ name: 'siem', sink }] } });
      taken.push(-1);
      await store.audit.ship();
      expect(await prune(399)).toEqual({ pruned: 0, from: 0 });
      open = true;
      expect(await store.audit.ship()).toMatchObject([{ name: 'siem', done: true }]);
      expect(await prune(399)).toMatchObject({ pruned: old });
      await fixture.knex('secret_audit_sinks').update({ next_leaf: 0 });
      expect(await store.audit.forgetSink('siem', { actor: 'ops' })).toBe(true);
      expect(await store.audit.forgetSink('siem', { actor: 'ops' })).toBe(false);
      const told = await fixture.knex('secret_audit_log').where({ action: 'audit.forget-sink' }).orderBy('id');
      expect(told.map(({ actor, context }) => [actor, context])).toEqual([
        ['ops', '{"sink":"siem","known":"yes"}'],
        ['ops', '{"sink":"siem","known":"no"}'],
      ]);
    });
  });

  it.each([0, -1, 1.5, Number.NaN, '7'])('refuses a retention of %s days', async (retentionDays) => {
    const error = await rejection(another(fixture).audit.prune({ actor: 'x', retentionDays: retentionDays as never }));
    expect(error).toMatchObject({ code: 'ERR_SECRETS_INVALID_ARGUMENT' });
  });
});
