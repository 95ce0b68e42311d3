import { isKeywrightError, rawCause } from '@keywright/envelope';
import type { KmsErrorCode, KmsProvider } from '@keywright/kms';
import type { RemoteKmsAnswer } from '@keywright/testkit/kms';
import { describe, expect, it } from 'vitest';
import { openAnswering, openRemote, refOf, samplePrivateJwk } from './support.ts';

const INPUT = { tenantId: 'acme', keyId: 'k1' };
const DATA = Buffer.from('data');

type Operation = 'create' | 'import' | 'read' | 'sign' | 'delete' | 'list' | 'health';

async function codeOf(provider: KmsProvider, operation: Operation): Promise<{ code?: KmsErrorCode; status?: unknown }> {
  const ref = refOf(provider);
  if (operation === 'health') {
    const { code } = await provider.health();
    return code === undefined ? {} : { code };
  }
  const call = {
    create: () => provider.createKey(INPUT),
    import: () => provider.importKey({ ...INPUT, alg: 'ES256', privateJwk: samplePrivateJwk() }),
    read: () => provider.getPublicKey(ref),
    sign: () => provider.sign(ref, DATA),
    delete: () => provider.deleteKey(ref),
    list: () => provider.listKeys(),
  }[operation];
  try {
    await call();
    return {};
  } catch (error) {
    const { code, context } = error as { code: KmsErrorCode; context: { status?: unknown } };
    return { code, status: context.status };
  }
}

describe('a status', () => {
  const OPERATIONS: readonly Operation[] = ['create', 'import', 'read', 'sign', 'delete', 'list', 'health'];
  const rows: readonly (readonly [number, KmsErrorCode, Readonly<Partial<Record<Operation, KmsErrorCode>>>])[] = [
    [400, 'ERR_KMS_BACKEND', {}],
    [401, 'ERR_KMS_CREDENTIALS', {}],
    [403, 'ERR_KMS_DENIED', {}],
    [405, 'ERR_KMS_UNSUPPORTED', {}],
    [409, 'ERR_KMS_KEY_NOT_USABLE', { create: 'ERR_KMS_KEY_EXISTS', import: 'ERR_KMS_KEY_EXISTS' }],
    [413, 'ERR_KMS_BACKEND', {}],
    [429, 'ERR_KMS_THROTTLED', {}],
    [500, 'ERR_KMS_UNAVAILABLE', {}],
    [501, 'ERR_KMS_UNSUPPORTED', {}],
    [502, 'ERR_KMS_UNAVAILABLE', {}],
    [503, 'ERR_KMS_UNAVAILABLE', {}],
    [599, 'ERR_KMS_UNAVAILABLE', {}],
  ];
  it.each(rows)('of %i is %s, with JSON and without', async (status, code, special) => {
    for (const answer of [json(status), page(status)]) {
      const { provider } = await openRemote({ intercept: () => answer }, { canImport: true, canList: true });
      for (const operation of OPERATIONS) {
        const expected = special[operation] ?? code;
        expect([operation, await codeOf(provider, operation)]).toEqual([
          operation,
          operation === 'health' ? { code: expected } : { code: expected, status },
        ]);
      }
    }
  });

  it.each([404, 410])('of %i in JSON means the key, or what the service cannot do', async (status) => {
    const { provider } = await openRemote({ intercept: () => json(status) }, { canImport: true, canList: true });
    expect(await codesOf(provider, OPERATIONS)).toEqual({
      create: 'ERR_KMS_INVALID_RESPONSE',
      import: 'ERR_KMS_UNSUPPORTED',
      read: 'ERR_KMS_KEY_NOT_FOUND',
      sign: 'ERR_KMS_KEY_NOT_FOUND',
      delete: undefined,
      list: 'ERR_KMS_UNSUPPORTED',
      health: 'ERR_KMS_INVALID_RESPONSE',
    });
  });

  it.each([404, 410])('of %i that is not JSON comes from somebody else: no key counts as deleted', async (status) => {
    const { provider } = await openRemote({ intercept: () => page(status) }, { canImport: true, canList: true });
    expect(await codesOf(provider, OPERATIONS)).toEqual({
      create: 'ERR_KMS_INVALID_RESPONSE',
      import: 'ERR_KMS_UNSUPPORTED',
      read: 'ERR_KMS_UNSUPPORTED',
      sign: 'ERR_KMS_KEY_NOT_FOUND',
      delete: 'ERR_KMS_INVALID_RESPONSE',
      list: 'ERR_KMS_UNSUPPORTED',
      health: 'ERR_KMS_INVALID_RESPONSE',
    });
  });

  it.each([200, 201, 202])('of %i is no answer to a deletion', async (status) => {
    const { provider } = await openAnswering(status, { ok: true });
    expect(await codeOf(provider, 'delete')).toEqual({ code: 'ERR_KMS_INVALID_RESPONSE', status });
  });

  it('keeps nothing of what the service says, which may be what it was sent, also behind rawCause', async () => {
    const { provider } = await openAnswering(400, { error: 'text of the service' });
    const error = await provider.sign(refOf(provider), DATA).catch((reason: unknown) => reason);
    expect(JSON.stringify(error)).not.toContain('text of the service');
    expect(isKeywrightError(error) && rawCause(error)).toEqual({ name: 'HttpAnswer', status: 400 });
  });
});

describe('a key that is deleted behind our back', () => {
  it('does not sign, and is deleted without a complaint', async () => {
    const { service, provider } = await openRemote();
    const key = await provider.createKey(INPUT);
    service.keys.delete(key.externalId);
    await expect(provider.sign(key, DATA)).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND', retryable: false });
    await provider.deleteKey(key);
  });
});

function json(status: number): RemoteKmsAnswer {
  return { status, headers: { 'content-type': 'application/json' }, body: '{"error":"no"}' };
}

function page(status: number): RemoteKmsAnswer {
  return { status, headers: { 'content-type': 'text/html' }, body: '<h1>No</h1>' };
}

async function codesOf(provider: KmsProvider, operations: readonly Operation[]): Promise<Record<string, unknown>> {
  const codes: Record<string, unknown> = {};
  for (const operation of operations) codes[operation] = (await codeOf(provider, operation)).code;
  return codes;
}
