import type { RemoteKmsAnswer } from '@keywright/testkit/kms';
import { describe, expect, it } from 'vitest';
import { openRemote, refOf } from './support.ts';

const INPUT = { tenantId: 'acme', keyId: 'k1' };
const DATA = Buffer.from('data');

describe('Retry-After', () => {
  const throttling = (answers: readonly (() => RemoteKmsAnswer)[]) => {
    const left = [...answers];
    return { intercept: () => left.shift()?.() };
  };
  const slow = (status: number, retryAfter: string) => (): RemoteKmsAnswer => ({
    status,
    headers: { 'content-type': 'application/json', 'retry-after': retryAfter },
    body: '{"error":"later"}',
  });

  it.concurrent.for([
    ['seconds', (now: number) => now + 1_000, () => '1'],
    // The next whole second that no pause between attempts reaches.
    [
      'a date',
      (now: number) => Math.ceil((now + 500) / 1_000) * 1_000,
      (until: number) => new Date(until).toUTCString(),
    ],
  ] as const)('is kept to: %s', async ([_what, untilOf, headerOf], { onTestFinished: atEnd }) => {
    let until = Number.POSITIVE_INFINITY;
    const first = (): RemoteKmsAnswer => {
      until = untilOf(Date.now());
      return slow(429, headerOf(until))();
    };
    let second = 0;
    const again = (): RemoteKmsAnswer => {
      second = Date.now();
      return slow(503, '0')();
    };
    const { service, provider } = await openRemote(throttling([first, again]), { retries: 2 }, atEnd);
    await expect(provider.sign(refOf(provider), DATA)).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
    expect(second).toBeGreaterThanOrEqual(until - 10);
    expect(service.requests).toHaveLength(3);
  });

  it('beyond the time of the call ends it at once', async () => {
    const { service, provider } = await openRemote(throttling([slow(429, '3600')]), { retries: 2, timeoutMs: 3_000 });
    const start = performance.now();
    await expect(provider.sign(refOf(provider), DATA)).rejects.toMatchObject({ code: 'ERR_KMS_THROTTLED' });
    expect(performance.now() - start).toBeLessThan(1_000);
    expect(service.requests).toHaveLength(1);
  });

  it('is waited for no longer than the caller wants', async () => {
    const { provider } = await openRemote(throttling([slow(503, '2')]), { retries: 2 });
    const start = performance.now();
    const signed = provider.sign(refOf(provider), DATA, { signal: AbortSignal.timeout(100) });
    await expect(signed).rejects.toMatchObject({ code: 'ERR_KMS_ABORTED' });
    expect(performance.now() - start).toBeLessThan(1_000);
  });

  it.concurrent.for(['soon', '-1', '', '1e3', 'Thu, 01 Jan 1970 00:00:00 GMT', '99999999999999999999'])(
    'that means nothing is left out: %j',
    async (retryAfter, { onTestFinished: atEnd }) => {
      const { service, provider } = await openRemote(throttling([slow(429, retryAfter)]), { retries: 1 }, atEnd);
      await expect(provider.sign(refOf(provider), DATA)).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
      expect(service.requests).toHaveLength(2);
    },
  );

  it('a create is made again after 429 and not after 503', async () => {
    const throttled = await openRemote(throttling([slow(429, '0')]), { retries: 2 });
    await throttled.provider.createKey(INPUT);
    expect(throttled.service.requests).toHaveLength(2);
    const away = await openRemote(throttling([slow(503, '0')]), { retries: 2 });
    await expect(away.provider.createKey(INPUT)).rejects.toMatchObject({ code: 'ERR_KMS_UNAVAILABLE' });
    expect(away.service.requests).toHaveLength(1);
  });
});
