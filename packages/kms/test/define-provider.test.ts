import { generateKeyPairSync, sign } from 'node:crypto';
import { defineProvider, type KmsDriver, KmsError, verifySignature } from '@keywright/kms';
import { expect, it } from 'vitest';

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
  const code = (code: string) => ({ code });
  await expect(provider.sign(key, Buffer.of(1))).rejects.toMatchObject(code('ERR_KMS_TIMEOUT'));
  const aborted = provider.sign(key, Buffer.of(1), { signal: AbortSignal.timeout(5), timeoutMs: 1_000 });
  await expect(aborted).rejects.toMatchObject(code('ERR_KMS_ABORTED'));
  const closed = provider.sign(key, Buffer.of(1));
  await provider.close();
  await expect(closed).rejects.toMatchObject(code('ERR_KMS_CLOSED'));
});
