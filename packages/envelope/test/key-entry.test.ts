import { describe, expect, it } from 'vitest';
import { sealV1 } from '../src/formats/v1.ts';
import { openObject, sealObject } from '../src/formats/v2-object.ts';
import { KeyEntry } from '../src/key-entry.ts';
import { createKeyring } from '../src/keyring.ts';
import type { MessageKey } from '../src/message-key.ts';
import { A256GCM } from '../src/suites/a256gcm.ts';
import { KEYS, testKeyring, thrown } from './support.ts';

const usage = { uses: 0, onUse: undefined, logger: undefined };
const entryOf = (): KeyEntry => new KeyEntry('v1', KEYS.v1, 'active', usage);
const NOTHING = new Uint8Array(0);
const readerOf = (entry: KeyEntry, salted: Buffer): MessageKey => entry.messageKeys(A256GCM).reader(salted, NOTHING);
const writerOf = (entry: KeyEntry): MessageKey => entry.messageKeys(A256GCM).writer(NOTHING);
const decode = (text: string): Buffer => Buffer.from(text, 'base64');

describe('a key entry', () => {
  it('remembers a salt only after a tag under it has verified', () => {
    const reader = entryOf();
    const envelope = sealObject(entryOf(), A256GCM, [], '"x"');
    const salted = decode(envelope.iv);
    const derived = readerOf(reader, salted);
    expect(readerOf(reader, salted)).not.toBe(derived);
    const ct = decode(envelope.ct);
    ct[ct.length - 1] = (ct.at(-1) ?? 0) ^ 1;
    expect(openObject(reader, A256GCM, [], { ...envelope, ct: ct.toString('base64') })).toBeUndefined();
    expect(readerOf(reader, salted)).not.toBe(readerOf(reader, salted));
    expect(openObject(reader, A256GCM, [], envelope)).toBe('x');
    expect(readerOf(reader, salted)).toBe(readerOf(reader, salted));
  });

  it('remembers a bounded number of salts', () => {
    const reader = entryOf();
    const first = sealObject(entryOf(), A256GCM, [], '1');
    expect(openObject(reader, A256GCM, [], first)).toBe(1);
    for (let index = 0; index < 2100; index++) openObject(reader, A256GCM, [], sealObject(entryOf(), A256GCM, [], '1'));
    const salted = decode(first.iv);
    expect(readerOf(reader, salted)).not.toBe(readerOf(reader, salted));
  });

  it('forgets everything derived when its state changes, and itself when destroyed', () => {
    const entry = entryOf();
    const envelope = sealObject(entry, A256GCM, [], '"x"');
    openObject(entry, A256GCM, [], envelope);
    const salted = decode(envelope.iv);
    const [writer, reader, mac] = [writerOf(entry), readerOf(entry, salted), entry.macKey('p')];
    entry.become('decrypt-only');
    expect(writerOf(entry)).not.toBe(writer);
    expect(readerOf(entry, salted)).not.toBe(reader);
    expect(entry.macKey('p')).not.toBe(mac);
    entry.become('destroyed');
    for (const use of [() => entry.v1Key(), () => writerOf(entry), () => entry.macKey('q'), () => entry.checkValue()]) {
      expect(use).toThrow(TypeError);
    }
  });

  it('randomises every byte of a nonce and of a salt', () => {
    const columns = (rows: readonly Buffer[], length: number): number =>
      Math.min(...Array.from({ length }, (_, at) => new Set(rows.map((row) => row[at])).size));
    const entry = entryOf();
    const v2 = Array.from({ length: 700 }, () => decode(sealObject(entry, A256GCM, [], '1').iv).subarray(16));
    const v1 = Array.from({ length: 700 }, () => decode(sealV1(entry, '1').iv));
    const salts = Array.from({ length: 700 }, () => decode(sealObject(entryOf(), A256GCM, [], '1').iv).subarray(0, 16));
    for (const [rows, length] of [
      [v2, 12],
      [v1, 12],
      [salts, 16],
    ] as const) {
      expect(rows.every((row) => row.length === length)).toBe(true);
      // 700 draws of 256 values leave about 16 unseen; a constant byte has one value
      expect(columns(rows, length)).toBeGreaterThan(200);
      expect(new Set(rows.map((row) => row.toString('hex'))).size).toBe(700);
    }
  });
});

describe('the cipher suite', () => {
  it('takes no shorter tag', () => {
    const entry = entryOf();
    const nonce = Buffer.alloc(12);
    const { ciphertext, tag } = entry.v1Key().seal(nonce, nonce, 'x');
    expect(Buffer.from(entry.v1Key().open(nonce, nonce, ciphertext, tag) ?? []).toString()).toBe('x');
    expect(entry.v1Key().open(nonce, nonce, ciphertext, tag.subarray(0, 12))).toBeUndefined();
  });
});

describe('a plaintext that is no JSON', () => {
  const secret = 'sk_live_not_json';
  it.each([
    ['text', Buffer.from(secret)],
    ['nothing', Buffer.alloc(0)],
    ['bytes that are no UTF-8', Buffer.concat([Buffer.from(`"${secret}`), Buffer.from([0xff]), Buffer.from('"')])],
  ])('is refused as any other, without a word of it: %s', (_what, plaintext) => {
    const sealed = (text: Buffer): object => {
      const nonce = Buffer.alloc(12, 7);
      const { ciphertext, tag } = entryOf().v1Key().seal(nonce, Buffer.alloc(0), text);
      return {
        __enc: 1,
        kid: 'v1',
        iv: nonce.toString('base64'),
        ct: Buffer.concat([ciphertext, tag]).toString('base64'),
      };
    };
    expect(testKeyring().decrypt(sealed(Buffer.from('"ok"')), { context: {} })).toBe('ok');
    const error = thrown(() => testKeyring().decrypt(sealed(plaintext), { context: {} }));
    expect(error.code).toBe('ERR_ENVELOPE_DECRYPT');
    expect(error.cause).toBeUndefined();
    expect(`${error.stack}${JSON.stringify(error)}`).not.toContain('sk_live');
  });
});

describe('every reason to refuse an envelope', () => {
  it('has the same stack', () => {
    const keyring = createKeyring({ keys: KEYS, activeKid: 'v1' });
    const v2 = keyring.encrypt('x', { context: { tenant: 'acme' } });
    const changes = [
      { iv: '!' },
      { ct: '!' },
      { ct: 'AAAA' },
      { kid: 'v2' },
      { iv: 'AAAA' },
      { ct: `AAAA${v2.ct.slice(4)}` },
      { __enc: 1 },
    ];
    const refusals = changes.map((change) =>
      thrown(() => keyring.decrypt({ ...v2, ...change }, { context: { tenant: 'acme' } })),
    );
    refusals.push(thrown(() => keyring.decrypt(v2, { context: { tenant: 'globex' } })));
    const places = refusals.map(({ stack }) => stack?.split('\n').slice(1, 3).join());
    expect(new Set(places.map((place) => place?.replace(/key-entry\.test.*/s, ''))).size).toBe(1);
  });
});
