import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditSink, AuditSinkEntry } from '@keywright/envelope';
import type { SecretStore } from '@keywright/secrets';
import { createJsonLinesSink, openSignedCheckpoint } from '@keywright/secrets/audit';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fixture } from '../support.ts';
import { act, another, openSealed, SIGNER, sealedRows, undone, VERIFIER_KEY } from './support.ts';

/** Keeps what it takes. */
function keeper(): { readonly sink: AuditSink; readonly taken: AuditSinkEntry[]; readonly notes: string[] } {
  const taken: AuditSinkEntry[] = [];
  const notes: string[] = [];
  const write: AuditSink['write'] = async (entries, { checkpoint }) => {
    taken.push(...entries);
    notes.push(checkpoint);
  };
  return { sink: { write }, taken, notes };
}

describeEachEngine('a sink of the audit log', (engine) => {
  let fixture: Fixture;

  beforeAll(async () => {
    fixture = await openSealed(engine);
    await act(fixture.store, 'acme', 20);
    await fixture.store.audit.seal();
  });
  afterAll(async () => {
    await fixture?.close();
  });

  const withSinks = (sinks: Readonly<Record<string, AuditSink>>, maxUnsealedMs?: number): SecretStore =>
    fixture.reopen(fixture.root, {
      audit: {
        signer: SIGNER,
        maxUnsealedMs,
        sinks: Object.entries(sinks).map(([name, sink]) => ({ name, sink })),
      },
    });
  const leaves = (entries: readonly AuditSinkEntry[]): number[] => entries.map(({ leafIndex }) => leafIndex);

  it('gets every sealed row once, in order, with the checkpoint that covers it', async () => {
    await undone(fixture.knex, async () => {
      const { sink, taken, notes } = keeper();
      const store = withSinks({ siem: sink });
      const rows = await sealedRows(fixture.knex);
      expect(await store.audit.ship()).toEqual([{ name: 'siem', shipped: rows.length, done: true }]);
      expect(taken.map(({ leafIndex, id, tenantId }) => [leafIndex, id, tenantId])).toEqual(
        rows.map((row) => [row.leaf_index, row.id, row.tenant_id]),
      );
      const entry = taken.find(({ secretName }) => secretName === 'name 0');
      expect(entry).toEqual({
        leafIndex: entry?.leafIndex,
        id: rows[entry?.leafIndex ?? 0]?.id,
        tenantId: 'acme',
        at: expect.any(Date),
        actor: 'user:1',
        action: 'secret.exists',
        outcome: 'success',
        secretId: null,
        secretName: 'name 0',
        version: null,
        context: { found: 'no' },
        request: { ip: '203.0.113.0' },
      });
      expect(openSignedCheckpoint(notes[0] ?? '', VERIFIER_KEY)).toMatchObject({
        checkpoint: { treeSize: rows.length },
      });
      await act(store, 'acme', 2);
      expect(await store.audit.ship()).toMatchObject([{ shipped: 0 }]); // not sealed
      await another(fixture).audit.seal();
      expect(await withSinks({ siem: sink }).audit.ship()).toMatchObject([{ shipped: 2 }]);
      expect(leaves(taken)).toEqual(taken.map((_, index) => index));
    });
  });

  it('that fails gets the same again, and holds up neither the log nor another sink', async () => {
    await undone(fixture.knex, async () => {
      const { sink, taken } = keeper();
      const cause = new Error('https://token@siem.example is down');
      let failures = 2;
      const failing: AuditSink = {
        write: async (entries, options) => {
          if (failures-- > 0) throw cause;
          await sink.write(entries, options);
        },
      };
      const healthy = keeper();
      const store = withSinks({ failing, healthy: healthy.sink });
      const [first] = await store.audit.ship();
      expect(first).toMatchObject({ name: 'failing', shipped: 0, done: false });
      expect((first as { error?: unknown }).error).toMatchObject({ code: 'ERR_SECRETS_SINK_FAILED', retryable: true });
      expect(String(JSON.stringify(first))).not.toContain('token');
      expect(healthy.taken).toHaveLength(21);
      await act(store, 'acme', 1);
      await store.audit.seal();
      await store.audit.ship();
      expect((await store.audit.ship()).every(({ done }) => done)).toBe(true);
      expect(leaves(taken)).toEqual(leaves(healthy.taken));
    });
  });

  it('gets a batch again when the process died before its place was kept', async () => {
    await undone(fixture.knex, async () => {
      const { sink, taken } = keeper();
      await withSinks({ siem: sink }).audit.ship();
      await fixture.knex('secret_audit_sinks').update({ next_leaf: 15 });
      await withSinks({ siem: sink }).audit.ship();
      expect(leaves(taken)).toEqual([...Array(21).keys(), 15, 16, 17, 18, 19, 20]);
    });
  });

  it('that has more than there is says that the log was put back', async () => {
    await undone(fixture.knex, async () => {
      const store = withSinks({ siem: keeper().sink });
      await store.audit.ship();
      await fixture.knex('secret_audit_sinks').update({ next_leaf: 22 });
      expect(await store.audit.ship()).toMatchObject([
        { done: false, error: { code: 'ERR_SECRETS_AUDIT_TAMPERED', context: { leafIndex: 21 } } },
      ]);
    });
  });

  it('is given the log by one process at a time', async () => {
    await undone(fixture.knex, async () => {
      const { sink, taken } = keeper();
      const slow: AuditSink = {
        write: async (entries, options) => {
          await sleep(50);
          await sink.write(entries, options);
        },
      };
      await Promise.all([withSinks({ siem: slow }).audit.ship(), withSinks({ siem: slow }).audit.ship()]);
      expect(leaves(taken)).toEqual([...Array(21).keys()]);
    });
  });

  it('gets new rows by itself after start(), also when it failed at first', async () => {
    await undone(fixture.knex, async () => {
      const { sink, taken } = keeper();
      const store = withSinks({ siem: sink }, 100);
      store.audit.start();
      await act(store, 'acme', 2);
      for (let wait = 0; wait < 100 && taken.length < 23; wait++) await sleep(20);
      await store.close();
      expect(leaves(taken)).toEqual([...Array(23).keys()]);
    });
  });

  it.each([
    ['no name', [{ sink: { write: async () => {} } }]],
    ['a name with a slash', [{ name: 'a/b', sink: { write: async () => {} } }]],
    ['no write', [{ name: 'a', sink: {} }]],
    ['a name twice', ['a', 'a'].map((name) => ({ name, sink: { write: async () => {} } }))],
    ['no list', {}],
  ])('is refused with %s', async (_what, sinks) => {
    expect(() => fixture.reopen(fixture.root, { audit: { sinks: sinks as never } })).toThrow(
      expect.objectContaining({ code: 'ERR_SECRETS_INVALID_ARGUMENT' }),
    );
  });
});

describe('the sink of JSON lines', () => {
  const entry: AuditSinkEntry = {
    leafIndex: 7,
    tenantId: 'acme',
    id: 'x',
    at: new Date(0),
    actor: 'a\nb',
    action: 'secret.get',
    outcome: 'success',
    secretId: null,
    secretName: null,
    version: null,
    context: {},
    request: {},
  };
  const options = { signal: new AbortController().signal, checkpoint: '' };

  it('writes one line for each entry, and is done when the stream has written it', async () => {
    let written = '';
    let release: (() => void) | undefined;
    const stream = new Writable({
      highWaterMark: 1,
      write(chunk, _encoding, callback) {
        written += String(chunk);
        release = callback;
      },
    });
    let done = false;
    const writing = createJsonLinesSink(stream)
      .write([entry, { ...entry, leafIndex: 8 }], options)
      .then(() => (done = true));
    await sleep(5);
    expect(done).toBe(false); // backpressure
    release?.();
    await writing;
    const parsed = written
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(parsed).toEqual([
      { ...entry, at: '1970-01-01T00:00:00.000Z' },
      { ...entry, at: '1970-01-01T00:00:00.000Z', leafIndex: 8 },
    ]);
  });

  it('fails with the stream: when it errs, is closed, is ended, or is too slow', async () => {
    const failing = new Writable({ write: (_chunk, _encoding, callback) => callback(new Error('full')) });
    await expect(createJsonLinesSink(failing).write([entry], options)).rejects.toThrow('full');
    const stuck = new Writable({ write: () => {} });
    const writing = createJsonLinesSink(stuck).write([entry], options);
    stuck.destroy();
    await expect(writing).rejects.toThrow();
    const ended = new Writable({ write: (_chunk, _encoding, callback) => callback() });
    ended.end();
    await expect(createJsonLinesSink(ended).write([entry], options)).rejects.toThrow();
    const slow = createJsonLinesSink(new Writable({ write: () => {} }));
    await expect(slow.write([entry], { ...options, signal: AbortSignal.timeout(10) })).rejects.toThrow();
  });
});
