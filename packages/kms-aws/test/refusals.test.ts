import type { ServerResponse } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { KmsError, type KmsProvider } from '@keywright/kms';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { ARN, type Asked, DER, KEY, open, refuse, SIGNED, succeed } from './answering.ts';
import { providerAt, REGION, refusalOf } from './support.ts';

const DATA = Buffer.from('data');

afterEach(() => void vi.unstubAllEnvs());

describe('what AWS KMS refuses with', () => {
  it.each([
    ['NotFoundException', 'ERR_KMS_KEY_NOT_FOUND'],
    ['DisabledException', 'ERR_KMS_KEY_NOT_USABLE'],
    ['KMSInvalidStateException', 'ERR_KMS_KEY_NOT_USABLE'],
    ['InvalidKeyUsageException', 'ERR_KMS_KEY_NOT_USABLE'],
    ['AccessDeniedException', 'ERR_KMS_DENIED'],
    ['ExpiredTokenException', 'ERR_KMS_CREDENTIALS'],
    ['InvalidClientTokenId', 'ERR_KMS_CREDENTIALS'],
    ['UnrecognizedClientException', 'ERR_KMS_CREDENTIALS'],
    ['SignatureDoesNotMatch', 'ERR_KMS_CREDENTIALS'],
    ['InvalidSignatureException', 'ERR_KMS_CREDENTIALS'],
    ['IncompleteSignature', 'ERR_KMS_CREDENTIALS'],
    ['LimitExceededException', 'ERR_KMS_THROTTLED'],
    ['UnsupportedOperationException', 'ERR_KMS_UNSUPPORTED'],
    ['ValidationException', 'ERR_KMS_BACKEND'],
    ['SomethingNewException', 'ERR_KMS_BACKEND'],
  ])('%s is %s, and is not asked again', async (type, code) => {
    const { server, provider } = await open((_asked, response) => refuse(response, type, `${ARN} belongs to somebody`));
    const error = await refusalOf(provider.sign(KEY, DATA));
    expect(error).toBeInstanceOf(KmsError);
    expect(error).toMatchObject({ code, retryable: false, context: { provider: 'aws', keyId: 'k1', status: 400 } });
    expect(inspect(error, { depth: 9 })).not.toContain('belongs to somebody');
    expect(server.asked).toHaveLength(1);
  });

  it.each([
    ['ThrottlingException', 400, 'ERR_KMS_THROTTLED'],
    ['TooManyRequestsException', 429, 'ERR_KMS_THROTTLED'],
    ['KMSInternalException', 500, 'ERR_KMS_UNAVAILABLE'],
    ['DependencyTimeoutException', 500, 'ERR_KMS_UNAVAILABLE'],
    ['KeyUnavailableException', 500, 'ERR_KMS_UNAVAILABLE'],
  ])(
    '%s (%i) passes: a signature is asked for again, and counted once for each attempt',
    async (type, status, code) => {
      const { server, provider } = await open((_asked, response) => {
        if (server.asked.length === 1) refuse(response, type, 'Rate exceeded', status);
        else succeed(response, SIGNED);
      });
      await expect(provider.sign(KEY, DATA)).resolves.toHaveLength(64);
      expect(server.asked.map(({ operation }) => operation)).toEqual(['Sign', 'Sign']);

      const impatient = await open((_asked, response) => refuse(response, type, 'Rate exceeded', status), {
        retries: 0,
      });
      expect(await refusalOf(impatient.provider.sign(KEY, DATA))).toMatchObject({ code, retryable: true });
      expect(impatient.server.asked).toHaveLength(1);
    },
  );

  it('is told apart without a name too, by status: something may stand before AWS', async () => {
    for (const [status, code] of [
      [401, 'ERR_KMS_CREDENTIALS'],
      [403, 'ERR_KMS_DENIED'],
      [429, 'ERR_KMS_THROTTLED'],
      [503, 'ERR_KMS_UNAVAILABLE'],
    ] as const) {
      const { provider } = await open(
        (_asked, response) => response.writeHead(status, { 'content-type': 'text/html' }).end('<h1>No</h1>'),
        { retries: 0 },
      );
      expect(await refusalOf(provider.sign(KEY, DATA)), String(status)).toMatchObject({ code });
    }
  });
});

describe('a wrong clock', () => {
  const HOUR = 3_600_000;
  const refusesTimes = (asked: Asked, response: ServerResponse): boolean => {
    const there = Date.now() + HOUR;
    const sent = String(asked.headers['x-amz-date']).replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5');
    response.setHeader('date', new Date(there).toUTCString());
    if (Math.abs(Date.parse(sent) - there) < 300_000) return false;
    refuse(response, 'InvalidSignatureException', `Signature expired: ${sent} is now earlier than another time.`);
    return true;
  };

  it('is corrected by what the refusal says, once: the SDK keeps the right time', async () => {
    const { server, provider } = await open((asked, response) => {
      if (!refusesTimes(asked, response)) succeed(response, SIGNED);
    });
    await expect(provider.sign(KEY, DATA)).resolves.toHaveLength(64);
    expect(server.asked).toHaveLength(2);
    await expect(provider.sign(KEY, DATA)).resolves.toHaveLength(64);
    expect(server.asked).toHaveLength(3);
  });

  it('that cannot be corrected is a matter of credentials, and does not make a second key', async () => {
    const { server, provider } = await open((_asked, response) => {
      response.setHeader('date', new Date(Date.now() + HOUR).toUTCString());
      refuse(response, 'RequestTimeTooSkewed', 'The difference is too large.', 403);
    });
    expect(await refusalOf(provider.createKey({ tenantId: 'acme', keyId: 'k1' }))).toMatchObject({
      code: 'ERR_KMS_CREDENTIALS',
      retryable: false,
    });
    expect(server.asked.length).toBeLessThanOrEqual(2);
  });
});

describe('answers that are none', () => {
  const LONG = 'x'.repeat(2 * 1024 * 1024);
  it.each([
    ['HTML', 'text/html', '<html>Welcome</html>'],
    ['nothing', 'application/x-amz-json-1.1', ''],
    ['an empty object', 'application/x-amz-json-1.1', '{}'],
    ['a signature of another key', 'application/x-amz-json-1.1', JSON.stringify({ ...SIGNED, KeyId: `${ARN}0` })],
    ['a signature that is no DER', 'application/x-amz-json-1.1', JSON.stringify({ ...SIGNED, Signature: 'AAAA' })],
    ['2 MiB', 'application/x-amz-json-1.1', JSON.stringify({ ...SIGNED, More: LONG })],
  ])('200 with %s is no signature', async (_what, type, body) => {
    const { provider } = await open((_asked, response) => response.writeHead(200, { 'content-type': type }).end(body));
    const error = await refusalOf(provider.sign(KEY, DATA));
    expect(error).toMatchObject({ code: 'ERR_KMS_INVALID_RESPONSE', retryable: false });
    expect(error.message).not.toContain('$response');
  });

  it('200 with another kind of key is no public key of the algorithm', async () => {
    const body = { KeyId: ARN, KeyUsage: 'SIGN_VERIFY', KeySpec: 'RSA_2048', PublicKey: DER };
    const { provider } = await open((_asked, response) => succeed(response, body));
    expect(await refusalOf(provider.getPublicKey(KEY))).toMatchObject({ code: 'ERR_KMS_KEY_MISMATCH' });
    const encrypting = { ...body, KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' };
    const other = await open((_asked, response) => succeed(response, encrypting));
    expect(await refusalOf(other.provider.getPublicKey(KEY))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_USABLE' });
    const garbage = await open((_asked, response) => succeed(response, { ...body, KeySpec: 'ECC_NIST_P256' }));
    expect(await refusalOf(garbage.provider.getPublicKey(KEY))).toMatchObject({ code: 'ERR_KMS_INVALID_RESPONSE' });
  });

  it('a connection that is never answered ends in time, and so does one that stops in the middle', async () => {
    for (const begin of [false, true]) {
      const { provider } = await open(
        (_asked, response) => {
          if (begin) response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' }).write('{"KeyId":');
        },
        { timeoutMs: 250, attemptTimeoutMs: 100 },
      );
      const start = performance.now();
      expect(await refusalOf(provider.sign(KEY, DATA))).toMatchObject({ code: 'ERR_KMS_TIMEOUT', retryable: true });
      expect(performance.now() - start).toBeLessThan(3_000);
    }
  });

  it("the caller's signal ends a call that is under way", async () => {
    const { provider } = await open(() => {});
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 50);
    expect(await refusalOf(provider.sign(KEY, DATA, { signal: controller.signal }))).toMatchObject({
      code: 'ERR_KMS_ABORTED',
    });
  });

  it('what is no HTTP is no signature', async () => {
    const { provider } = await open((_asked, response) => response.socket?.end('SSH-2.0-server\r\n'));
    expect(await refusalOf(provider.sign(KEY, DATA))).toMatchObject({ code: 'ERR_KMS_INVALID_RESPONSE' });
  });

  it('a provider that is closed leaves no connection behind, though more calls waited than there may be', async () => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(
        socket
          .on('close', () => sockets.delete(socket))
          .on('error', () => {})
          .resume(),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const provider = providerAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const calls = Array.from({ length: 200 }, () => refusalOf(provider.sign(KEY, DATA)));
    await vi.waitFor(() => expect(sockets.size).toBe(64));
    await provider.close();
    for (const error of await Promise.all(calls)) expect(error).toMatchObject({ code: 'ERR_KMS_CLOSED' });
    await vi.waitFor(() => expect(sockets.size).toBe(0));
    await sleep(50);
    expect(sockets.size).toBe(0);
  });

  it('nobody there is unavailable', async () => {
    const { provider, server } = await open(() => {}, { retries: 1 });
    await server.close();
    expect(await refusalOf(provider.sign(KEY, DATA))).toMatchObject({ code: 'ERR_KMS_UNAVAILABLE', retryable: true });
  });
});

describe('deleting a key', () => {
  it('is not done for one that may not be deleted now, nor believed of one in another region', async () => {
    const { server, provider } = await open(({ operation }, response) => {
      if (operation === 'DescribeKey') succeed(response, { KeyMetadata: { Arn: ARN, KeyState: 'Unavailable' } });
      else refuse(response, 'KMSInvalidStateException');
    });
    expect(await refusalOf(provider.deleteKey(KEY))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_USABLE' });
    const asked = server.asked.length;
    const elsewhere = { ...KEY, externalId: ARN.replace(REGION, 'us-east-1') };
    expect(await refusalOf(provider.deleteKey(elsewhere))).toMatchObject({
      code: 'ERR_KMS_INVALID_ARGUMENT',
      context: { argument: 'key.externalId', received: 'a key in us-east-1' },
    });
    expect(server.asked).toHaveLength(asked);
  });

  it('takes no alias for a key: it may lead to another tomorrow', async () => {
    const { server, provider } = await open(() => {});
    for (const externalId of ['alias/mine', `arn:aws:kms:${REGION}:123456789012:alias/mine`, '../..', 'a b']) {
      expect(await refusalOf(provider.deleteKey({ ...KEY, externalId }))).toMatchObject({
        code: 'ERR_KMS_INVALID_ARGUMENT',
      });
    }
    expect(server.asked).toHaveLength(0);
  });
});

describe('listing keys', () => {
  const KEYS = ['0', '1', '2'].map((digit) => ({ KeyArn: `${ARN.slice(0, -1)}${digit}` }));
  const OURS = [
    { TagKey: 'ManagedBy', TagValue: 'keywright' },
    { TagKey: 'LocalKeyId', TagValue: 'k1' },
  ];
  /** Pages of one key, and an empty one; keys that are closed are refused, the others are ours. */
  const listing = async (closed: readonly number[]) =>
    await open(({ operation, input }, response) => {
      const at = Number(input.Marker ?? 0);
      if (operation === 'ListKeys') {
        succeed(response, { Keys: KEYS.slice(at, at + 1), Truncated: at < 3, NextMarker: String(at + 1) });
      } else if (closed.some((index) => KEYS[index]?.KeyArn === input.KeyId)) {
        refuse(response, 'AccessDeniedException');
      } else if (operation === 'ListResourceTags') succeed(response, { Tags: OURS });
      else succeed(response, { KeyMetadata: { KeyState: 'Enabled' } });
    });
  const listAll = async (provider: KmsProvider): Promise<readonly string[]> => {
    const found: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await provider.listKeys({ limit: 1, cursor });
      found.push(...page.keys.map(({ externalId }) => externalId.slice(-1)));
      if (page.cursor === undefined) return found;
      cursor = page.cursor;
    }
  };

  it.each([
    [[0], '1,2'],
    [[1], '0,2'],
    [[0, 1], '2'],
    [[1, 2], '0'],
  ])('passes over keys of others, a page of them and the last page too: %j', async (closed, found) => {
    const { provider } = await listing(closed);
    expect((await listAll(provider)).join()).toBe(found);
  });

  it('is refused, and not empty, where no tags may be read on any page', async () => {
    const { provider } = await listing([0, 1, 2]);
    expect(await refusalOf(listAll(provider))).toMatchObject({ code: 'ERR_KMS_DENIED' });
  });

  it('takes no cursor but its own', async () => {
    const { server, provider } = await listing([]);
    expect(await refusalOf(provider.listKeys({ cursor: '1' }))).toMatchObject({
      code: 'ERR_KMS_INVALID_ARGUMENT',
      context: { argument: 'cursor' },
    });
    expect(server.asked).toHaveLength(0);
  });
});

describe('credentials', () => {
  it('that are nowhere to be found are a matter of credentials, and nobody is asked', async () => {
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE', 'AWS_WEB_IDENTITY_TOKEN_FILE']) {
      vi.stubEnv(name, undefined);
    }
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nonexistent');
    vi.stubEnv('AWS_CONFIG_FILE', '/nonexistent');
    const { server, provider } = await open(() => {}, { accessKeyId: undefined, secretAccessKey: undefined });
    expect(await refusalOf(provider.sign(KEY, DATA))).toMatchObject({ code: 'ERR_KMS_CREDENTIALS', retryable: false });
    expect(await provider.health()).toMatchObject({ ok: false, code: 'ERR_KMS_CREDENTIALS' });
    expect(server.asked).toHaveLength(0);
  });

  it('show nowhere: neither in errors nor in what is sent', async () => {
    const secretAccessKey = 'canary/of+the/secret/access/key+0123456789';
    const sessionToken = 'canary-of-the-session-token-0123456789';
    const over = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey, sessionToken, retries: 0, timeoutMs: 200 };
    const texts: string[] = [];
    for (const answer of [
      (_asked: Asked, response: ServerResponse) => refuse(response, 'ExpiredTokenException', sessionToken, 403),
      (_asked: Asked, response: ServerResponse) => response.writeHead(200).end(sessionToken),
      (_asked: Asked, response: ServerResponse) => response.destroy(),
      () => {},
    ]) {
      const { provider, server } = await open(answer, { ...over, attemptTimeoutMs: 100 });
      for (const call of [provider.sign(KEY, DATA), provider.createKey({ tenantId: 'acme', keyId: 'k1' })]) {
        const error = await refusalOf(call);
        texts.push(inspect(error, { depth: 9, showHidden: true }), JSON.stringify(error), String(error.stack));
      }
      texts.push(inspect(provider, { depth: 9, showHidden: true }), JSON.stringify(await provider.health()));
      for (const { text, headers } of server.asked) {
        texts.push(text, JSON.stringify({ ...headers, 'x-amz-security-token': undefined }));
        expect(headers['x-amz-security-token']).toBe(sessionToken);
        expect(JSON.stringify(headers)).not.toContain(secretAccessKey);
      }
    }
    for (const text of texts) {
      expect(text).not.toContain(secretAccessKey);
      expect(text).not.toContain(sessionToken);
    }
  });
});
