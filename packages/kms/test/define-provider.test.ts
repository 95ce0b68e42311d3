import { generateKeyPairSync, sign } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { defineProvider, type KmsDriver, KmsError, verifySignature } from '@keywright/kms';
import { expect, it, vi } from 'vitest';

function memoryDriver(over: Partial<KmsDriver> = {}): KmsDriver {
  const keys = new Map<string, ReturnType<typeof generateKeyPairSync>>();
  return {
    type: 'memory',
    reach: 'remote',
    capabilities: {
      algs: { ES256: { create: true, import: false } },
      defaultAlg: 'ES256',
      deleteKey: 'immediate',
      listKeys: false,
      exportKey: false,
      wrapKey: false,
    },
    async createKey({ name }) {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      keys.set(name, pair);
      return { externalId: name, externalVersion: null, publicKey: pair.publicKey.export({ format: 'jwk' }) };
    },
    async getPublicKey({ externalId }) {
      return keys.get(externalId)?.publicKey.export({ format: 'jwk' }) ?? {};
    },
    async sign({ externalId }, data) {
      const pair = keys.get(externalId);
      if (pair === undefined) throw new KmsError('ERR_KMS_KEY_NOT_FOUND');
      return sign('sha256', data, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
    },
    async deleteKey({ externalId }) {
      keys.delete(externalId);
    },
    async probe() {},
    async close() {},
    ...over,
  };
}

it('makes, signs, deletes', async () => {
  const provider = defineProvider(memoryDriver(), { id: 'mem' });
  const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
  const data = Buffer.from('hello');
  expect(verifySignature('ES256', key.publicJwk, data, await provider.sign(key, data))).toBe(true);
  await provider.deleteKey(key);
  await expect(provider.sign(key, data)).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
  await expect(provider.exportKey(key)).rejects.toMatchObject({ code: 'ERR_KMS_UNSUPPORTED' });
  expect(await provider.health()).toMatchObject({ ok: true, providerId: 'mem', type: 'memory' });
  await provider.close();
  await expect(provider.sign(key, data)).rejects.toMatchObject({ code: 'ERR_KMS_CLOSED' });
});

it('repeats what is safe to repeat, and a create only when nothing was done', async () => {
  let calls = 0;
  const failing = (code: 'ERR_KMS_UNAVAILABLE' | 'ERR_KMS_THROTTLED') => async (): Promise<never> => {
    calls++;
    throw new KmsError(code);
  };
  const make = (over: Partial<KmsDriver>) => defineProvider(memoryDriver(over), { id: 'mem', retries: 2 });
  const input = { tenantId: 'acme', keyId: 'k1' };
  const key = await make({}).createKey(input);
  await expect(make({ sign: failing('ERR_KMS_UNAVAILABLE') }).sign(key, Buffer.of(1))).rejects.toMatchObject({
    code: 'ERR_KMS_UNAVAILABLE',
    context: { provider: 'mem', operation: 'sign', keyId: 'k1', alg: 'ES256' },
  });
  expect(calls).toBe(3);
  calls = 0;
  await expect(make({ createKey: failing('ERR_KMS_UNAVAILABLE') }).createKey(input)).rejects.toThrow(KmsError);
  expect(calls).toBe(1);
  calls = 0;
  await expect(make({ createKey: failing('ERR_KMS_THROTTLED') }).createKey(input)).rejects.toThrow(KmsError);
  expect(calls).toBe(3);
});

it('ends a driver that ignores its signal, at the attempt’s time, at the caller’s signal and at close', async () => {
  const silent = memoryDriver({ sign: () => new Promise(() => {}) });
  const provider = defineProvider(silent, { id: 'mem', attemptTimeoutMs: 20, timeoutMs: 60, retries: 1 });
  const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
  const codeOf = (code: string) => ({ code });
  await expect(provider.sign(key, Buffer.of(1))).rejects.toMatchObject(codeOf('ERR_KMS_TIMEOUT'));
  const aborted = provider.sign(key, Buffer.of(1), { signal: AbortSignal.timeout(5), timeoutMs: 1_000 });
  await expect(aborted).rejects.toMatchObject(codeOf('ERR_KMS_ABORTED'));
  const closed = provider.sign(key, Buffer.of(1));
  await provider.close();
  await expect(closed).rejects.toMatchObject(codeOf('ERR_KMS_CLOSED'));
});

it('gives all its time to the making of a key, which is not attempted again', async () => {
  let calls = 0;
  const slow = memoryDriver({
    createKey: async () => {
      calls++;
      await sleep(60);
      throw new KmsError('ERR_KMS_UNAVAILABLE');
    },
  });
  const provider = defineProvider(slow, { id: 'mem', attemptTimeoutMs: 20, timeoutMs: 1_000, retries: 3 });
  const created = provider.createKey({ tenantId: 'acme', keyId: 'k1' });
  await expect(created).rejects.toMatchObject({ code: 'ERR_KMS_UNAVAILABLE' });
  expect(calls).toBe(1);
  await provider.close();
});

it('keeps nothing of a create that answers too late, and asks for it once', async () => {
  let calls = 0;
  const driver = memoryDriver();
  const late = memoryDriver({
    createKey: async (input, call) => {
      calls++;
      await sleep(60);
      return driver.createKey(input, call);
    },
  });
  const provider = defineProvider(late, { id: 'mem', timeoutMs: 20, retries: 3 });
  const name = '0'.repeat(32);
  const created = provider.createKey({ tenantId: 'acme', keyId: 'k1', name });
  await expect(created).rejects.toMatchObject({ code: 'ERR_KMS_TIMEOUT', context: { operation: 'createKey' } });
  await sleep(80);
  expect(calls).toBe(1);
  const ref = { tenantId: 'acme', keyId: 'k1', providerId: 'mem', externalId: name, externalVersion: null };
  // from the backend, which has none
  await expect(provider.getPublicKey({ ...ref, alg: 'ES256' })).rejects.toMatchObject({
    code: 'ERR_KMS_INVALID_RESPONSE',
  });
});

it('does not take a public key from memory after its deletion, also one that was under way', async () => {
  const driver = memoryDriver();
  let reads = 0;
  const answered = Promise.withResolvers<void>();
  const slow = {
    ...driver,
    getPublicKey: async (...asked: Parameters<KmsDriver['getPublicKey']>) => {
      const publicKey = await driver.getPublicKey(...asked);
      if (++reads === 1) await answered.promise;
      return publicKey;
    },
  };
  const key = await defineProvider(driver, { id: 'mem' }).createKey({ tenantId: 'acme', keyId: 'k1' });
  const provider = defineProvider(slow, { id: 'mem' });
  const underWay = provider.getPublicKey(key);
  await provider.deleteKey(key);
  answered.resolve();
  expect(await underWay).toEqual(key.publicJwk);
  await expect(provider.getPublicKey(key)).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_RESPONSE' });
  expect(reads).toBe(2);
});

it('is closed when the driver is, for everybody who closes it', async () => {
  let isClosed = false;
  const slow = memoryDriver({
    close: async () => {
      await sleep(30);
      isClosed = true;
    },
  });
  const provider = defineProvider(slow, { id: 'mem' });
  void provider.close();
  await provider.close();
  expect(isClosed).toBe(true);
});

it('says what was ended: by the caller before and in a call, also of a local driver, and by close()', async () => {
  const listening: KmsDriver['sign'] = (_key, _data, { signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const key = await defineProvider(memoryDriver(), { id: 'mem' }).createKey({ tenantId: 'acme', keyId: 'k1' });
  const ended = (code: string) => ({ code, context: { operation: 'sign', keyId: 'k1' } });
  for (const reach of ['local', 'remote'] as const) {
    const provider = defineProvider(memoryDriver({ reach, sign: listening }), { id: 'mem' });
    const controller = new AbortController();
    const signing = () => provider.sign(key, Buffer.of(1), { signal: controller.signal });
    const signed = signing();
    controller.abort(new Error('enough'));
    await expect(signed).rejects.toMatchObject(ended('ERR_KMS_ABORTED'));
    await expect(signing()).rejects.toMatchObject(ended('ERR_KMS_ABORTED'));
    const last = reach === 'remote' ? provider.sign(key, Buffer.of(1)) : undefined;
    await provider.close();
    await expect(last ?? provider.sign(key, Buffer.of(1))).rejects.toMatchObject(ended('ERR_KMS_CLOSED'));
  }
});

it('refuses arguments that throw when they are read', async () => {
  const provider = defineProvider(memoryDriver(), { id: 'mem' });
  const throwing = (member: string) =>
    Object.defineProperty({}, member, { get: () => new URL('none'), enumerable: true });
  const input = { tenantId: 'acme', keyId: 'k1' };
  for (const call of [
    provider.createKey(Object.assign(throwing('alg'), input) as never),
    provider.importKey({ ...input, privateJwk: throwing('alg') } as never),
    provider.createKey(input, throwing('signal')),
  ]) {
    await expect(call).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
  }
});

it('asks the backend for a public key that is to be fresh', async () => {
  const driver = memoryDriver();
  const provider = defineProvider(driver, { id: 'mem' });
  const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
  expect(await provider.getPublicKey(key, { fresh: true })).toEqual(key.publicJwk);
  await defineProvider(driver, { id: 'mem' }).deleteKey(key); // behind its back
  expect(await provider.getPublicKey(key)).toEqual(key.publicJwk);
  await expect(provider.getPublicKey(key, { fresh: true })).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_RESPONSE' });
  // What the backend no longer gives is no longer in memory.
  await expect(provider.getPublicKey(key)).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_RESPONSE' });
});

it('lends a local driver the caller’s signal, and makes one only for a driver that asks', async () => {
  const heard: (readonly [AbortSignal | undefined, AbortSignal])[] = [];
  const local = memoryDriver({
    reach: 'local',
    sign: async (_key, _data, { callerSignal, signal }) => {
      heard.push([callerSignal, signal]);
      return new Uint8Array(64);
    },
  });
  const provider = defineProvider(local, { id: 'mem' });
  const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
  const { signal } = new AbortController();
  await provider.sign(key, Buffer.of(1), { signal });
  await provider.sign(key, Buffer.of(1));
  await provider.sign(key, Buffer.of(1));
  expect(heard[0]).toEqual([signal, signal]);
  expect([heard[1]?.[0], heard[2]?.[0]]).toEqual([undefined, undefined]);
  // One for all calls would keep the listeners of all.
  expect(heard[1]?.[1]).not.toBe(heard[2]?.[1]);
});

it('takes a public key from memory for 5 minutes, and then asks the backend again', async () => {
  let reads = 0;
  const driver = memoryDriver({ reach: 'local' });
  const counting = {
    ...driver,
    getPublicKey: (...call: Parameters<typeof driver.getPublicKey>) => {
      reads++;
      return driver.getPublicKey(...call);
    },
  };
  const provider = defineProvider(counting, { id: 'mem' });
  const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
  vi.useFakeTimers({ toFake: ['Date'] });
  try {
    vi.setSystemTime(Date.now() + 299_000);
    expect(await provider.getPublicKey(key)).toEqual(key.publicJwk);
    expect(reads).toBe(0);
    vi.setSystemTime(Date.now() + 2_000);
    expect(await provider.getPublicKey(key)).toEqual(key.publicJwk);
    await provider.getPublicKey(key);
    expect(reads).toBe(1);
  } finally {
    vi.useRealTimers();
  }
});
