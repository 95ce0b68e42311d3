import type { Socket } from 'node:net';
import { httpProvider, type KmsErrorCode } from '@keywright/kms';
import { describe, expect, it, onTestFinished } from 'vitest';
import { answer, startBadServer } from './bad-server.ts';
import { refOf } from './support.ts';

const SIGNATURE = Buffer.alloc(64, 7).toString('base64url');
const DATA = Buffer.from('data');
const LIMITS = { timeoutMs: 2_000, attemptTimeoutMs: 250, retries: 1 };

function open(baseUrl: string, over = {}, atEnd: (work: () => Promise<void>) => void = onTestFinished) {
  const provider = httpProvider({ id: 'remote', baseUrl, apiKey: 'key-of-the-caller', retries: 1, ...over });
  atEnd(() => provider.close());
  return provider;
}

interface Fault {
  readonly what: string;
  readonly serve: (socket: Socket) => void;
  readonly code: KmsErrorCode;
  /** How often the request is sent in all. */
  readonly sent: number;
}

const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
const FAULTS: readonly Fault[] = [
  { what: 'never answers', serve: () => {}, code: 'ERR_KMS_TIMEOUT', sent: 2 },
  {
    what: 'sends half of the head and stops',
    serve: (socket) => void socket.write(HEAD),
    code: 'ERR_KMS_TIMEOUT',
    sent: 2,
  },
  {
    what: 'sends the head and never the body',
    serve: (socket) => void socket.write(`${HEAD}content-length: 20\r\n\r\n`),
    code: 'ERR_KMS_TIMEOUT',
    sent: 2,
  },
  {
    what: 'drips the body, a byte at a time',
    serve: (socket) => {
      socket.write(`${HEAD}content-length: 100000\r\n\r\n{`);
      const timer = setInterval(() => socket.write(' '), 10);
      socket.once('close', () => clearInterval(timer));
    },
    code: 'ERR_KMS_TIMEOUT',
    sent: 2,
  },
  {
    what: 'drips the head without an end',
    serve: (socket) => {
      socket.write(HEAD);
      const timer = setInterval(() => socket.write('x'), 10);
      socket.once('close', () => clearInterval(timer));
    },
    code: 'ERR_KMS_TIMEOUT',
    sent: 2,
  },
  {
    what: 'ends in the middle of the body',
    serve: (socket) => socket.end(`${HEAD}content-length: 2000\r\n\r\n{"signature":`),
    code: 'ERR_KMS_UNAVAILABLE',
    sent: 2,
  },
  {
    what: 'ends in the middle of a chunk',
    serve: (socket) => socket.end(`${HEAD}transfer-encoding: chunked\r\n\r\n40\r\n{"sig`),
    code: 'ERR_KMS_UNAVAILABLE',
    sent: 2,
  },
  { what: 'closes without a word', serve: (socket) => socket.end(), code: 'ERR_KMS_UNAVAILABLE', sent: 2 },
  { what: 'resets the connection', serve: (socket) => socket.resetAndDestroy(), code: 'ERR_KMS_UNAVAILABLE', sent: 2 },
  {
    what: 'speaks another protocol',
    serve: (socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'),
    code: 'ERR_KMS_INVALID_RESPONSE',
    sent: 1,
  },
  {
    what: 'sends a head without bounds',
    serve: (socket) => void socket.write(`${HEAD}x-fill: ${'x'.repeat(1024 * 1024)}`),
    code: 'ERR_KMS_INVALID_RESPONSE',
    sent: 1,
  },
  {
    what: 'sends two lengths',
    serve: (socket) => void socket.write(`${HEAD}content-length: 5\r\ncontent-length: 7\r\n\r\n{}`),
    code: 'ERR_KMS_INVALID_RESPONSE',
    sent: 1,
  },
  {
    what: 'sends a body without an end',
    serve: (socket) => {
      socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n`);
      const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`;
      const more = (): void => {
        while (!socket.destroyed && socket.write(chunk));
      };
      socket.on('drain', more);
      more();
    },
    code: 'ERR_KMS_INVALID_RESPONSE',
    sent: 1,
  },
  {
    what: 'announces a body of terabytes',
    serve: (socket) => void socket.write(`${HEAD}content-length: 9007199254740991\r\n\r\n${' '.repeat(2 ** 21)}`),
    code: 'ERR_KMS_INVALID_RESPONSE',
    sent: 1,
  },
  {
    what: 'says 200 and sends garbage',
    serve: (socket) => void socket.write(answer('\0\xff{not json')),
    code: 'ERR_KMS_INVALID_RESPONSE',
    sent: 1,
  },
  {
    what: 'says 200 and sends a page',
    serve: (socket) => void socket.write(answer('<html>Welcome</html>', { 'content-type': 'text/html' })),
    code: 'ERR_KMS_INVALID_RESPONSE',
    sent: 1,
  },
  {
    what: 'sends the right answer as another type',
    serve: (socket) => {
      socket.write(answer(JSON.stringify({ signature: SIGNATURE }), { 'content-type': 'text/plain' }));
    },
    code: 'ERR_KMS_INVALID_RESPONSE',
    sent: 1,
  },
  {
    what: 'sends it compressed, which was not asked for',
    serve: (socket) => void socket.write(answer('\x1f\x8b\b\0', { 'content-encoding': 'gzip' })),
    code: 'ERR_KMS_INVALID_RESPONSE',
    sent: 1,
  },
  {
    what: 'says 200 and sends nothing',
    serve: (socket) => void socket.write(answer('')),
    code: 'ERR_KMS_INVALID_RESPONSE',
    sent: 1,
  },
  {
    what: 'says 204',
    serve: (socket) => void socket.write('HTTP/1.1 204 No Content\r\n\r\n'),
    code: 'ERR_KMS_INVALID_RESPONSE',
    sent: 1,
  },
  {
    what: 'switches protocols',
    serve: (socket) =>
      void socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    code: 'ERR_KMS_INVALID_RESPONSE',
    sent: 1,
  },
];

describe('a service that', () => {
  it.concurrent.for(FAULTS)('$what: a typed error in time', async ({ serve, code, sent }, context) => {
    const { url, requests, sockets } = await startBadServer(serve, context.onTestFinished);
    // Only who is to run into the limit gets a short one.
    const limits = code === 'ERR_KMS_TIMEOUT' ? LIMITS : { ...LIMITS, timeoutMs: 8_000, attemptTimeoutMs: 4_000 };
    const provider = open(url, limits, context.onTestFinished);
    const start = performance.now();
    const error = await provider.sign(refOf(provider), DATA).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      name: 'KmsError',
      code,
      context: { provider: 'remote', operation: 'sign', keyId: 'k1' },
    });
    expect(performance.now() - start).toBeLessThan(LIMITS.timeoutMs + 1_000);
    expect(requests).toHaveLength(sent);
    await provider.close();
    await context.expect.poll(() => sockets.size, { timeout: 10_000 }).toBe(0);
  });
});

it('a service that refuses before it has everything is told apart from a hang', async () => {
  const { url } = await startBadServer((socket) => socket.end(answer('{"error":"too much"}', {}, '413 Too Large')));
  const provider = open(url);
  const start = performance.now();
  const error = await provider.sign(refOf(provider), Buffer.alloc(16 * 1024 * 1024)).catch((reason: unknown) => reason);
  // It depends on whether the answer or the closed connection is seen first.
  expect(['ERR_KMS_BACKEND', 'ERR_KMS_UNAVAILABLE']).toContain((error as { code?: string }).code);
  expect(performance.now() - start).toBeLessThan(10_000);
});

it('a service that answers half a request and reads no more keeps no connection', async () => {
  const { url, sockets } = await startBadServer((socket) => {
    socket.pause();
    socket.write(answer('{"error":"too much"}', {}, '413 Too Large'));
  });
  const provider = open(url, { retries: 0 });
  const signed = provider.sign(refOf(provider), Buffer.alloc(16 * 1024 * 1024));
  await expect(signed).rejects.toMatchObject({ code: 'ERR_KMS_BACKEND', context: { status: 413 } });
  for (const socket of sockets) socket.resume();
  await expect.poll(() => sockets.size, { timeout: 10_000 }).toBe(0);
});

describe('nobody who answers', () => {
  it('is an unavailable backend, on a port nobody listens on and under a name nobody has', async () => {
    for (const baseUrl of ['http://127.0.0.1:1', 'https://kms.invalid']) {
      const provider = open(baseUrl);
      await expect(provider.sign(refOf(provider), DATA)).rejects.toMatchObject({
        code: 'ERR_KMS_UNAVAILABLE',
        retryable: true,
      });
      expect(await provider.health()).toMatchObject({ ok: false, code: 'ERR_KMS_UNAVAILABLE' });
    }
  });
});

describe('redirects', () => {
  it.each([301, 302, 303, 307, 308])('%i is not followed: the bearer token goes nowhere else', async (status) => {
    const elsewhere = await startBadServer((socket) => void socket.write(answer('{"ok":true}')));
    const { url, requests } = await startBadServer((socket) => {
      socket.write(answer('{}', { location: `${elsewhere.url}/health` }, `${status} Elsewhere`));
    });
    const provider = open(url);
    for (const call of [provider.sign(refOf(provider), DATA), provider.createKey({ tenantId: 'acme', keyId: 'k1' })]) {
      await expect(call).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_RESPONSE', context: { status } });
    }
    expect(await provider.health()).toMatchObject({ ok: false, code: 'ERR_KMS_INVALID_RESPONSE' });
    expect(requests.every((request) => request.includes('authorization: Bearer key-of-the-caller'))).toBe(true);
    expect(elsewhere.requests).toEqual([]);
  });
});

describe('a kept connection that the service has closed', () => {
  /** Answers the first request of each connection; the second one resets it, as a server does that closed it meanwhile. */
  const startForgetful = () => {
    const seen = new WeakSet<Socket>();
    return startBadServer((socket, request) => {
      if (seen.has(socket)) return void socket.resetAndDestroy();
      seen.add(socket);
      const body = request.startsWith('GET') ? { ok: true } : { signature: SIGNATURE };
      socket.write(answer(JSON.stringify(body)));
    });
  };

  it('costs neither a retry nor an error', async () => {
    const { url, requests } = await startForgetful();
    const provider = open(url, { retries: 0 });
    for (let round = 0; round < 4; round++) {
      expect(await provider.sign(refOf(provider), DATA)).toHaveLength(64);
      expect(await provider.health()).toMatchObject({ ok: true });
    }
    expect(requests.length).toBeGreaterThan(8);
  });

  it('costs nothing more to a request that waited for it', async () => {
    const { url } = await startForgetful();
    const provider = open(url, { retries: 0 });
    const signed = Array.from({ length: 200 }, () => provider.sign(refOf(provider), DATA));
    expect(await Promise.all(signed)).toHaveLength(200);
  });

  it('is not used for a key that is made: it would be made twice, or not known', async () => {
    const { url, requests } = await startForgetful();
    const provider = open(url, { retries: 0 });
    await provider.sign(refOf(provider), DATA);
    const made = provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    await expect(made).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_RESPONSE' }); // it was answered, with a signature
    expect(requests.filter((request) => request.startsWith('POST /keys HTTP'))).toHaveLength(1);
  });
});

it('each create has a connection of its own, however many there are at once', async () => {
  const used: Socket[] = [];
  const { url } = await startBadServer((socket) => {
    used.push(socket);
    socket.write(answer('{}'));
  });
  const provider = open(url, { retries: 0 });
  const made = Array.from({ length: 30 }, (_, n) => provider.createKey({ tenantId: 'acme', keyId: `k${n}` }));
  const results = await Promise.allSettled(made);
  expect(new Set(results.map((result) => result.status === 'rejected' && result.reason.code))).toEqual(
    new Set(['ERR_KMS_INVALID_RESPONSE']),
  );
  expect(used).toHaveLength(30);
  expect(new Set(used).size).toBe(30);
});

it('a create whose connection is lost is not made again', async () => {
  const { url, requests } = await startBadServer((socket) => socket.resetAndDestroy());
  const provider = open(url, { retries: 3 });
  const made = provider.createKey({ tenantId: 'acme', keyId: 'k1' });
  await expect(made).rejects.toMatchObject({ code: 'ERR_KMS_UNAVAILABLE', context: { operation: 'createKey' } });
  expect(requests).toHaveLength(1);
});
