import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { httpProvider, type KmsProvider, type TlsOptions } from '@keywright/kms';
import { makeCertificates, type RemoteKmsOptions, startRemoteKms } from '@keywright/testkit/kms';
import { describe, expect, it, onTestFinished } from 'vitest';
import { refOf } from './support.ts';

const certificates = makeCertificates();
const { ca, server, client, expiredClient, strangeClient, strangeServer } = certificates;
const DATA = Buffer.from('data');

async function openOn(options: RemoteKmsOptions, tls?: TlsOptions): Promise<KmsProvider> {
  const service = await startRemoteKms(options);
  onTestFinished(service.stop);
  return open(service.url, tls);
}

function open(baseUrl: string, tls?: TlsOptions): KmsProvider {
  const provider = httpProvider({ id: 'remote', baseUrl, tls, retries: 1, attemptTimeoutMs: 1_000 });
  onTestFinished(() => provider.close());
  return provider;
}

describe('the certificate of the service', () => {
  it('is accepted from a configured authority', async () => {
    const provider = await openOn({ tls: server }, { ca });
    expect(await provider.health()).toMatchObject({ ok: true });
  });

  it.each([
    ['of another authority', { tls: strangeServer }, { ca }],
    ['of an authority that is not configured', { tls: server }, undefined],
  ] as const)('%s is refused, and not asked for again', async (_what, options, tls) => {
    const service = await startRemoteKms(options);
    onTestFinished(service.stop);
    const provider = open(service.url, tls);
    await expect(provider.sign(refOf(provider), DATA)).rejects.toMatchObject({
      code: 'ERR_KMS_UNAVAILABLE',
      retryable: false,
      context: { expected: 'TLS with a certificate of a trusted authority' },
    });
    expect(service.requests).toEqual([]);
  });

  it('for another host is refused', async () => {
    const service = await startRemoteKms({ tls: server });
    onTestFinished(service.stop);
    const port = new URL(service.url).port;
    // the same machine under a name that the certificate does not have
    const provider = open(`https://[::ffff:127.0.0.1]:${port}`, { ca });
    await expect(provider.sign(refOf(provider), DATA)).rejects.toMatchObject({
      code: 'ERR_KMS_UNAVAILABLE',
      retryable: false,
    });
    expect(service.requests).toEqual([]);
  });

  it('is missing where the service speaks plain HTTP, and in the way where plain HTTP is expected', async () => {
    const plain = await startRemoteKms();
    onTestFinished(plain.stop);
    const overTls = open(plain.url.replace('http:', 'https:'));
    expect(await overTls.health()).toMatchObject({ ok: false, code: 'ERR_KMS_UNAVAILABLE' });
    const secure = await startRemoteKms({ tls: server });
    onTestFinished(secure.stop);
    const overHttp = open(secure.url.replace('https:', 'http:'));
    expect((await overHttp.health()).ok).toBe(false);
  });
});

describe('the certificate of the client', () => {
  it.each([
    ['none', undefined],
    ['an expired one', expiredClient],
    ['one of another authority', strangeClient],
  ])('%s is let in by no service that wants one', async (_what, own) => {
    const service = await startRemoteKms({ auth: { kind: 'mtls', ca }, tls: server });
    onTestFinished(service.stop);
    const provider = open(service.url, { ca, ...own });
    const error = await provider.sign(refOf(provider), DATA).catch((reason: unknown) => reason);
    expect(['ERR_KMS_UNAVAILABLE', 'ERR_KMS_CREDENTIALS']).toContain((error as { code?: string }).code);
    expect(service.requests).toEqual([]);
  });

  it.each([
    ['none', undefined],
    ['an expired one', expiredClient],
    ['one of another authority', strangeClient],
  ])('%s: ERR_KMS_CREDENTIALS where the service says why it refuses it, as OpenSSL does', async (_what, own) => {
    const url = await startOpenSsl();
    const provider = open(url, { ca, ...own });
    await expect(provider.sign(refOf(provider), DATA)).rejects.toMatchObject({
      code: 'ERR_KMS_CREDENTIALS',
      retryable: false,
    });
  });

  it('is taken with an encrypted key and its passphrase', async () => {
    const passphrase = 'passphrase-of-the-key';
    const key = execFileSync('openssl', ['pkcs8', '-topk8', '-passout', `pass:${passphrase}`], { input: client.key });
    const tls = { ca, cert: client.cert, key: key.toString(), passphrase };
    const provider = await openOn({ auth: { kind: 'mtls', ca }, tls: server }, tls);
    expect(await provider.health()).toMatchObject({ ok: true });
  });

  it.each([
    ['a certificate without its key', { cert: client.cert }],
    ['a key without its certificate', { key: client.key }],
    ['a key of another certificate', { cert: client.cert, key: strangeClient.key }],
    ['no PEM', { cert: client.key.replaceAll('-', ''), key: client.key }],
    ['an authority that is none', { ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' }],
  ])('%s is refused when the provider is made, without showing it', (_what, tls: TlsOptions) => {
    const make = (): KmsProvider => httpProvider({ id: 'remote', baseUrl: 'https://kms.example.com', tls });
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_KMS_INVALID_ARGUMENT' }));
    try {
      make();
    } catch (error) {
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(client.key.split('\n')[1]);
    }
  });
});

/** `openssl s_server`, which wants a certificate of `ca` and tells a client why it refuses its own. */
async function startOpenSsl(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'keywright-openssl-'));
  const files = { 'ca.pem': ca, 'cert.pem': server.cert, 'key.pem': server.key };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const port = await freePort();
  const tls = ['-cert', 'cert.pem', '-key', 'key.pem', '-CAfile', 'ca.pem', '-Verify', '1', '-verify_return_error'];
  const args = ['s_server', '-accept', `127.0.0.1:${port}`, ...tls, '-www', '-quiet'];
  const child = spawn('openssl', args, { cwd: folder, stdio: 'ignore' });
  onTestFinished(async () => {
    await ended(child);
    rmSync(folder, { recursive: true, force: true });
  });
  const url = `https://127.0.0.1:${port}`;
  const probe = open(url, { ca, ...client });
  for (const deadline = Date.now() + 5_000; Date.now() < deadline; await sleep(20)) {
    // It answers with a page: it is there, and the right certificate is let in.
    if ((await probe.health()).code === 'ERR_KMS_INVALID_RESPONSE') return url;
  }
  throw new Error('openssl s_server did not start');
}

async function ended(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
