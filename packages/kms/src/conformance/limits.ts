import { expect } from 'vitest';
import type { CreateKeyInput, KmsKeyRef } from '../provider.ts';
import { bytes, type Check, expectRefusal, type Subject, type Theme } from './harness.ts';

const SLACK_MS = 4_000;
const TIMEOUT_MS = 300;

/** Health, arguments, signals and time. */
export const limits: Theme = () => [
  {
    title: 'is healthy while the backend answers',
    async run({ provider }) {
      const health = await provider.health();
      expect(health).toEqual({ providerId: provider.id, type: provider.type, ok: true, latencyMs: health.latencyMs });
      expect(Number.isInteger(health.latencyMs) && health.latencyMs >= 0).toBe(true);
    },
  },
  { title: 'says in time, by a code, that the backend does not answer', run: unreachable },
  { title: 'refuses arguments that it cannot work with, by name', run: invalid },
  { title: 'begins nothing that was called off before', run: aborted },
  cached,
];

const cached: Check = {
  title: 'reads a public key once, and then from memory',
  async run(subject) {
    const key = await subject.key('cached');
    const first = await subject.provider.getPublicKey(key);
    const before = subject.setup.backendCalls?.();
    for (let read = 0; read < 5; read++) expect(await subject.provider.getPublicKey(key)).toEqual(first);
    expect(subject.setup.backendCalls?.()).toBe(before);
  },
};

async function unreachable({ setup }: Subject): Promise<void> {
  const provider = setup.unreachable?.();
  if (provider === undefined) return;
  const codes = ['ERR_KMS_UNAVAILABLE', 'ERR_KMS_TIMEOUT', 'ERR_KMS_LIBRARY_MISSING', 'ERR_KMS_DATABASE'] as const;
  const { capabilities, id } = provider;
  const start = performance.now();
  try {
    const health = await provider.health({ timeoutMs: TIMEOUT_MS });
    expect(health).toMatchObject({ providerId: id, type: provider.type, ok: false });
    expect(codes).toContain(health.code);
    expect(health.error).toContain(health.code);
    expect(performance.now() - start).toBeLessThan(TIMEOUT_MS + SLACK_MS);
    const key = refOf(id, capabilities.defaultAlg);
    await expectRefusal(provider.sign(key, bytes(8), { timeoutMs: TIMEOUT_MS }), ...codes);
    expect(performance.now() - start).toBeLessThan(2 * (TIMEOUT_MS + SLACK_MS));
  } finally {
    await provider.close();
  }
}

async function invalid(subject: Subject): Promise<void> {
  const { provider } = subject;
  const refused = (call: Promise<unknown>): Promise<unknown> => expectRefusal(call, 'ERR_KMS_INVALID_ARGUMENT');
  const good = { tenantId: 'conformance-a', keyId: 'k1' };
  for (const over of [
    { tenantId: '' },
    { tenantId: 'a\0b' },
    { tenantId: 'x'.repeat(256) },
    { tenantId: undefined },
    { keyId: '' },
    { keyId: '../k' },
    { keyId: 'a/b' },
    { keyId: '$HOME' },
    { keyId: 7 },
    { alg: 'none' },
    { alg: 'HS256' },
    { alg: '__proto__' },
    { name: 'acme' },
    { name: '../../sys/mounts/acme/0000000000' },
  ]) {
    await refused(provider.createKey({ ...good, ...over } as CreateKeyInput));
  }
  await refused(provider.createKey(null as never));
  const key = await subject.key('arguments');
  for (const data of [undefined, null, 'text', [1, 2], new ArrayBuffer(8), new Uint16Array(4), {}]) {
    await refused(provider.sign(key, data as never));
  }
  for (const over of [
    { providerId: `${provider.id}2` },
    { externalId: '' },
    { externalId: undefined },
    { externalVersion: 1 },
    { alg: 'none' },
    { tenantId: '' },
  ]) {
    await refused(provider.sign({ ...key, ...over } as KmsKeyRef, bytes(8)));
  }
  for (const options of [{ timeoutMs: 0 }, { timeoutMs: 2 ** 31 }, { timeoutMs: '5' }, { signal: {} }, 'fast']) {
    await refused(provider.sign(key, bytes(8), options as never));
  }
}

async function aborted(subject: Subject): Promise<void> {
  const { provider } = subject;
  const key = await subject.key('aborted');
  const before = subject.setup.backendCalls?.();
  const signal = AbortSignal.abort();
  await expectRefusal(provider.sign(key, bytes(8), { signal }), 'ERR_KMS_ABORTED');
  await expectRefusal(provider.createKey(subject.input('never made'), { signal }), 'ERR_KMS_ABORTED');
  if (provider.capabilities.deleteKey !== 'never') {
    await expectRefusal(provider.deleteKey(key, { signal }), 'ERR_KMS_ABORTED');
  }
  expect(await provider.health({ signal })).toMatchObject({ ok: false, code: 'ERR_KMS_ABORTED' });
  expect(subject.setup.backendCalls?.()).toBe(before);
  await expect(provider.sign(key, bytes(8))).resolves.toBeInstanceOf(Uint8Array);
}

function refOf(providerId: string, alg: KmsKeyRef['alg']): KmsKeyRef {
  const externalId = '0'.repeat(32);
  return { tenantId: 'conformance-a', keyId: 'k1', providerId, externalId, externalVersion: null, alg };
}
