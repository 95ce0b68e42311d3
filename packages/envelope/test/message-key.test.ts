import { inspectEnvelope } from '@keywright/envelope';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MessageKey } from '../src/message-key.ts';
import { A256GCM } from '../src/suites/a256gcm.ts';
import { CONTEXT, KEYS, testKeyring } from './support.ts';

const saltOf = (iv: string): string => Buffer.from(iv, 'base64').subarray(0, 16).toString('hex');
const nonceOf = (iv: string): string => Buffer.from(iv, 'base64').subarray(16).toString('hex');

describe('a writer', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('keeps its salt and commitment, and never repeats a nonce', () => {
    const keyring = testKeyring();
    const envelopes = Array.from({ length: 2000 }, () => keyring.encrypt('x', { context: CONTEXT }));
    expect(new Set(envelopes.map(({ iv }) => saltOf(iv))).size).toBe(1);
    expect(new Set(envelopes.map(({ ct }) => ct.slice(0, 42))).size).toBe(1);
    expect(new Set(envelopes.map(({ iv }) => nonceOf(iv))).size).toBe(2000);
  });

  it('has a salt of its own per keyring and per key', () => {
    const first = testKeyring();
    const salts = [first, testKeyring()].map((keyring) => saltOf(keyring.encrypt('x', { context: CONTEXT }).iv));
    first.activate('v2');
    salts.push(saltOf(first.encrypt('x', { context: CONTEXT }).iv));
    expect(new Set(salts).size).toBe(3);
  });

  it('takes a fresh salt after an hour', () => {
    const keyring = testKeyring();
    const now = vi.spyOn(performance, 'now').mockReturnValue(1000);
    const first = keyring.encrypt('x', { context: CONTEXT });
    now.mockReturnValue(1000 + 3_599_999);
    expect(saltOf(keyring.encrypt('x', { context: CONTEXT }).iv)).toBe(saltOf(first.iv));
    now.mockReturnValue(1000 + 3_600_000);
    expect(saltOf(keyring.encrypt('x', { context: CONTEXT }).iv)).not.toBe(saltOf(first.iv));
    expect(keyring.decrypt(first, { context: CONTEXT })).toBe('x');
  });

  it('takes a fresh salt after 2^20 messages', () => {
    const message = new MessageKey(A256GCM, Buffer.alloc(16), Buffer.alloc(64));
    for (let count = 0; count < 2 ** 20; count++) if (!message.mayWrite()) throw new Error(`refused at ${count}`);
    expect(message.mayWrite()).toBe(false);
  });
});

describe('a reader', () => {
  it('opens envelopes of many writers, more than it remembers', () => {
    const reader = testKeyring();
    const envelopes = Array.from({ length: 1100 }, (_, index) => testKeyring().encrypt(index, { context: CONTEXT }));
    for (let round = 0; round < 2; round++) {
      for (const [index, envelope] of envelopes.entries()) {
        expect(reader.decrypt(envelope, { context: CONTEXT })).toBe(index);
      }
    }
  });
});

describe('the bytes form', () => {
  it('is laid out as specified: KW, version, suite, kid length, kid, iv, ct', () => {
    const envelope = testKeyring('v2').encryptBytes(KEYS.v1, { context: CONTEXT });
    expect(envelope.subarray(0, 7).toString('hex')).toBe('4b570201027632');
    expect(envelope).toHaveLength(7 + 28 + 32 + 32 + 16);
    expect(inspectEnvelope(envelope)).toMatchObject({ kid: 'v2', form: 'bytes' });
  });
});
