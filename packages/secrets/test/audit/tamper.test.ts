import { verifyAuditExport } from '@keywright/secrets/audit';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { leafHash } from '../../src/audit/canonical.ts';
import type { AuditRow } from '../../src/audit/row.ts';
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
    await fixture.store.tenant('acme', { actor: 'user:1', request: { ip: '203.0.113.7' } }).save('key', 'x');
    const sealing = await fixture.store.audit.seal();
    checkpoint = sealing.checkpoint?.note ?? '';
    rows = await sealedRows(fixture.knex);
    victim = rows.find((row) => row.leaf_index > 100 && row.payload !== null) as SealedRow;
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
      await at(victim.leaf_index).update(change);
      expect(await verified()).toMatchObject({
        intact: false,
        firstBad: { reason: 'edited', leafIndex: victim.leaf_index },
      });
    });
  });

  it.each([
    ['payload', { payload: Buffer.from('{"ip":"198.51.100.1"}') }],
    ['salt', { salt: Buffer.alloc(16) }],
    ['missing salt', { salt: null }],
    ['missing payload', { payload: null }],
  ])('shows an edited %s', async (_column, change) => {
    await undone(fixture.knex, async () => {
      await at(victim.leaf_index).update(change);
      const found = { reason: 'payload', leafIndex: victim.leaf_index, rowId: victim.id, tenantId: 'acme' };
      expect(await verified()).toMatchObject({ intact: false, bad: 1, firstBad: found });
    });
  });

  it('shows a request that is gone without a row that tells of it', async () => {
    await undone(fixture.knex, async () => {
      await at(victim.leaf_index).update({ payload: null, salt: null });
      const found = { reason: 'redacted', leafIndex: victim.leaf_index, rowId: victim.id };
      expect(await verified()).toMatchObject({ intact: false, bad: 1, firstBad: found });
    });
  });

  it('shows a deleted row', async () => {
    await undone(fixture.knex, async () => {
      await at(victim.leaf_index).delete();
      expect(await verified()).toMatchObject({
        intact: false,
        bad: 1,
        firstBad: { reason: 'missing', leafIndex: victim.leaf_index },
      });
    });
  });

  it('shows a row that lost its leaf', async () => {
    await undone(fixture.knex, async () => {
      await at(victim.leaf_index).update({ leaf_index: null });
      expect(await verified()).toMatchObject({
        intact: false,
        bad: 1,
        firstBad: { reason: 'missing', leafIndex: victim.leaf_index },
      });
    });
  });

  it('shows two rows in each other’s place', async () => {
    await undone(fixture.knex, async () => {
      await at(victim.leaf_index).update({ leaf_index: 1_000 });
      await at(victim.leaf_index + 1).update({ leaf_index: victim.leaf_index });
      await at(1_000).update({ leaf_index: victim.leaf_index + 1 });
      const result = await verified();
      expect(result).toMatchObject({
        intact: false,
        bad: 2,
        firstBad: { reason: 'edited', leafIndex: victim.leaf_index },
      });
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
      await at(victim.leaf_index).delete();
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
      await at(victim.leaf_index).delete();
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

  it.each<readonly [column: string, value: string | number]>([
    ['size', -1],
    ['size', 2 ** 60],
    ['pruned', -1],
    ['pruned', 2 ** 40],
    ...(engine.name === 'sqlite'
      ? ([
          ['size', 'x'],
          ['size', 1.5],
          ['pruned', 'x'],
        ] as const)
      : []),
  ])('shows a tree whose %s is %s, and does not sign on', async (column, value) => {
    await undone(fixture.knex, async () => {
      await fixture.knex('secret_audit_tree').update({ [column]: value });
      expect(await verified()).toMatchObject({ intact: false, firstBad: { reason: 'tree' } });
      for (const call of [
        () => another(fixture).audit.seal(),
        () => lines(another(fixture).audit.export({ actor: 'auditor' })),
      ]) {
        await expect(call()).rejects.toMatchObject({ code: 'ERR_SECRETS_AUDIT_TAMPERED' });
      }
    });
  });

  it('takes no longer over a tree that is said to be endless', async () => {
    await undone(fixture.knex, async () => {
      await fixture.knex('secret_audit_tree').update({ size: 2 ** 50 });
      await fixture.knex('secret_audit_log').insert({ ...victim, tenant_id: 'far', leaf_index: 2 ** 49 });
      const firstBad = { reason: 'missing', leafIndex: rows.length };
      expect(await verified()).toMatchObject({ intact: false, firstBad, verified: { to: 2 ** 50 } });
    });
  });

  it('seals nothing beside a row that has taken the next leaf by hand', async () => {
    await undone(fixture.knex, async () => {
      await fixture.knex('secret_audit_log').insert({ ...victim, tenant_id: 'first', leaf_index: rows.length });
      await act(fixture.store, 'acme', 1);
      await expect(another(fixture).audit.seal()).rejects.toMatchObject({
        code: 'ERR_SECRETS_AUDIT_TAMPERED',
        context: { leafIndex: rows.length },
      });
    });
  });

  it('prunes no row that was made to look old, whatever fits it', async () => {
    await undone(fixture.knex, async () => {
      await at(0).update({ at: new Date(0) });
      const tile = fixture.knex('secret_audit_leaves').where({ level: 0, tile: 0 });
      const { hashes } = (await tile.clone().first('hashes')) as { hashes: Buffer };
      const edited = (await at(0).first()) as AuditRow;
      await tile.update({ hashes: Buffer.concat([leafHash(edited), hashes.subarray(32)]) });
      await expect(another(fixture).audit.prune({ actor: 'ops', retentionDays: 400 })).rejects.toMatchObject({
        code: 'ERR_SECRETS_AUDIT_TAMPERED',
      });
      expect(await at(0)).toHaveLength(1);
    });
  });

  it('tells an auditor of a forged row also where the row that names it was removed at once', async () => {
    await undone(fixture.knex, async () => {
      await act(fixture.store, 'acme', 1);
      await fixture.knex('secret_audit_log').whereNull('leaf_index').update({ actor: 'framed' });
      await withoutNaming(async () => {
        expect(await another(fixture).audit.seal()).toMatchObject({ forged: 1 });
      });
      const exported = await lines(another(fixture).audit.export({ actor: 'auditor' }));
      expect(await verifyAuditExport(exported, { verifierKey: VERIFIER_KEY })).toMatchObject({
        intact: false,
        firstBad: { reason: 'missing' },
      });
    });
  });

  if (engine.name === 'sqlite') {
    it.each([
      ...['tenant_id', 'id', 'at', 'actor', 'action', 'secret_id', 'secret_name', 'version', 'context'].map(
        (column) => [column, 'blob'],
      ),
      ...['payload', 'salt', 'payload_hash', 'mac'].map((column) => [column, 'text']),
      ...['payload', 'salt', 'payload_hash', 'mac'].map((column) => [column, 'integer']),
    ])('shows a %s that was made %s, which no query would find any more', async (column, type) => {
      await undone(fixture.knex, async () => {
        const { leaf_index: leaf } = rows.find(({ action }) => action === 'secret.save') as SealedRow;
        await at(leaf).update({ [column]: fixture.knex.raw(`cast(?? as ${type})`, [column]) });
        const reason = column === 'payload' || column === 'salt' ? 'payload' : 'edited';
        expect(await verified()).toMatchObject({ intact: false, firstBad: { reason, leafIndex: leaf } });
        const exported = await lines(another(fixture).audit.export({ actor: 'auditor' }));
        // the time is what was sealed, and is exported as that
        const { intact } = await verifyAuditExport(exported, { verifierKey: VERIFIER_KEY });
        expect(intact).toBe(column === 'at');
        await another(fixture).tenant('acme', { actor: 'x' }).auditLog({ limit: 500 });
        await at(leaf).update({ leaf_index: null });
        expect(await verified()).toMatchObject({ intact: false });
      });
    });

    it('shows a time that was made text, which is later than every other', async () => {
      await undone(fixture.knex, async () => {
        const [row] = await at(victim.leaf_index);
        await at(victim.leaf_index).update({ at: new Date(row.at).toISOString() });
        expect(await verified()).toMatchObject({
          intact: false,
          firstBad: { reason: 'edited', leafIndex: victim.leaf_index },
        });
      });
    });
  }

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

  /** With a trigger that takes away what names forged rows. */
  async function withoutNaming(work: () => Promise<void>): Promise<void> {
    const postgres = [
      'create or replace function hide() returns trigger language plpgsql as $$ begin return null; end $$',
      `create trigger hide before insert on secret_audit_log for each row when (new.action = 'audit.seal')
        execute function hide()`,
    ];
    const sqlite = [
      `create trigger hide after insert on secret_audit_log when new.action = 'audit.seal'
        begin delete from secret_audit_log where id = new.id; end`,
    ];
    for (const statement of engine.name === 'postgres' ? postgres : sqlite) await fixture.knex.raw(statement);
    try {
      await work();
    } finally {
      await fixture.knex.raw(
        engine.name === 'postgres' ? 'drop trigger hide on secret_audit_log' : 'drop trigger hide',
      );
    }
  }

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
