import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { describeOnMoto } from '../src/aws.ts';
import { startMoto } from '../src/moto.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('KEYWRIGHT_TEST_MOTO_URL', () => {
  it('is used instead of starting a server, and left alone', async () => {
    const server = createServer((_request, response) => response.end('{}')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    vi.stubEnv('KEYWRIGHT_TEST_MOTO_URL', url);
    const moto = await startMoto();
    expect(moto.url).toBe(url);
    await moto.stop();
    expect((await fetch(url)).ok).toBe(true);
    server.closeAllConnections();
    server.close();
  });

  it('must lead to a server', async () => {
    vi.stubEnv('KEYWRIGHT_TEST_MOTO_URL', 'http://127.0.0.1:1');
    await expect(startMoto()).rejects.toMatchObject({ code: 'ERR_TESTKIT_SERVER_UNREACHABLE' });
  });
});

describeOnMoto('a server', (url) => {
  it('answers', async () => {
    expect((await fetch(`${url()}/moto-api/data.json`)).ok).toBe(true);
  });

  it('is gone when it was stopped, which may be done twice', async () => {
    const moto = await startMoto();
    expect((await fetch(moto.url)).status).toBeGreaterThan(0);
    await moto.stop();
    await moto.stop();
    await expect(fetch(moto.url)).rejects.toThrow();
  });
});
