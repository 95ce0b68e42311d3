import { httpProvider, verifySignature } from '@keywright/kms';
import { describe, expect, it, onTestFinished } from 'vitest';
import { answer, startBadServer } from './bad-server.ts';
import { openRemote, refOf } from './support.ts';

const CALLS = 400;
const MAX_SOCKETS = 64;

describe(`${CALLS} calls at once`, () => {
  it('are all answered, over a bounded number of connections', async () => {
    const { service, provider } = await openRemote();
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    const data = (n: number): Uint8Array => Buffer.from(`data ${n}`);
    const signatures = await Promise.all(Array.from({ length: CALLS }, (_, n) => provider.sign(key, data(n))));
    for (const [n, signature] of signatures.entries()) {
      if (n % 50 === 0) expect(verifySignature('ES256', key.publicJwk, data(n), signature)).toBe(true);
    }
    expect(service.connections().most).toBeLessThanOrEqual(MAX_SOCKETS);
    expect(service.requests).toHaveLength(CALLS + 1);
    // the pool is as good as new afterwards
    expect(await provider.health()).toMatchObject({ ok: true });
  });

  it('all end in time where nobody answers, those that wait for a connection too, and later ones are served', async () => {
    let isSilent = true;
    const { url, requests, sockets } = await startBadServer((socket) => {
      if (!isSilent) socket.write(answer(JSON.stringify({ ok: true })));
    });
    const provider = httpProvider({ id: 'remote', baseUrl: url, retries: 0, attemptTimeoutMs: 500 });
    onTestFinished(() => provider.close());
    const start = performance.now();
    const calls = Array.from({ length: CALLS }, () => provider.sign(refOf(provider), Buffer.of(1)));
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, sockets.size);
    }, 5);
    const results = await Promise.allSettled(calls);
    clearInterval(watch);
    expect(performance.now() - start).toBeLessThan(3_000);
    expect(new Set(results.map((result) => result.status === 'rejected' && result.reason.code))).toEqual(
      new Set(['ERR_KMS_TIMEOUT']),
    );
    expect(most).toBeLessThanOrEqual(MAX_SOCKETS);
    // Nothing that was given up is sent afterwards.
    expect(requests.length).toBeLessThanOrEqual(MAX_SOCKETS);
    isSilent = false;
    expect(await provider.health()).toMatchObject({ ok: true });
    expect(requests.length).toBeLessThanOrEqual(MAX_SOCKETS + 1);
  });

  it('are ended by close(), with their connections, and nothing is connected afterwards', async () => {
    const { url, sockets } = await startBadServer(() => {});
    for (let round = 0; round < 4; round++) {
      const provider = httpProvider({ id: 'remote', baseUrl: url, timeoutMs: 20_000, attemptTimeoutMs: 20_000 });
      const calls = Array.from({ length: CALLS / 4 }, () => provider.sign(refOf(provider), Buffer.of(1)));
      // in the middle of connecting, and with all that it may have
      if (round % 2 === 0) await expect.poll(() => sockets.size, { timeout: 10_000 }).toBeGreaterThan(50);
      await provider.close();
      const results = await Promise.allSettled(calls);
      expect(results.every((result) => result.status === 'rejected' && result.reason.code === 'ERR_KMS_CLOSED')).toBe(
        true,
      );
    }
    await expect.poll(() => sockets.size, { timeout: 5_000 }).toBe(0);
  });

  it('after a restart of the service all succeed: what was kept open is noticed to be closed', async () => {
    const { service, provider } = await openRemote({}, { retries: 2 });
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    const burst = () => Promise.all(Array.from({ length: 200 }, () => provider.sign(key, Buffer.of(1))));
    await burst();
    service.cutConnections();
    expect(await burst()).toHaveLength(200);
  });
});
