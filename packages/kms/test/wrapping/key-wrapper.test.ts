import { keyWrapperConformance } from '@keywright/envelope/conformance';
import { defineProvider, type KmsDriver, kmsKeyWrapper } from '@keywright/kms';
import { describe, expect, it } from 'vitest';
import { MEMORY_CAPABILITIES, memoryDriver } from '../support/memory-driver.ts';

const CONTEXT = { purpose: 'test', tenant: 'acme' };
const KEY = Buffer.alloc(32, 7);

const memory = (over: Partial<KmsDriver> = {}) => defineProvider({ ...memoryDriver(), ...over }, { id: 'mem' });

keyWrapperConformance('of a KMS in memory', async () => {
  const provider = memory();
  const [a, b, c] = [
    await provider.createWrappingKey(),
    await provider.createWrappingKey(),
    await provider.createWrappingKey(),
  ];
  return {
    wrapper: kmsKeyWrapper({ provider, keys: { a, b }, activeKid: 'a' }),
    otherKid: 'b',
    rotated: kmsKeyWrapper({ provider, keys: { a, b }, activeKid: 'b' }),
    narrower: kmsKeyWrapper({ provider, keys: { b }, activeKid: 'b' }),
    impostor: kmsKeyWrapper({ provider, keys: { a: c }, activeKid: 'a' }),
    dispose: () => provider.close(),
  };
});

describe('a key wrapper of a KMS', () => {
  it('records the type of its provider', async () => {
    const provider = memory();
    const a = await provider.createWrappingKey();
    expect(kmsKeyWrapper({ provider, keys: { a }, activeKid: 'a' })).toMatchObject({
      provider: 'memory',
      activeKid: 'a',
    });
  });

  it('refuses what a backend returns unless it is what was wrapped for this context', async () => {
    let answer: (given: Uint8Array) => Uint8Array = (given) => given;
    // A backend that authenticates nothing and may answer with anything.
    const provider = memory({
      wrapKey: async (_key, bytes) => Buffer.from(bytes),
      unwrapKey: async (_key, wrapped) => answer(Buffer.from(wrapped)),
    });
    const a = await provider.createWrappingKey();
    const wrapper = kmsKeyWrapper({ provider, keys: { a }, activeKid: 'a' });
    const wrapped = await wrapper.wrapKey(KEY, { context: CONTEXT });
    const unwrap = (context = CONTEXT) => wrapper.unwrapKey(wrapped, { context });
    expect(KEY.equals(await unwrap())).toBe(true);
    const refusal = { code: 'ERR_ENVELOPE_DECRYPT' };
    await expect(unwrap({ ...CONTEXT, tenant: 'other' })).rejects.toMatchObject(refusal);
    const other = await wrapper.wrapKey(Buffer.alloc(32, 9), { context: { ...CONTEXT, tenant: 'other' } });
    for (const wrong of [
      () => other.wrapped,
      (given: Uint8Array) => given.fill(0),
      (given: Uint8Array) => given.subarray(0, -1),
      (given: Uint8Array) => given.subarray(32),
      (given: Uint8Array) => given.subarray(0, 32),
      (given: Uint8Array) => Buffer.concat([given, Buffer.of(0)]),
      () => Buffer.of(1),
    ]) {
      answer = wrong;
      await expect(unwrap()).rejects.toMatchObject(refusal);
    }
    answer = () => Buffer.alloc(0);
    await expect(unwrap()).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_RESPONSE' });
  });

  it('wraps no key of zeros, none that is empty and none that is no key', async () => {
    const provider = memory();
    const a = await provider.createWrappingKey();
    const wrapper = kmsKeyWrapper({ provider, keys: { a }, activeKid: 'a' });
    for (const key of [new Uint8Array(32), new Uint8Array(0), Buffer.alloc(1025, 1), 'a'.repeat(32), undefined]) {
      await expect(wrapper.wrapKey(key as never, { context: CONTEXT })).rejects.toMatchObject({
        code: 'ERR_KMS_INVALID_ARGUMENT',
      });
    }
  });

  it('gives a backend that goes on reading after an abort a copy, which is wiped', async () => {
    let read: Uint8Array | undefined;
    const provider = memory({
      wrapKey: (_key, bytes) => {
        read = bytes;
        return new Promise(() => {});
      },
    });
    const a = await provider.createWrappingKey();
    const wrapper = kmsKeyWrapper({ provider, keys: { a }, activeKid: 'a', timeoutMs: 50 });
    const lent = Buffer.from(KEY);
    const call = wrapper.wrapKey(lent, { context: CONTEXT });
    expect(Buffer.from(read ?? []).includes(KEY)).toBe(true);
    await expect(call).rejects.toMatchObject({ code: 'ERR_KMS_TIMEOUT', retryable: true });
    expect(lent.equals(KEY)).toBe(true);
    expect(read?.buffer).not.toBe(lent.buffer);
    expect(read?.every((byte) => byte === 0)).toBe(true);
  });

  it('passes on the signal, and what the backend says when it cannot', async () => {
    const provider = memory();
    const a = await provider.createWrappingKey();
    const wrapper = kmsKeyWrapper({ provider, keys: { a, gone: { externalId: 'gone' } }, activeKid: 'a' });
    const wrapped = await wrapper.wrapKey(KEY, { context: CONTEXT });
    const aborted = wrapper.unwrapKey(wrapped, { context: CONTEXT, signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ code: 'ERR_KMS_ABORTED' });
    for (const call of [
      wrapper.unwrapKey({ ...wrapped, kid: 'gone' }, { context: CONTEXT }),
      wrapper.checkValue('gone'),
    ]) {
      await expect(call).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
    }
    // A key that cannot be asked is no wrong key.
    await expect(wrapper.verifyCheckValue('gone', wrapped.wrapped)).rejects.toMatchObject({
      code: 'ERR_KMS_KEY_NOT_FOUND',
    });
    await provider.close();
    await expect(wrapper.verifyCheckValue('a', wrapped.wrapped)).rejects.toMatchObject({ code: 'ERR_KMS_CLOSED' });
  });

  it('refuses by name, when it is made, what it could not work with later', async () => {
    const provider = memory();
    const a = await provider.createWrappingKey();
    const refused = (options: unknown, code: string): void => {
      expect(() => kmsKeyWrapper(options as never)).toThrowError(expect.objectContaining({ code }));
    };
    const invalid = 'ERR_KMS_INVALID_ARGUMENT';
    refused(undefined, invalid);
    refused(null, invalid);
    refused({ provider: {}, keys: { a }, activeKid: 'a' }, invalid);
    refused({ provider, keys: [a], activeKid: '0' }, invalid);
    refused({ provider, keys: new Map([['a', a]]), activeKid: 'a' }, invalid);
    refused({ provider, keys: { a: { externalId: '' } }, activeKid: 'a' }, invalid);
    refused({ provider, keys: { a: 'root' }, activeKid: 'a' }, invalid);
    refused({ provider, keys: { a }, activeKid: 'a', timeoutMs: 0 }, invalid);
    refused({ provider, keys: {}, activeKid: 'a' }, 'ERR_KEYRING_KEY_MISSING');
    refused({ provider, keys: { a }, activeKid: 'b' }, 'ERR_KEYRING_KID_UNKNOWN');
    refused({ provider, keys: { a }, activeKid: '__proto__' }, 'ERR_KEYRING_KID_UNKNOWN');
    refused({ provider, keys: { 'a/b': a }, activeKid: 'a/b' }, 'ERR_KEYRING_KID_INVALID');
    const unable = memory({ capabilities: { ...MEMORY_CAPABILITIES, wrapKey: false } });
    refused({ provider: unable, keys: { a }, activeKid: 'a' }, 'ERR_KMS_UNSUPPORTED');
  });
});
