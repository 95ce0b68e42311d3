import { createKeyring } from '@keywright/envelope';
import { type ColumnCodec, columnCodec } from '@keywright/envelope/columns';
import {
  type BackfillOptions,
  type BackfillProgress,
  backfill,
  census,
  memoryRowSource,
  type SourceRow,
} from '@keywright/envelope/migrate';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type Credentials,
  codecOf,
  codeOf,
  createConnections,
  credentialsOf,
  type Fixture,
  KEYS,
  keyringOf,
  openDatabase,
  plainText,
  sourceOf,
} from './support.ts';

const reading = codecOf({ legacy: 'allow', v1: 'allow' });

function plainSource(rows: number): ReturnType<typeof memoryRowSource> {
  return memoryRowSource(Array.from({ length: rows }, (_, index) => plainRow(index + 1)));
}

function plainRow(id: number): SourceRow {
  return { key: { id }, stored: plainText(id) };
}

function expectEncrypted(rows: readonly SourceRow[], codec: ColumnCodec<Credentials | null> = codecOf()): void {
  for (const { key, stored } of rows) expect(codec.decode(stored, { key })).toEqual(credentialsOf(Number(key.id)));
}

describeEachEngine('a backfill', (engine) => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await openDatabase(engine);
  });
  afterEach(async () => {
    await fixture?.close();
  });

  it('encrypts what is in the clear, then finds nothing to do', async () => {
    const { knex } = fixture;
    await createConnections(knex, 250);
    await knex('connections').where({ id: 7 }).update({ credentials: null });
    const source = sourceOf(knex);
    const options: BackfillOptions<unknown> = { codec: reading, source, from: { plaintext: true }, batchRows: 40 };
    expect(await backfill(options)).toEqual({
      scanned: 250,
      converted: 249,
      changed: 0,
      skipped: 1,
      failed: 0,
      failures: [],
      cursor: undefined,
      done: true,
    });
    const rows = (await knex('connections').whereNot({ id: 7 })) as { id: number; credentials: string }[];
    expectEncrypted(rows.map(({ id, credentials }) => ({ key: { id }, stored: credentials })));
    expect(await backfill(options)).toMatchObject({ scanned: 250, converted: 0, skipped: 250, done: true });
    expect(await knex('connections').whereNot({ id: 7 })).toEqual(rows);
  });

  it('takes a column from plaintext to version 1, to version 2, and off a key', async () => {
    const { knex } = fixture;
    await createConnections(knex, 60);
    const source = sourceOf(knex);
    const run = async (codec: ColumnCodec<Credentials | null>, from: BackfillOptions<unknown>['from']) =>
      await backfill({ codec, source, from, batchRows: 25 });

    const toV1 = codecOf({ legacy: 'allow', v1: 'allow', write: 'v1' });
    expect(await run(toV1, { plaintext: true })).toMatchObject({ converted: 60 });
    expect(await census({ codec: reading, source })).toMatchObject({ plaintext: 0, byVersion: { 1: 60, 2: 0 } });

    expect(await run(reading, { version: 1 })).toMatchObject({ converted: 60 });
    expect(await run(reading, { version: 1 })).toMatchObject({ converted: 0, skipped: 60 });
    expect(await census({ codec: reading, source })).toMatchObject({ byKid: { v1: { v1: 0, v2: 60 } } });

    const keyring = keyringOf('v2');
    expect(await run(codecOf({ keyring }), { kid: 'v1' })).toMatchObject({ converted: 60 });
    expect(await census({ codec: reading, source })).toMatchObject({ byKid: { v2: { v1: 0, v2: 60 } } });
    keyring.destroy('v1');
    const rows = (await knex('connections')) as { id: number; credentials: string }[];
    expectEncrypted(
      rows.map(({ id, credentials }) => ({ key: { id }, stored: credentials })),
      codecOf({ keyring }),
    );
  });

  it('binds every row to its tenant and to all its key columns', async () => {
    const { knex } = fixture;
    await knex.schema.createTable('notes', (table) => {
      table.string('tenant_id', 20).notNullable();
      table.bigInteger('id').notNullable();
      table.text('body');
      table.primary(['tenant_id', 'id']);
    });
    const big = '9007199254740993';
    await knex('notes').insert([
      { tenant_id: 'acme', id: big, body: 'of acme' },
      { tenant_id: 'globex', id: big, body: 'of globex' },
    ]);
    const codec = columnCodec({
      keyring: keyringOf(),
      table: 'notes',
      column: 'body',
      payload: 'text',
      legacy: 'allow',
    });
    const source = sourceOf(knex, {
      table: 'notes',
      column: 'body',
      key: ['tenant_id', 'id'],
      tenantColumn: 'tenant_id',
    });
    expect(await backfill({ codec, source, from: { plaintext: true }, batchRows: 1 })).toMatchObject({ converted: 2 });
    const rows = (await knex('notes').orderBy('tenant_id')) as { body: string }[];
    const place = (tenant: string) => ({ key: { tenant_id: tenant, id: BigInt(big) }, tenant });
    expect(codec.decode(rows[0]?.body, place('acme'))).toBe('of acme');
    expect(codec.decode(rows[1]?.body, place('globex'))).toBe('of globex');
    expect(await codeOf(() => codec.decode(rows[0]?.body, place('globex')))).toBe('ERR_ENVELOPE_DECRYPT');
  });

  it('runs inside a transaction of the caller and shares its fate', async () => {
    const { knex } = fixture;
    await createConnections(knex, 20);
    const undone = knex.transaction(async (trx) => {
      const result = await backfill({ codec: reading, source: sourceOf(trx), from: { plaintext: true }, batchRows: 6 });
      expect(result).toMatchObject({ converted: 20, done: true });
      throw new Error('rolled back');
    });
    await expect(undone).rejects.toThrow('rolled back');
    expect(await census({ codec: reading, source: sourceOf(knex) })).toMatchObject({ plaintext: 20 });
  });

  it('leaves rows of other values of a filtered source alone', async () => {
    const { knex } = fixture;
    await createConnections(knex, 10);
    await knex('connections').where('id', '>', 6).update({ writes: 1 });
    const source = sourceOf(knex, { where: { writes: 1 } });
    expect(await backfill({ codec: reading, source, from: { plaintext: true } })).toMatchObject({
      scanned: 4,
      converted: 4,
    });
    expect(await census({ codec: reading, source: sourceOf(knex) })).toMatchObject({
      plaintext: 6,
      byVersion: { 2: 4 },
    });
  });
});

describe('a backfill', () => {
  it('encrypts JSON objects and bytes in place, and keeps a null of JSON null', async () => {
    const json = columnCodec({ keyring: keyringOf(), table: 't', column: 'c', storage: 'json', legacy: 'allow' });
    const objects = memoryRowSource([
      { key: { id: 1 }, stored: { a: [1, 'x'] } },
      { key: { id: 2 }, stored: 'text' },
      { key: { id: 3 }, stored: 0 },
    ]);
    expect(await backfill({ codec: json, source: objects, from: { plaintext: true } })).toMatchObject({ converted: 3 });
    expect(objects.rows.map(({ key, stored }) => json.decode(stored, { key }))).toEqual([{ a: [1, 'x'] }, 'text', 0]);
    expect(objects.rows.every(({ stored }) => (stored as { __enc?: number }).__enc === 2)).toBe(true);

    const bytes = columnCodec({ keyring: keyringOf(), table: 't', column: 'c', payload: 'bytes', legacy: 'allow' });
    const blobs = memoryRowSource([
      { key: { id: 1 }, stored: Buffer.from([0, 1, 255]) },
      { key: { id: 2 }, stored: Buffer.alloc(0) },
    ]);
    expect(await backfill({ codec: bytes, source: blobs, from: { plaintext: true } })).toMatchObject({ converted: 2 });
    expect(blobs.rows.map(({ key, stored }) => Array.from(bytes.decode(stored, { key }) ?? []))).toEqual([
      [0, 1, 255],
      [],
    ]);

    const nulls = memoryRowSource([{ key: { id: 1 }, stored: 'null' }]);
    expect(await backfill({ codec: reading, source: nulls, from: { plaintext: true } })).toMatchObject({
      converted: 1,
    });
    expect(nulls.rows[0]?.stored).toBeNull();
  });

  it('reports what cannot be read, by key and code, and leaves it alone', async () => {
    const foreign = createKeyring({ keys: { gone: Buffer.alloc(32, 9) }, activeKid: 'gone' });
    const rows: SourceRow[] = [
      plainRow(1),
      { key: { id: 2 }, stored: 'kw2.A256GCM.broken' },
      { key: { id: 3 }, stored: '{"__enc":1,"kid":"v1","iv":"AAAA"}' },
      { key: { id: 4 }, stored: 'no JSON at all' },
      { key: { id: 5 }, stored: '{"n":12345678901234567890}' },
      { key: { id: 6 }, stored: codecOf({ keyring: foreign }).encode(credentialsOf(6), { key: { id: 6 } }) },
      plainRow(7),
    ];
    const source = memoryRowSource(rows);
    const result = await backfill({ codec: reading, source, from: { plaintext: true }, batchRows: 2 });
    expect(result).toMatchObject({ scanned: 7, converted: 2, failed: 4, skipped: 1, done: true });
    expect(result.failures).toEqual([
      { key: { id: 2 }, code: 'ERR_ENVELOPE_MALFORMED' },
      { key: { id: 3 }, code: 'ERR_ENVELOPE_MALFORMED' },
      { key: { id: 4 }, code: 'ERR_COLUMN_PAYLOAD_TYPE' },
      { key: { id: 5 }, code: 'ERR_COLUMN_VALUE_LOSSY' },
    ]);
    expect(source.rows.slice(1, 6)).toEqual(rows.slice(1, 6));
    const underAKey = await backfill({ codec: reading, source, from: { kid: 'gone' } });
    expect(underAKey.failures.at(-1)).toEqual({ key: { id: 6 }, code: 'ERR_KEYRING_KID_UNKNOWN' });
  });

  it('names so many failures at most and counts all', async () => {
    const source = memoryRowSource(Array.from({ length: 30 }, (_, id) => ({ key: { id }, stored: 'no JSON' })));
    const options = { codec: reading, source, from: { plaintext: true }, batchRows: 4 } as const;
    const { failed, failures } = await backfill({ ...options, maxFailures: 6 });
    expect([failed, failures.length]).toEqual([30, 6]);
  });

  it('never stores what does not decrypt to the same value', async () => {
    const source = plainSource(3);
    const before = source.rows;
    let made = 0;
    // A codec that mixes up every second value.
    const codec: ColumnCodec<Credentials | null> = {
      ...reading,
      encode: (value, place) => reading.encode(made++ % 2 === 0 ? value : { apiKey: 'another' }, place),
    };
    const result = await backfill({ codec, source, from: { plaintext: true } });
    expect(result).toMatchObject({ converted: 2, failed: 1 });
    expect(result.failures).toEqual([{ key: { id: 2 }, code: 'ERR_COLUMN_NOT_VERIFIED' }]);
    expect(source.rows[1]).toEqual(before[1]);
  });

  it('leaves a row alone that a writer changed after it was read, and takes it the next time', async () => {
    const source = plainSource(4);
    const compareAndSet = source.compareAndSet;
    const raced = {
      ...source,
      compareAndSet: async (changes: Parameters<typeof compareAndSet>[0]) => {
        source.put({ key: { id: 2 }, stored: '{"apiKey":"newer"}' });
        source.delete({ id: 3 });
        return await compareAndSet(changes);
      },
    };
    const options = { codec: reading, from: { plaintext: true } } as const;
    expect(await backfill({ ...options, source: raced })).toMatchObject({ converted: 2, changed: 2, done: true });
    expect(source.rows[1]?.stored).toBe('{"apiKey":"newer"}');
    expect(await backfill({ ...options, source })).toMatchObject({ scanned: 3, converted: 1, changed: 0 });
    expect(reading.decode(source.rows[1]?.stored, { key: { id: 2 } })).toEqual({ apiKey: 'newer' });
  });

  it('stops at a signal after the batch that is under way, and goes on from the cursor', async () => {
    const source = plainSource(100);
    const controller = new AbortController();
    const options = { codec: reading, source, from: { plaintext: true }, batchRows: 10 } as const;
    const first = await backfill({
      ...options,
      signal: controller.signal,
      onProgress: ({ scanned }) => scanned >= 30 && controller.abort(),
    });
    expect(first.done).toBe(false);
    expect(first.scanned).toBeGreaterThanOrEqual(30);
    expect(first.scanned).toBeLessThan(100);
    expect(first.converted).toBe(first.scanned);
    const kept = JSON.parse(JSON.stringify(first)) as { cursor: string };
    const second = await backfill({ ...options, cursor: kept.cursor });
    expect(second).toMatchObject({ scanned: 100 - first.scanned, converted: 100 - first.converted, done: true });
    expectEncrypted(source.rows);
  });

  it('gives a cursor with every batch, behind which nothing is left to do', async () => {
    const source = plainSource(50);
    const seen: BackfillProgress[] = [];
    const options = { codec: reading, source, from: { plaintext: true }, batchRows: 10 } as const;
    await backfill({ ...options, onProgress: (progress) => seen.push(progress) });
    expect(seen.map(({ scanned, estimatedRows }) => [scanned, estimatedRows])).toEqual(
      [10, 20, 30, 40, 50].map((scanned) => [scanned, 50]),
    );
    expect(seen.every(({ rowsPerSecond, elapsedMs }) => rowsPerSecond >= 0 && elapsedMs >= 0)).toBe(true);
    for (const { cursor, scanned } of seen.slice(0, -1)) {
      expect(await backfill({ ...options, cursor })).toMatchObject({ scanned: 50 - scanned, converted: 0 });
    }
    expect(seen.at(-1)?.cursor).toBeUndefined();
  });

  it('takes a cursor for its own column and target only', async () => {
    const source = plainSource(30);
    const from = { plaintext: true } as const;
    const controller = new AbortController();
    const { cursor } = await backfill({
      codec: reading,
      source,
      from,
      batchRows: 5,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    const wrong = [
      { codec: reading, source, from: { version: 1 } as const, cursor },
      { codec: reading, source, from: { kid: 'v1' }, cursor },
      { codec: codecOf({ column: 'other', legacy: 'allow' }), source, from, cursor },
      { codec: reading, source, from, cursor: '{"id":5}' },
      { codec: reading, source, from, cursor: 'no cursor' },
    ];
    for (const options of wrong) {
      const error = await backfill(options as BackfillOptions<unknown>).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: 'ERR_COLUMN_INVALID_ARGUMENT', context: { argument: 'cursor' } });
    }
  });

  it('keeps to its rate', async () => {
    const source = plainSource(60);
    const startedAt = performance.now();
    const batches: number[] = [];
    await backfill({
      codec: reading,
      source,
      from: { plaintext: true },
      rowsPerSecond: 200,
      batchRows: 20,
      onProgress: ({ scanned }) => batches.push(scanned),
    });
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(290);
    expect(batches).toEqual([20, 40, 60]);
  });

  it('does not make up for a time when it stood still', async () => {
    const source = plainSource(50);
    const at: number[] = [];
    await backfill({
      codec: reading,
      source,
      from: { plaintext: true },
      rowsPerSecond: 20,
      batchRows: 10,
      onProgress: async ({ scanned }) => {
        if (scanned === 10) await new Promise((resolve) => setTimeout(resolve, 2000));
        at.push(performance.now());
      },
    });
    // A batch takes half a second. One second of arrears is forgiven, two are not.
    expect(Number(at.at(-1)) - Number(at[0])).toBeGreaterThanOrEqual(400);
  });

  it('waits for a progress callback, and ends with what it rejects with', async () => {
    const source = plainSource(30);
    let kept = 0;
    const onProgress = async ({ scanned }: BackfillProgress): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (scanned === 20) throw new Error('not kept');
      kept = scanned;
    };
    const options = { codec: reading, source, from: { plaintext: true }, batchRows: 10, onProgress } as const;
    await expect(backfill(options)).rejects.toThrow('not kept');
    expect(kept).toBe(10);
    expect(await census({ codec: reading, source })).toMatchObject({ byVersion: { 2: 20 } });
    const failing = { codec: reading, source, onProgress: () => Promise.reject(new Error('not heard')) };
    await expect(census(failing)).rejects.toThrow('not heard');
  });

  it('goes on after values that are too deep, and takes long ones', async () => {
    const long = 'x\n'.repeat(5_000_000);
    const source = memoryRowSource([
      { key: { id: 1 }, stored: `${'['.repeat(20_000)}${']'.repeat(20_000)}` },
      { key: { id: 2 }, stored: `{ "apiKey": ${JSON.stringify(long)} }` },
      plainRow(3),
    ]);
    const result = await backfill({ codec: reading, source, from: { plaintext: true } });
    expect(result).toMatchObject({ converted: 2, failed: 1 });
    expect(result.failures).toEqual([{ key: { id: 1 }, code: 'ERR_ENVELOPE_INVALID_VALUE' }]);
    expect(reading.decode(source.rows[1]?.stored, { key: { id: 2 } })?.apiKey === long).toBe(true);
  });

  it('tries again while the database fails for a moment, and never a change of its own', async () => {
    const source = plainSource(30);
    let failures = 0;
    const { ColumnMigrationError } = await import('@keywright/envelope/migrate');
    const flaky =
      <Arguments extends unknown[], Result>(call: (...given: Arguments) => Promise<Result>) =>
      async (...given: Arguments): Promise<Result> => {
        if (failures++ % 2 === 0) throw new ColumnMigrationError('ERR_COLUMN_SOURCE_FAILED', { retryable: true });
        return await call(...given);
      };
    const failing = { ...source, scan: flaky(source.scan), compareAndSet: flaky(source.compareAndSet) };
    const result = await backfill({ codec: reading, source: failing, from: { plaintext: true }, batchRows: 15 });
    expect(result).toMatchObject({ scanned: 30, converted: 30, done: true });
    expectEncrypted(source.rows);
  });

  it('ends with the error of a database that fails for good, with nothing left under way', async () => {
    const source = plainSource(30);
    const { ColumnMigrationError } = await import('@keywright/envelope/migrate');
    let calls = 0;
    const failing = {
      ...source,
      compareAndSet: async (changes: Parameters<typeof source.compareAndSet>[0]) => {
        if (++calls === 2) throw new ColumnMigrationError('ERR_COLUMN_SOURCE_FAILED');
        return await source.compareAndSet(changes);
      },
    };
    const options = { codec: reading, from: { plaintext: true }, batchRows: 10 } as const;
    expect(await codeOf(() => backfill({ ...options, source: failing }))).toBe('ERR_COLUMN_SOURCE_FAILED');
    expect(await backfill({ ...options, source })).toMatchObject({ converted: 20, skipped: 10, done: true });
    expectEncrypted(source.rows);
  });

  it('says at once when the codec was not made for it', async () => {
    const source = plainSource(3);
    const before = source.rows;
    const v1 = codecOf({ write: 'v1', v1: 'allow' });
    source.put({ key: { id: 9 }, stored: v1.encode(credentialsOf(9), { key: { id: 9 } }) });
    const cases = [
      [codecOf(), { plaintext: true }, 'ERR_COLUMN_PLAINTEXT_REFUSED'],
      [codecOf({ legacy: 'allow' }), { version: 1 }, 'ERR_COLUMN_V1_REFUSED'],
      [codecOf({ legacy: 'allow', write: 'plaintext' }), { plaintext: true }, 'ERR_COLUMN_INVALID_ARGUMENT'],
      [v1, { version: 1 }, 'ERR_COLUMN_INVALID_ARGUMENT'],
      [reading, { kid: 'v1' }, 'ERR_COLUMN_KEY_ACTIVE'],
      [codecOf({ legacy: 'allow', tenant: () => undefined }), { plaintext: true }, 'ERR_COLUMN_TENANT_MISSING'],
      [codecOf({ legacy: 'allow', storage: 'json' }), { plaintext: true }, 'ERR_COLUMN_INVALID_ARGUMENT'],
    ] as const;
    for (const [codec, from, code] of cases) {
      expect(await codeOf(() => backfill({ codec, source, from }))).toBe(code);
    }
    expect(source.rows.slice(0, 3)).toEqual(before);
  });

  it.each([
    ['from', { from: undefined }],
    ['from', { from: { plaintext: false } }],
    ['from', { from: { version: 2 } }],
    ['from', { from: { kid: 'a b' } }],
    ['from', { from: { plaintext: true, version: 1 } }],
    ['rowsPerSecond', { rowsPerSecond: 0 }],
    ['maxFailures', { maxFailures: -1 }],
    ['batchRows', { batchRows: 1.5 }],
  ])('refuses a wrong %s', async (argument, wrong) => {
    const options = { codec: reading, source: plainSource(1), from: { plaintext: true }, ...wrong };
    const error = await backfill(options as BackfillOptions<unknown>).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'ERR_COLUMN_INVALID_ARGUMENT', context: { argument } });
  });

  it('shows no value and no key in its results, progress and errors', async () => {
    const canary = 'sk_live_canary';
    const source = memoryRowSource([
      { key: { id: 1 }, stored: `{"apiKey":"${canary}"}` },
      { key: { id: 2 }, stored: `${canary} is no JSON` },
    ]);
    const said: unknown[] = [];
    const options = { codec: reading, source, from: { plaintext: true } } as const;
    said.push(await backfill({ ...options, onProgress: (progress) => said.push(progress) }));
    said.push(await backfill({ ...options, codec: codecOf() }).catch((error: unknown) => error));
    const { inspect } = await import('node:util');
    const text = said
      .map((each) => `${inspect(each, { depth: 9, showHidden: true })} ${JSON.stringify(each)}`)
      .join('\n');
    expect(text).toContain('ERR_COLUMN_PLAINTEXT_REFUSED');
    expect(text).not.toContain(canary);
    for (const key of Object.values(KEYS)) expect(text).not.toContain(key);
  });
});
