import { inspect } from 'node:util';
import { createKeyring, type EnvelopeV2, inspectEnvelope } from '@keywright/envelope';
import { type ColumnCodecOptions, columnCodec, type LegacyRead } from '@keywright/envelope/columns';
import { encryptCredentials } from '@keywright/envelope/compat';
import { describe, expect, it } from 'vitest';
import { KEYS, testKeyring, thrown } from '../support.ts';

const keyring = testKeyring();
const key = { id: 42 };
const place = { key };
const base = { keyring, table: 'connections', column: 'credentials' } as const;
const make = (options: Partial<ColumnCodecOptions> = {}) => columnCodec<unknown>({ ...base, ...options });
const code = (work: () => unknown) => thrown(work).code;

const FORMS: readonly [string, Partial<ColumnCodecOptions>, unknown][] = [
  ['JSON in text', {}, { apiKey: 'canary' }],
  ['JSON that is a text, in text', {}, 'canary'],
  ['text in text', { payload: 'text' }, 'canary'],
  ['JSON in JSON', { storage: 'json' }, { apiKey: 'canary' }],
  ['JSON in JSON as text', { storage: 'json', jsonAs: 'string' }, ['canary', 1, null]],
  ['text in JSON', { storage: 'json', payload: 'text' }, 'canary'],
  ['bytes in bytes', { payload: 'bytes' }, Buffer.from('canary')],
  ['text in bytes', { payload: 'text', storage: 'bytes' }, 'canary'],
  ['JSON in bytes', { storage: 'bytes' }, { apiKey: 'canary' }],
];

describe.each(FORMS)('%s', (_what, options, value) => {
  const codec = make(options);
  const shown = (stored: unknown) => inspect(stored) + (Buffer.isBuffer(stored) ? stored.toString('latin1') : '');

  it('is encrypted as version 2 and comes back', () => {
    const stored = codec.encode(value, place);
    expect(shown(stored)).not.toContain('canary');
    expect(codec.inspect(stored)).toEqual({ state: 'encrypted', version: 2, kid: 'v1' });
    expect(codec.decode(stored, place)).toEqual(value);
    expect(codec.encode(value, place)).not.toEqual(stored);
  });

  it('does not open in another row, column, table or tenant', () => {
    const stored = codec.encode(value, place);
    for (const [other, where] of [
      [codec, { key: { id: 43 } }],
      [codec, { key: { uuid: 42 } }],
      [codec, { key: { id: 42, part: 1 } }],
      [codec, { ...place, tenant: 'acme' }],
      [make({ ...options, column: 'notes' }), place],
      [make({ ...options, table: 'users' }), place],
      [make({ ...options, binds: 'column' }), place],
    ] as const) {
      expect(code(() => other.decode(stored, where))).toBe('ERR_ENVELOPE_DECRYPT');
    }
  });

  it('passes in the clear only where that is allowed, and is counted there', () => {
    const reads: LegacyRead[] = [];
    const onLegacy = (read: LegacyRead): void => void reads.push(read);
    const old = make({ ...options, legacy: 'allow', write: 'plaintext', onLegacy });
    const stored = old.encode(value, place);
    expect(shown(stored)).toContain('canary');
    expect(old.inspect(stored)).toEqual({ state: 'plaintext' });
    expect(old.decode(stored, place)).toEqual(value);
    expect(reads).toEqual([{ table: 'connections', column: 'credentials' }]);
    expect(old.decode(codec.encode(value, place), place)).toEqual(value);
    expect(reads).toHaveLength(1);
    const error = thrown(() => codec.decode(stored, place));
    expect(error).toMatchObject({
      name: 'ColumnError',
      code: 'ERR_COLUMN_PLAINTEXT_REFUSED',
      context: { table: 'connections', field: 'credentials' },
    });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('canary');
  });

  it('has null for null and leaves undefined alone', () => {
    expect([codec.encode(null), codec.decode(null), codec.encode(undefined), codec.decode(undefined)]).toEqual([
      null,
      null,
      undefined,
      undefined,
    ]);
    expect(codec.inspect(null)).toEqual({ state: 'null' });
  });

  it('is a new value each time', () => {
    const stored = codec.encode(value, place);
    const [first, second] = [codec.decode(stored, place), codec.decode(stored, place)];
    expect(first).toEqual(second);
    if (typeof first === 'object') expect(first).not.toBe(second);
  });
});

describe('the context', () => {
  it('is kind, table, column, tenant and the key by column', () => {
    const stored = make({ storage: 'json', tenant: 'acme' }).encode('x', { key: { id: 42n, part: 'a' } });
    const context = { kind: 'column', table: 'connections', column: 'credentials', tenant: 'acme' };
    expect(keyring.decrypt(stored, { context: { ...context, 'key.id': '42', 'key.part': 'a' } })).toBe('x');
    const column = make({ storage: 'json', binds: 'column' }).encode('x', { key: { id: 42 } });
    const { tenant: _tenant, ...rest } = context;
    expect(keyring.decrypt(column, { context: rest })).toBe('x');
  });

  it('is the same for a key as number, bigint and text', () => {
    const codec = make();
    const stored = codec.encode('x', { key: { id: 1 } });
    expect(codec.decode(stored, { key: { id: '1' } })).toBe('x');
    expect(codec.decode(stored, { key: { id: 1n } })).toBe('x');
    const large = codec.encode('x', { key: { id: '9007199254740993' } });
    expect(codec.decode(large, { key: { id: 9007199254740993n } })).toBe('x');
  });

  it('takes a key column named like one of its own pairs for what it is', () => {
    const codec = make({ storage: 'json', tenant: 'acme' });
    const stored = codec.encode('x', { key: { tenant: 'globex', table: 't', kind: 'k', column: 'c' } });
    const context = { kind: 'column', table: 'connections', column: 'credentials', tenant: 'acme' };
    const bound = { 'key.tenant': 'globex', 'key.table': 't', 'key.kind': 'k', 'key.column': 'c' };
    expect(keyring.decrypt(stored, { context: { ...context, ...bound } })).toBe('x');
    const proto = codec.encode('x', { key: JSON.parse('{"__proto__":"a"}') });
    expect(code(() => codec.decode(proto, { key: JSON.parse('{"__proto__":"b"}') }))).toBe('ERR_ENVELOPE_DECRYPT');
  });

  it.each([
    ['no place', undefined, 'ERR_COLUMN_ROW_KEY_MISSING'],
    ['no key', {}, 'ERR_COLUMN_ROW_KEY_MISSING'],
    ['a key without columns', { key: {} }, 'ERR_COLUMN_ROW_KEY_MISSING'],
    ['a key not yet assigned', { key: { id: undefined } }, 'ERR_COLUMN_ROW_KEY_MISSING'],
    ['a null in the key', { key: { id: null } }, 'ERR_COLUMN_ROW_KEY_MISSING'],
    ['an empty text', { key: { id: '' } }, 'ERR_COLUMN_ROW_KEY_INVALID'],
    ['a lone surrogate', { key: { id: '\ud800' } }, 'ERR_COLUMN_ROW_KEY_INVALID'],
    ['a fraction', { key: { id: 1.5 } }, 'ERR_COLUMN_ROW_KEY_INVALID'],
    ['a number that lost digits', { key: { id: 2 ** 53 } }, 'ERR_COLUMN_ROW_KEY_INVALID'],
    ['a Date', { key: { id: new Date(0) } }, 'ERR_COLUMN_ROW_KEY_INVALID'],
    ['bytes', { key: { id: Buffer.from('a') } }, 'ERR_COLUMN_ROW_KEY_INVALID'],
    ['a boolean', { key: { id: true } }, 'ERR_COLUMN_ROW_KEY_INVALID'],
  ])('refuses %s, also in the clear', (_what, where, expected) => {
    const stored = make().encode('x', place);
    expect(code(() => make().encode('x', where as never))).toBe(expected);
    expect(code(() => make().decode(stored, where as never))).toBe(expected);
    const old = make({ legacy: 'allow', write: 'plaintext' });
    expect(code(() => old.encode('x', where as never))).toBe(expected);
    expect(code(() => old.decode('"x"', where as never))).toBe(expected);
  });

  it.each([undefined, '', 7, Promise.resolve('acme')])('refuses %s for a tenant', (tenant) => {
    const codec = make({ tenant: () => tenant as never });
    expect(code(() => codec.encode('x', place))).toBe('ERR_COLUMN_TENANT_MISSING');
    expect(code(() => codec.decode('kw2.x', place))).toBe('ERR_COLUMN_TENANT_MISSING');
  });

  it("takes the row's tenant instead of the codec's", () => {
    const codec = make({ tenant: 'acme' });
    const stored = codec.encode('x', { key, tenant: 'globex' });
    expect(make({ tenant: 'globex' }).decode(stored, place)).toBe('x');
    expect(code(() => codec.decode(stored, place))).toBe('ERR_ENVELOPE_DECRYPT');
  });
});

describe('what claims to be an envelope is never read as plaintext', () => {
  const token = make().encode('x', place) as string;
  const object = make({ storage: 'json' }).encode('x', place) as EnvelopeV2;
  const jsonb = `{"ct": "${object.ct}", "iv": "${object.iv}", "kid": "v1", "__enc": 2}`;
  const cut = (text: string) => text.slice(0, -9);
  const open: Partial<ColumnCodecOptions> = { legacy: 'allow', v1: 'allow' };
  const anywhere = { key: { id: 7 } };

  it.each<[string, Partial<ColumnCodecOptions>, unknown]>([
    ['a token', {}, token],
    ['a token cut short', {}, cut(token)],
    ['a token of a later version', {}, 'kw3.whatever'],
    ['a user text like a token', { payload: 'text' }, 'kw2. is a fine prefix'],
    ['JSON text of an envelope', {}, JSON.stringify(object)],
    ['JSON text of an envelope, as text', { payload: 'text' }, JSON.stringify(object)],
    ['JSON text of an envelope, as jsonb shows it', { payload: 'text' }, jsonb],
    ['JSON text of an envelope, cut short', { payload: 'text' }, cut(JSON.stringify(object))],
    ['JSON text with an escaped mark', { payload: 'text' }, String.raw` {"\u005f_enc":1}`],
    ['JSON text with only a mark', { payload: 'text' }, '{"__enc":1}'],
    ['JSON text of a token', {}, JSON.stringify(token)],
    ['JSON text of JSON text of an envelope', {}, JSON.stringify(JSON.stringify(object))],
    ['an envelope object', { storage: 'json' }, { ...object }],
    ['an object with a mark', { storage: 'json' }, { __enc: 'mine', note: 1 }],
    ['an object with an inherited mark', { storage: 'json' }, Object.create({ __enc: 1 })],
    ['a token in JSON', { storage: 'json' }, token],
    ['JSON text in JSON', { storage: 'json' }, JSON.stringify(object)],
    ['JSON text of a token in JSON', { storage: 'json', jsonAs: 'string' }, JSON.stringify(token)],
    ['an object where JSON is text', { storage: 'json', jsonAs: 'string' }, { ...object }],
    ['bytes of an envelope', { payload: 'bytes' }, make({ payload: 'bytes' }).encode(Buffer.alloc(3), place)],
    ['bytes that start like one', { payload: 'bytes' }, Buffer.from('KWhatever')],
    ['text bytes that start like one', { payload: 'text', storage: 'bytes' }, Buffer.from('KW')],
  ])('%s', (_what, options, stored) => {
    const codec = make({ ...open, ...options });
    expect(codec.inspect(stored).state).not.toBe('plaintext');
    expect(code(() => codec.decode(stored, anywhere))).toMatch(/^ERR_ENVELOPE_/);
  });

  it.each<[string, Partial<ColumnCodecOptions>, unknown]>([
    ['bytes in a text column', {}, Buffer.from('"x"')],
    ['an object in a text column', {}, { a: 1 }],
    ['a number in a text column', {}, 7],
    ['text in a bytes column', { payload: 'bytes' }, 'x'],
    ['bytes in a JSON column', { storage: 'json' }, Buffer.from('"x"')],
    ['a bigint in a JSON column', { storage: 'json' }, 7n],
  ])('%s is of no known type, and refused', (_what, options, stored) => {
    const codec = make({ ...open, ...options });
    expect(codec.inspect(stored)).toEqual({ state: 'malformed' });
    expect(code(() => codec.decode(stored, anywhere))).toBe('ERR_COLUMN_STORED_TYPE');
  });

  it('but its forms are read wherever a changed column type leaves them', () => {
    const { context } = { context: { kind: 'column', table: 'connections', column: 'credentials', 'key.id': '42' } };
    for (const stored of [
      token,
      JSON.stringify(object),
      jsonb,
      JSON.stringify(keyring.encryptText('"x"', { context })),
    ]) {
      expect(make().decode(stored, place)).toBe('x');
      expect(make({ storage: 'json' }).decode(stored, place)).toBe('x');
      expect(make({ storage: 'json', jsonAs: 'string' }).decode(stored, place)).toBe('x');
    }
  });
});

describe('a value shaped like an envelope', () => {
  const object = make({ storage: 'json' }).encode('x', place);
  const token = make().encode('x', place);

  it.each<[string, Partial<ColumnCodecOptions>, unknown]>([
    ['an envelope of this very column', { storage: 'json' }, object],
    ['an envelope of this very column, as text', {}, object],
    ['a token of this very column', { payload: 'text' }, token],
    ['JSON text of an envelope', { payload: 'text' }, JSON.stringify(object)],
    ['a mark', { storage: 'json' }, { __enc: 1 }],
    ['bytes', { payload: 'bytes' }, Buffer.from('KW and so on')],
  ])('is data and is encrypted: %s', (_what, options, value) => {
    const codec = make(options);
    const stored = codec.encode(value, place);
    expect(stored).not.toEqual(value);
    expect(codec.decode(stored, place)).toEqual(value);
    const old = make({ ...options, write: 'plaintext', legacy: 'allow' });
    expect(code(() => old.encode(value, place))).toBe('ERR_COLUMN_VALUE_AMBIGUOUS');
  });
});

describe('version 1', () => {
  const credentials = { apiKey: 'canary' };
  const v1 = encryptCredentials(credentials, keyring);

  it('is refused unless it is allowed', () => {
    expect(code(() => make({ storage: 'json' }).decode(v1, place))).toBe('ERR_COLUMN_V1_REFUSED');
    expect(code(() => make({ legacy: 'allow' }).decode(JSON.stringify(v1), place))).toBe('ERR_COLUMN_V1_REFUSED');
    expect(make({ storage: 'json', v1: 'allow' }).decode(v1, place)).toEqual(credentials);
    expect(make({ v1: 'allow' }).decode(JSON.stringify(v1), place)).toEqual(credentials);
  });

  it.each<[string, Partial<ColumnCodecOptions>, unknown]>([
    ['JSON in text', {}, credentials],
    ['text in text', { payload: 'text' }, 'canary'],
    ['JSON in JSON', { storage: 'json' }, credentials],
    ['text in JSON as text', { storage: 'json', jsonAs: 'string', payload: 'text' }, 'canary'],
  ])('is written on demand, and read beside version 2: %s', (_what, options, value) => {
    const codec = make({ ...options, v1: 'allow', write: 'v1' });
    const stored = codec.encode(value, place);
    expect(codec.inspect(stored)).toEqual({ state: 'encrypted', version: 1, kid: 'v1' });
    const parsed = typeof stored === 'string' ? JSON.parse(stored) : stored;
    expect(inspectEnvelope(parsed)).toMatchObject({ version: 1 });
    expect(keyring.decrypt(parsed, { context: {} })).toEqual(value);
    expect(codec.decode(stored, place)).toEqual(value);
    expect(codec.decode(make(options).encode(value, place), place)).toEqual(value);
  });
});

describe('a stored value that is not of the payload', () => {
  it.each<[string, Partial<ColumnCodecOptions>, unknown]>([
    ['old text that is no JSON', { legacy: 'allow' }, 'canary'],
    ['old JSON text that is cut', { legacy: 'allow' }, '{"a":"canary'],
    ['old JSON where text is kept', { legacy: 'allow', storage: 'json', payload: 'text' }, { a: 'canary' }],
    ['old text in a JSON column', { legacy: 'allow', storage: 'json', jsonAs: 'string' }, 'canary'],
    ['old bytes that are no UTF-8', { legacy: 'allow', storage: 'bytes', payload: 'text' }, Buffer.from([0xff])],
    ['encrypted text that is no JSON', {}, make({ payload: 'text' }).encode('canary', place)],
    ['an encrypted object', { storage: 'json', payload: 'text' }, make({ storage: 'json' }).encode({}, place)],
    [
      'encrypted bytes',
      { storage: 'bytes', payload: 'text' },
      make({ payload: 'bytes' }).encode(Buffer.alloc(1, 255), place),
    ],
  ])('is refused without being quoted: %s', (_what, options, stored) => {
    const error = thrown(() => make(options).decode(stored, place));
    expect(error.code).toBe('ERR_COLUMN_PAYLOAD_TYPE');
    expect(inspect(error, { depth: 9, showHidden: true }) + error.stack).not.toContain('canary');
  });

  it.each<[string, Partial<ColumnCodecOptions>, unknown]>([
    ['a number as text', { payload: 'text' }, 7],
    ['a lone surrogate', { payload: 'text', storage: 'bytes' }, '\ud800'],
    ['text as bytes', { payload: 'bytes' }, 'x'],
    ['a promise', {}, Promise.resolve('x')],
    ['a function', { storage: 'json' }, () => 1],
  ])('is not written either: %s', (_what, options, value) => {
    for (const write of ['v2', 'plaintext'] as const) {
      const codec = make({ ...options, write, legacy: 'allow' });
      expect(code(() => codec.encode(value, place))).toBe('ERR_ENVELOPE_INVALID_VALUE');
    }
  });
});

describe('old plaintext', () => {
  it('is copied where it is bytes', () => {
    const stored = Buffer.from('old');
    const read = make({ payload: 'bytes', legacy: 'allow' }).decode(stored, place) as Buffer;
    read.fill(0);
    expect(stored.toString()).toBe('old');
  });

  it('in bytes keeps its memory', () => {
    const stored = Buffer.from('"old"');
    expect(make({ storage: 'bytes', legacy: 'allow' }).decode(stored, place)).toBe('old');
    expect(stored.toString()).toBe('"old"');
  });

  it('is refused when its hook says so', () => {
    const onLegacy = (): void => {
      throw new Error('not after March');
    };
    expect(() => make({ legacy: 'allow', onLegacy }).decode('"x"', place)).toThrow('not after March');
  });
});

describe('a codec', () => {
  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['no table', { ...base, table: '' }],
    ['a column that is no text', { ...base, column: 7 }],
    ['an ill-formed table', { ...base, table: '\udc00' }],
    ['an unknown binding', { ...base, binds: 'table' }],
    ['an unknown payload', { ...base, payload: 'xml' }],
    ['an unknown storage', { ...base, storage: 'jsonb' }],
    ['an unknown form of JSON', { ...base, jsonAs: 'text' }],
    ['a boolean for legacy', { ...base, legacy: true }],
    ['a boolean for v1', { ...base, v1: true }],
    ['an unknown version', { ...base, write: 'v3' }],
    ['null for write', { ...base, write: null }],
    ['an empty tenant', { ...base, tenant: '' }],
    ['a number for a tenant', { ...base, tenant: 7 }],
    ['a hook that is none', { ...base, onLegacy: 'count' }],
    ['bytes in text', { ...base, payload: 'bytes', storage: 'text' }],
    ['bytes in JSON', { ...base, payload: 'bytes', storage: 'json' }],
    ['version 1 in bytes', { ...base, payload: 'bytes', write: 'v1', v1: 'allow' }],
    ['writing in the clear what it would not read', { ...base, write: 'plaintext' }],
    ['writing version 1, which it would not read', { ...base, write: 'v1' }],
  ])('is not made with %s', (_what, options) => {
    expect(thrown(() => columnCodec(options as never))).toMatchObject({
      name: 'ColumnError',
      code: 'ERR_COLUMN_INVALID_ARGUMENT',
    });
  });

  it('is not made without a keyring of this package', () => {
    expect(code(() => make({ keyring: {} as never }))).toBe('ERR_KEYRING_INVALID_ARGUMENT');
  });

  it('keeps the options it was made with, and cannot be changed', () => {
    const options = { ...base, tenant: 'acme' };
    const codec = columnCodec<unknown>(options);
    options.tenant = 'globex';
    expect(code(() => make({ tenant: 'globex' }).decode(codec.encode('x', place), place))).toBe('ERR_ENVELOPE_DECRYPT');
    expect(Object.isFrozen(codec)).toBe(true);
    expect(codec).toMatchObject({ binds: 'row', payload: 'json', storage: 'text', write: 'v2' });
    expect(inspect(codec, { depth: 9, showHidden: true })).not.toContain('keyring');
  });

  it('follows the keyring: a new active key writes, the old one still reads', () => {
    const rotating = createKeyring({ keys: KEYS, activeKid: 'v1' });
    const codec = make({ keyring: rotating });
    const stored = codec.encode('x', place);
    rotating.activate('v2');
    expect(codec.inspect(codec.encode('x', place))).toMatchObject({ kid: 'v2' });
    expect(codec.decode(stored, place)).toBe('x');
  });
});
