import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  generateAuditSigner,
  openSignedCheckpoint,
  verifyAuditExport,
  verifyConsistency,
  verifyInclusion,
} from '@keywright/secrets/audit';
import { requireOrSkip } from '@keywright/testkit';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, rejection } from '../support.ts';
import { act, another, lines, openSealed, SIGNER, sealedRows, undone, VERIFIER_KEY } from './support.ts';

const script = fileURLToPath(new URL('./verify_audit.py', import.meta.url));
const found = ['/usr/bin/python3', 'python3'].find(
  (name) => spawnSync(name, ['-c', 'import cryptography'], { stdio: 'ignore' }).status === 0,
);
const python = requireOrSkip('python', found, 'Install python3-cryptography.');

function ask(what: 'export' | 'proof', input: string, key: string = VERIFIER_KEY): Record<string, unknown> {
  return JSON.parse(execFileSync(python ?? '', [script, what, key], { input, encoding: 'utf8' }));
}

describeEachEngine('an auditor with the public key and an export', (engine) => {
  let fixture: Fixture;
  let exported: string[];

  beforeAll(async () => {
    fixture = await openSealed(engine);
    await act(fixture.store, 'acme', 300);
    await fixture.store.audit.seal();
    await act(fixture.store, 'globex', 30);
    exported = await lines(fixture.store.audit.export({ actor: 'auditor' }));
  });
  afterAll(async () => {
    await fixture?.close();
  });

  const verify = async (given: readonly string[], options = {}) =>
    await verifyAuditExport(given, { verifierKey: VERIFIER_KEY, ...options });
  const edited = (line: number, change: object): string[] => {
    return exported.with(line, JSON.stringify({ ...JSON.parse(exported[line] ?? ''), ...change }));
  };

  const withRequest = (): number => exported.findIndex((line) => line.includes('"payload":"'));

  it('finds it intact: every row as it was stored, in order, up to a signed checkpoint', async () => {
    const rows = await sealedRows(fixture.knex);
    expect(exported).toHaveLength(rows.length + 2);
    expect(JSON.parse(exported[0] ?? '')).toEqual({
      format: 'keywright-audit-export/1',
      since: 0,
      pruned: 0,
      frontier: [],
    });
    expect(await verify(exported)).toMatchObject({
      intact: true,
      verified: { from: 0, to: rows.length },
      redacted: 0,
      checkpoint: { origin: SIGNER.name, treeSize: rows.length },
    });
    expect(exported.every((line) => line.endsWith('\n'))).toBe(true);
    expect(await verify(exported.map((line) => line.trimEnd()))).toMatchObject({ intact: true });
    const [row] = await fixture.knex('secret_audit_log').where({ action: 'audit.export' });
    expect(row).toMatchObject({ tenant_id: '$system', actor: 'auditor', context: '{"since":0}' });
  });

  it.each([
    ['a row left out', () => exported.toSpliced(50, 1), 'missing'],
    ['a row twice', () => exported.toSpliced(50, 0, exported[50] ?? ''), 'inserted'],
    ['two rows swapped', () => exported.with(50, exported[51] ?? '').with(51, exported[50] ?? ''), 'missing'],
    ['no checkpoint', () => exported.slice(0, -1), 'checkpoint'],
    ['nothing', () => [], 'checkpoint'],
    ['the last row cut', () => exported.toSpliced(-2, 1), 'missing'],
    ['something after its end', () => [...exported, exported[5] ?? ''], 'malformed'],
    ['no header', () => exported.slice(1), 'malformed'],
    ['an actor changed', () => edited(50, { actor: 'x' }), 'tree'],
    ['a time changed', () => edited(50, { at: 1 }), 'tree'],
    ['a MAC changed', () => edited(50, { mac: '' }), 'tree'],
    ['a request changed', () => edited(withRequest(), { payload: 'e30=' }), 'payload'],
    ['a request gone', () => edited(withRequest(), { payload: null, salt: null }), 'redacted'],
    ['another frontier', () => edited(0, { frontier: [Buffer.alloc(32).toString('base64')] }), 'malformed'],
    ['another start', () => edited(0, { since: 1 }), 'malformed'],
    ['a line that is no JSON', () => exported.with(50, 'x'), 'malformed'],
    ['a line that is no row', () => exported.with(50, '[]'), 'malformed'],
    ['a leaf that is no number', () => edited(50, { leaf: '49' }), 'malformed'],
    ['a lone surrogate', () => edited(50, { actor: '\ud800' }), 'malformed'],
    ['a member that nobody signed', () => edited(50, { approvedBy: 'x' }), 'malformed'],
    [
      'a member twice',
      () => exported.with(50, exported[50]?.replace('"actor":', '"actor":"x","actor":') ?? ''),
      'malformed',
    ],
    ['a header that says more', () => edited(0, { by: 'x' }), 'malformed'],
    ['a header of another pruning', () => edited(0, { pruned: 9 }), 'malformed'],
    ['a checkpoint line that says more', () => edited(exported.length - 1, { by: 'x' }), 'malformed'],
    ['bytes for lines', () => exported.map((line) => Buffer.from(line) as never), 'malformed'],
    ['another checkpoint', () => edited(exported.length - 1, { checkpoint: 'x' }), 'checkpoint'],
  ])('refuses an export with %s', async (_what, change, reason) => {
    expect(await verify(change())).toMatchObject({ intact: false, firstBad: { reason } });
  });

  it('refuses one that another key has signed', async () => {
    const { verifierKey } = generateAuditSigner(SIGNER.name);
    const result = await verifyAuditExport(exported, { verifierKey });
    expect(result).toMatchObject({ intact: false, firstBad: { reason: 'checkpoint' }, checkpoint: undefined });
    expect(await rejection(verifyAuditExport(exported, { verifierKey: 'x' }))).toMatchObject({
      code: 'ERR_SECRETS_INVALID_ARGUMENT',
    });
  });

  it('verifies what came after an earlier export against its checkpoint', async () => {
    const first = (await verify(exported)).checkpoint;
    await act(fixture.store, 'acme', 10);
    const since = first?.treeSize ?? 0;
    const later = await lines(another(fixture).audit.export({ actor: 'auditor', since }));
    const options = { since, checkpoint: first?.note };
    expect(await verify(later, options)).toMatchObject({ intact: true, verified: { from: since, to: since + 11 } });
    expect(await verify(later)).toMatchObject({ intact: false, firstBad: { reason: 'pruned', leafIndex: since } });
    const other = JSON.parse(later[0] ?? '') as { frontier: string[] };
    other.frontier[0] = Buffer.alloc(32).toString('base64');
    expect(await verify(later.with(0, JSON.stringify(other)), options)).toMatchObject({
      intact: false,
      firstBad: { reason: 'tree', treeSize: since },
    });
    expect(await rejection(lines(another(fixture).audit.export({ actor: 'x', since: 9_999 })))).toMatchObject({
      code: 'ERR_SECRETS_NOT_FOUND',
    });
  });

  it('proves that a row is in the log, and that one log begins with another', async () => {
    const store = another(fixture);
    const { items } = await store.tenant('acme', { actor: 'x' }).auditLog({ limit: 1 });
    const [unsealed] = (await store.tenant('acme', { actor: 'x' }).auditLog({ limit: 1 })).items;
    expect(await rejection(store.audit.proof('acme', unsealed?.id ?? ''))).toMatchObject({
      code: 'ERR_SECRETS_NOT_SEALED',
    });
    expect(await rejection(store.audit.proof('globex', items[0]?.id ?? ''))).toMatchObject({
      code: 'ERR_SECRETS_NOT_FOUND',
    });
    const older = await store.audit.checkpoint();
    const { checkpoint: newer } = await store.audit.seal();
    const proof = await store.audit.proof('acme', items[0]?.id ?? '');
    const sent = JSON.parse(JSON.stringify(proof));
    expect(verifyInclusion(sent, VERIFIER_KEY)).toMatchObject({ valid: true, checkpoint: newer });
    for (const [change, reason] of [
      [{ row: { ...proof.row, actor: 'other' } }, 'path'],
      [{ row: { ...proof.row, leaf: 3 } }, 'path'],
      [{ row: { ...proof.row, payload: 'e30=' } }, 'payload'],
      [{ path: proof.path.slice(1) }, 'path'],
      [{ path: 'x' }, 'malformed'],
      [{ checkpoint: `${proof.checkpoint}x` }, 'checkpoint'],
      [{ checkpoint: older?.note }, 'path'],
    ]) {
      expect(verifyInclusion({ ...proof, ...(change as object) }, VERIFIER_KEY)).toEqual({ valid: false, reason });
    }
    const notes = { older: older?.note ?? '', newer: newer?.note ?? '' };
    const consistency = await store.audit.consistency(older?.treeSize ?? 0, newer?.treeSize ?? 0);
    expect(verifyConsistency(consistency, notes, VERIFIER_KEY)).toMatchObject({ valid: true, checkpoint: newer });
    const turned = { older: notes.newer, newer: notes.older };
    expect(verifyConsistency(consistency, turned, VERIFIER_KEY)).toEqual({ valid: false, reason: 'path' });
    expect(verifyConsistency({ ...consistency, path: [] }, notes, VERIFIER_KEY).valid).toBe(false);
  });

  it('sees who erased what, and that nobody erased the rest', async () => {
    await undone(fixture.knex, async () => {
      const store = another(fixture);
      const [one, two, other] = (await fixture.knex('secret_audit_log').whereNotNull('payload').orderBy('id')) as {
        id: string;
      }[];
      const ids = [one?.id ?? '', two?.id ?? ''];
      expect(await store.audit.redact({ tenantId: 'acme', rowIds: ids, actor: 'dpo' })).toEqual({ redacted: 2 });
      expect(await store.audit.verify()).toMatchObject({ intact: true, redacted: 2 });
      const [told] = await fixture.knex('secret_audit_log').where({ action: 'audit.redact' });
      expect(told).toMatchObject({ tenant_id: 'acme', actor: 'dpo' });
      expect(await verify(await lines(store.audit.export({ actor: 'auditor' })))).toMatchObject({
        intact: true,
        redacted: 2,
      });
      const { items } = await store.tenant('acme', { actor: 'x' }).auditLog({ limit: 500 });
      expect(items.filter(({ requestErased, authentic }) => requestErased && authentic)).toHaveLength(2);
      await fixture.knex('secret_audit_log').where({ id: other?.id }).update({ payload: null, salt: null });
      const firstBad = { reason: 'redacted', rowId: other?.id };
      expect(await store.audit.verify()).toMatchObject({ intact: false, bad: 1, firstBad });
      expect(await verify(await lines(store.audit.export({ actor: 'auditor' })))).toMatchObject({
        intact: false,
        bad: 1,
        firstBad,
      });
    });
  });

  it('is told of what was erased while it was exported', async () => {
    await undone(fixture.knex, async () => {
      const store = another(fixture);
      const exporting = store.audit.export({ actor: 'auditor' });
      const header = (await exporting.next()).value ?? '';
      await store.audit.redact({ tenantId: 'globex', before: new Date(), actor: 'dpo' });
      expect(await verify([header, ...(await lines(exporting))])).toMatchObject({ intact: true, redacted: 15 });
    });
  });

  it.each([
    ['before a time', () => ({ before: new Date() })],
    ['about one secret', (secretId: string) => ({ secretId })],
  ])('erases every request %s, of one tenant, and of nobody later', async (_what, targetOf) => {
    await undone(fixture.knex, async () => {
      const store = another(fixture);
      const request = { ip: '203.0.113.9' };
      const tenant = store.tenant('erase', { actor: 'a', request });
      const { id } = await tenant.save('key', 'x');
      await new Promise((resolve) => setTimeout(resolve, 5));
      const redaction = { tenantId: 'erase', actor: 'dpo', ...targetOf(id) };
      expect((await store.audit.redact(redaction)).redacted).toBeGreaterThan(0);
      await new Promise((resolve) => setTimeout(resolve, 5));
      await tenant.get('key');
      expect(await store.audit.verify()).toMatchObject({ intact: true });
      await fixture
        .knex('secret_audit_log')
        .where({ tenant_id: 'erase', action: 'secret.get' })
        .update({ payload: null, salt: null });
      expect(await store.audit.verify()).toMatchObject({ intact: false, bad: 1, firstBad: { reason: 'redacted' } });
      const others = await fixture.knex('secret_audit_log').where({ tenant_id: 'acme' }).whereNotNull('payload');
      expect(others.length).toBeGreaterThan(100);
    });
  });

  it('sees a redaction that was undone, or whose row is gone', async () => {
    await undone(fixture.knex, async () => {
      const store = another(fixture);
      await store.audit.redact({ tenantId: 'globex', before: new Date(), actor: 'dpo' });
      await fixture.knex('secret_audit_log').where({ action: 'audit.redact' }).delete();
      expect(await store.audit.verify()).toMatchObject({ intact: false, bad: 15, firstBad: { reason: 'redacted' } });
    });
  });

  it.each([
    ['no actor', { tenantId: 'acme', rowIds: ['01890a5d-ac96-774b-bcce-b302099a8057'] }],
    ['no target', { tenantId: 'acme', actor: 'x' }],
    ['two targets', { tenantId: 'acme', actor: 'x', before: new Date(0), secretId: 'x' }],
    ['a time to come', { tenantId: 'acme', actor: 'x', before: new Date(Date.now() + 60_000) }],
    ['an id that is none', { tenantId: 'acme', actor: 'x', rowIds: ["' or 1=1"] }],
    ['no ids', { tenantId: 'acme', actor: 'x', rowIds: [] }],
  ])('erases nothing for %s', async (_what, options) => {
    expect(await rejection(fixture.store.audit.redact(options as never))).toMatchObject({
      code: 'ERR_SECRETS_INVALID_ARGUMENT',
    });
  });

  describe.runIf(python !== undefined)('by a program of their own', () => {
    it('finds the same in the export', async () => {
      const { checkpoint } = await verify(exported);
      expect(ask('export', exported.join(''))).toEqual({
        since: 0,
        size: checkpoint?.treeSize,
        root: checkpoint?.rootHash,
      });
      const since = 290;
      const later = await lines(another(fixture).audit.export({ actor: 'auditor', since }));
      expect(ask('export', later.join(''))).toMatchObject({ since });
      expect(ask('export', edited(50, { actor: 'x' }).join(''))).toHaveProperty('error');
      expect(ask('export', exported.toSpliced(50, 1).join(''))).toHaveProperty('error');
      const { verifierKey } = generateAuditSigner(SIGNER.name);
      expect(ask('export', exported.join(''), verifierKey)).toHaveProperty('error');
    });

    it('finds the same in a proof', async () => {
      const rows = await sealedRows(fixture.knex);
      for (const row of [rows[0], rows[256], rows.at(-1)]) {
        const proof = await another(fixture).audit.proof(row?.tenant_id ?? '', row?.id ?? '');
        expect(ask('proof', JSON.stringify(proof))).toMatchObject({ leaf: row?.leaf_index });
        const other = { ...proof, row: { ...proof.row, actor: 'mallory' } };
        expect(ask('proof', JSON.stringify(other))).toHaveProperty('error');
      }
    });
  });

  it('has openssl say that the checkpoint is signed', async () => {
    const note = (await fixture.store.audit.checkpoint())?.note ?? '';
    expect(openSignedCheckpoint(note, VERIFIER_KEY).valid).toBe(true);
    const folder = mkdtempSync(join(tmpdir(), 'keywright-note-'));
    try {
      const [text = '', signature = ''] = note.split('\n\n');
      const signed = Buffer.from(signature.trim().split(' ')[2] ?? '', 'base64').subarray(4);
      writeFileSync(join(folder, 'text'), `${text}\n`);
      writeFileSync(join(folder, 'signature'), signed);
      const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), SIGNER.publicKey]);
      writeFileSync(join(folder, 'key.der'), spki);
      const args = 'pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in text -sigfile signature'.split(' ');
      const said = execFileSync('openssl', args, { cwd: folder, encoding: 'utf8' });
      expect(said).toMatch(/Signature Verified Successfully/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
