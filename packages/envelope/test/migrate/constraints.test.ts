import { createKeyring, type Suite } from '@keywright/envelope';
import { type ColumnCodec, type ColumnCodecOptions, columnCodec } from '@keywright/envelope/columns';
import { type ColumnConstraint, finalise, type RowSource } from '@keywright/envelope/migrate';
import { xchacha20Poly1305 } from '@keywright/envelope/xchacha20-poly1305';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  codecOf,
  codeOf,
  createConnections,
  credentialsOf,
  type Fixture,
  KEYS,
  keyringOf,
  openDatabase,
  sourceOf,
} from './support.ts';

interface Column {
  readonly type: string;
  readonly options: Partial<ColumnCodecOptions>;
  readonly value: unknown;
  /** What must not be there any more, whatever is finalised. */
  readonly junk: readonly unknown[];
}

const credentials = { apiKey: 'sk_test_1' };
const TEXT: Column = {
  type: 'text',
  options: {},
  value: credentials,
  junk: [
    'sk_test_1',
    '{"apiKey":"sk_test_1"}',
    '{}',
    '"text"',
    'null',
    '',
    'kw2.',
    'kw2.A256GCM.v1',
    'kw2.A256GCM.v1.AAAA',
    'kw2.NONE.v1.AAAA.AAAA',
    'kw2.A256GCM..AAAA.AAAA',
    'kw2.A256GCM.v1.AAAA.AAAA\nsk_test_1',
    'sk_test_1 kw2.A256GCM.v1.AAAA.AAAA',
    'KW2.A256GCM.v1.AAAA.AAAA',
    '{"__enc":3,"kid":"v1","iv":"AAAA","ct":"AAAA"}',
    '{"__enc":"1","kid":"v1","iv":"AAAA","ct":"AAAA"}',
    '{"__enc":1,"kid":"v1","iv":"AAAA","ct":"AAAA","apiKey":"sk_test_1"}',
    '{"__enc":1,"kid":"v1","iv":{"apiKey":"sk_test_1"},"ct":"AAAA"}',
    '{"__enc":1,"iv":"AAAA","ct":"AAAA"}',
    '{"__enc":1,"kid":7,"iv":"AAAA","ct":"AAAA"}',
    '{"__enc":1,"alg":{"apiKey":"sk_test_1"},"kid":"v1","iv":"AAAA","ct":"AAAA"}',
    '[{"__enc":1,"kid":"v1","iv":"AAAA","ct":"AAAA"}]',
  ],
};
const JSON_JUNK = TEXT.junk.filter((junk) => /^["{[]/.test(String(junk)));
const BYTES_JUNK = [
  '',
  'KW',
  'sk_test_1',
  '4b5701',
  '4b570201',
  '4b57020100aaaa',
  '4b57020402763141',
  '4b5702014176314141',
];
const bytesJunk = [
  ...BYTES_JUNK.slice(0, 3).map((text) => Buffer.from(text)),
  ...BYTES_JUNK.slice(3).map((hex) => Buffer.from(hex, 'hex')),
];

describeEachEngine('constraints', (engine) => {
  const json = { storage: 'json', jsonAs: engine.name === 'sqlite' ? 'string' : 'object' } as const;
  const columns: readonly (Column & { readonly name: string })[] = [
    { ...TEXT, name: 'text' },
    ...(engine.name === 'sqlite' ? ['json'] : ['json', 'jsonb']).map((type) => ({
      name: type,
      type,
      options: json,
      value: credentials,
      junk: JSON_JUNK,
    })),
    {
      name: 'bytes',
      type: engine.name === 'sqlite' ? 'blob' : 'bytea',
      options: { payload: 'bytes' },
      value: Buffer.from('sk_test_1'),
      junk: engine.name === 'sqlite' ? [...bytesJunk, 'sk_test_1'] : bytesJunk,
    },
  ];
  let fixture: Fixture;
  let knex: Knex;
  beforeAll(async () => {
    fixture = await openDatabase(engine);
    knex = fixture.knex;
  });
  afterAll(async () => {
    await fixture?.close();
  });

  describe.each(columns)('of $name', ({ type, options, value, junk }) => {
    let source: RowSource;
    let nextId = 1;
    beforeEach(async () => {
      await knex.raw('drop table if exists "Odd ""conn"');
      await knex.raw(`create table "Odd ""conn" (id integer primary key, "the column" ${type})`);
      source = sourceOf(knex, { table: 'Odd "conn', column: 'the column' });
    });
    const insert = async (stored: unknown): Promise<unknown> => {
      const bound =
        typeof stored === 'object' && stored !== null && !Buffer.isBuffer(stored) ? JSON.stringify(stored) : stored;
      return await codeOf(async () => {
        await knex('Odd "conn').insert({ id: nextId++, 'the column': bound });
        return 'stored';
      });
    };
    const made = (over: Partial<ColumnCodecOptions> = {}, suite?: Suite): unknown => {
      const keyring = createKeyring({ keys: KEYS, activeKid: 'v1', suite });
      return codecWith({ keyring, ...over }).encode(value, { key: { id: nextId } });
    };
    const codecWith = (over: Partial<ColumnCodecOptions> = {}): ColumnCodec<unknown> =>
      columnCodec<unknown>({ keyring: keyringOf(), table: 't', column: 'c', ...options, ...over });
    const run = async (statements: readonly string[]): Promise<readonly unknown[]> => {
      const rows: unknown[] = [];
      for (const sql of statements) {
        const result = (await knex.raw(sql)) as unknown;
        if (Array.isArray(result)) rows.push(...result);
      }
      return rows;
    };
    /** The rows that break the rule; what PostgreSQL says by failing, SQLite says by listing them. */
    const isValid = async ({ validate }: ColumnConstraint): Promise<boolean> => {
      try {
        return (await run(validate)).length === 0;
      } catch (error) {
        expect((error as { code: string }).code).toMatch(/^(?:23514|22P02)$/);
        return false;
      }
    };
    const expectRefused = async (stored: unknown): Promise<void> => {
      const outcome = (await insert(stored)) as { code?: string };
      expect(`${String(stored)} ${outcome.code}`).toMatch(/ (?:23514|22P02|SQLITE_CONSTRAINT_TRIGGER)$/);
    };
    const expectUpdateRefused = async (stored: unknown): Promise<void> => {
      const id = nextId;
      expect(await insert(null)).toBe('stored');
      const update = knex('Odd "conn').where({ id }).update({ 'the column': stored });
      await expect(update).rejects.toThrow();
    };

    it('refuse what is no envelope and take all that the codec makes', async () => {
      const { constraint } = await finalise({ codec: codecWith(), source, from: { plaintext: true } });
      if (constraint === undefined) throw new Error('no constraint');
      await run(constraint.add);
      expect(await insert(null)).toBe('stored');
      expect(await insert(made())).toBe('stored');
      expect(await insert(made({}, xchacha20Poly1305))).toBe('stored');
      expect(await isValid(constraint)).toBe(true);
      for (const each of junk) await expectRefused(each);
      await expectUpdateRefused(junk[0]);
      if (options.payload !== 'bytes') await expectRefused(made({ write: 'v1', v1: 'allow' }));
      expect(await isValid(constraint)).toBe(true);
      await run(constraint.drop);
      expect(await insert(junk[1])).toBe('stored');
    });

    it('tell of rows that were there before', async () => {
      const { constraint } = await finalise({ codec: codecWith(), source, from: { plaintext: true } });
      if (constraint === undefined) throw new Error('no constraint');
      expect(await insert(junk.at(-1))).toBe('stored');
      await run(constraint.add);
      expect(await isValid(constraint)).toBe(false);
    });

    it('refuse a retired key and no other', async () => {
      const keyring = keyringOf('v2');
      const codec = codecWith({ keyring });
      await insert(made({ keyring }));
      const { constraint, census } = await finalise({ codec, source, from: { kid: 'v1' } });
      expect(census.byKid).toEqual({ v2: { v1: 0, v2: 1 } });
      if (constraint === undefined) throw new Error('no constraint');
      await run(constraint.add);
      expect(await isValid(constraint)).toBe(true);
      expect(await insert(made({ keyring }))).toBe('stored');
      const longer = createKeyring({ keys: { v11: KEYS.v1 as string, v2: KEYS.v2 as string }, activeKid: 'v11' });
      expect(await insert(made({ keyring: longer }))).toBe('stored');
      await expectRefused(made());
      await expectRefused(made({}, xchacha20Poly1305));
      await expectRefused(junk[1]);
      expect(await isValid(constraint)).toBe(true);
    });

    if (options.payload !== 'bytes') {
      it('take version 1 as long as it is written or there, and refuse it in the end', async () => {
        const v1 = { write: 'v1', v1: 'allow' } as const;
        expect(await insert(made(v1))).toBe('stored');
        const first = await finalise({ codec: codecWith({ v1: 'allow' }), source, from: { plaintext: true } });
        if (first.constraint === undefined) throw new Error('no constraint');
        await run(first.constraint.add);
        expect(await isValid(first.constraint)).toBe(true);
        expect(await insert(made(v1))).toBe('stored');
        expect(await insert(made())).toBe('stored');
        for (const each of junk) await expectRefused(each);
        const ofKid = await finalise({
          codec: codecWith({ keyring: keyringOf('v2'), v1: 'allow' }),
          source,
          from: { kid: 'gone' },
        });
        expect(ofKid.constraint?.add).not.toEqual(first.constraint.add);

        expect(await codeOf(() => finalise({ codec: codecWith(), source, from: { version: 1 } }))).toBe(
          'ERR_COLUMN_NOT_FINAL',
        );
        await knex('Odd "conn').delete();
        const second = await finalise({ codec: codecWith(), source, from: { version: 1 } });
        if (second.constraint === undefined) throw new Error('no constraint');
        await run(second.constraint.add);
        await expectRefused(made(v1));
        expect(await insert(made())).toBe('stored');
      });
    }
  });

  if (engine.name === 'sqlite') {
    it('refuse what stands behind a NUL, and every way around a trigger', async () => {
      await knex.raw('create table plain (id integer primary key, credentials text)');
      await knex('plain').insert({ id: 1, credentials: null });
      const source = sourceOf(knex, { table: 'plain' });
      const rule = { versions: [1, 2], forms: ['text', 'object'] } as const;
      const constraint = (await source.constraint?.(rule)) as ColumnConstraint;
      for (const sql of constraint.add) await knex.raw(sql);
      for (const hidden of [
        'kw2.A256GCM.v1.AAAA.AAAA\0{"apiKey":"sk_test_1"}',
        '{"__enc":1,"kid":"v1","iv":"AAAA","ct":"AAAA"}\0{"apiKey":"sk_test_1"}',
      ]) {
        await expect(knex('plain').update({ credentials: hidden })).rejects.toMatchObject({
          code: 'SQLITE_CONSTRAINT_TRIGGER',
        });
      }
      for (const sql of [
        "insert or ignore into plain values (2, 'x')",
        "insert or replace into plain values (1, 'x')",
        "replace into plain values (1, 'x')",
        "update or ignore plain set credentials = 'x'",
        "update or replace plain set credentials = 'x'",
        "insert into plain values (1, null) on conflict (id) do update set credentials = 'x'",
      ]) {
        await expect(knex.raw(sql)).rejects.toMatchObject({ code: 'SQLITE_CONSTRAINT_TRIGGER' });
      }
      expect(await knex('plain')).toEqual([{ id: 1, credentials: null }]);
    });
  } else {
    it('tell kids apart in a column that ignores case', async () => {
      await knex.raw("create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
      await knex.raw('create table nocase (id integer primary key, credentials text collate nocase)');
      const token = codecOf().encode(credentialsOf(1), { key: { id: 1 } }) as string;
      await knex('nocase').insert({ id: 1, credentials: token });
      const source = sourceOf(knex, { table: 'nocase' });
      for (const forms of [['text'], ['text', 'object']] as const) {
        const rule = { versions: [1, 2], forms, notKid: 'V1' } as const;
        const constraint = (await source.constraint?.(rule)) as ColumnConstraint;
        for (const sql of [...constraint.add, ...constraint.validate, ...constraint.drop]) await knex.raw(sql);
      }
    });
  }

  it('take no kid that would be SQL', async () => {
    const source = sourceOf(knex);
    const rule = { versions: [2], forms: ['text'], notKid: "v1' or '1' = '1" } as const;
    expect(await codeOf(() => source.constraint?.(rule))).toBe('ERR_COLUMN_INVALID_ARGUMENT');
  });

  it('have names that fit, for tables and kids that are long', async () => {
    const table = `t${'x'.repeat(59)}`;
    const keyring = createKeyring({ keys: { k: KEYS.v1 as string }, activeKid: 'k' });
    await knex.raw('create table ?? (id integer primary key, credentials text)', [table]);
    const source = sourceOf(knex, { table });
    const statements = await Promise.all(
      [{ plaintext: true } as const, { kid: 'a'.repeat(64) }, { kid: 'b'.repeat(64) }].map(async (from) => {
        const { constraint } = await finalise({ codec: codecOf({ keyring }), source, from });
        return constraint as ColumnConstraint;
      }),
    );
    for (const { add } of statements) for (const sql of add) await knex.raw(sql);
    for (const { drop } of statements) for (const sql of drop) await knex.raw(sql);
  });

  it('are not given where rows are filtered or plaintext is left', async () => {
    await createConnections(knex, 2);
    const codec = codecOf({ keyring: keyringOf('v2'), legacy: 'allow' });
    const filtered = sourceOf(knex, { where: { id: 99 } });
    expect(await finalise({ codec, source: filtered, from: { plaintext: true } })).toMatchObject({
      constraint: undefined,
      snapshot: true,
    });
    const source = sourceOf(knex);
    expect(await finalise({ codec, source, from: { kid: 'v1' } })).toMatchObject({
      constraint: undefined,
      census: { plaintext: 2 },
    });
    const error = await finalise({ codec, source, from: { plaintext: true } }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      code: 'ERR_COLUMN_NOT_FINAL',
      context: { table: 'connections', field: 'credentials', count: 2 },
      census: { rows: 2, plaintext: 2 },
    });
    await knex('connections').update({ credentials: 'kw2.A256GCM.v1' });
    expect(await codeOf(() => finalise({ codec, source, from: { kid: 'v9' } }))).toBe('ERR_COLUMN_NOT_FINAL');
    await knex('connections').update({ credentials: codecOf().encode(credentialsOf(1), { key: { id: 1 } }) as string });
    expect(await codeOf(() => finalise({ codec, source, from: { kid: 'v1' } }))).toBe('ERR_COLUMN_NOT_FINAL');
  });
});
