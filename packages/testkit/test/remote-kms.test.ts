import { createPublicKey, generateKeyPairSync, type JsonWebKey, verify } from 'node:crypto';
import { get } from 'node:https';
import { describe, expect, it, onTestFinished } from 'vitest';
import { makeCertificates } from '../src/certificates.ts';
import { type RemoteKmsOptions, startRemoteKms } from '../src/remote-kms.ts';

async function start(options: RemoteKmsOptions = {}) {
  const service = await startRemoteKms(options);
  onTestFinished(service.stop);
  const ask = async (method: string, path: string, body?: object, headers: Record<string, string> = {}) => {
    const text = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetch(`${service.url}${path}`, { method, headers, ...text });
    const answer = await response.text();
    return { status: response.status, json: answer === '' ? undefined : JSON.parse(answer) };
  };
  return { service, ask };
}

describe('a remote KMS', () => {
  it('speaks the contract of the http provider', async () => {
    const { ask } = await start();
    const kid = '0'.repeat(32);
    expect(await ask('GET', '/health')).toEqual({ status: 200, json: { ok: true } });
    const created = await ask('POST', '/keys', { kid, alg: 'ES384' });
    expect((await ask('POST', '/keys', { kid, alg: 'ES384' })).status).toBe(409);
    const { publicJwk } = created.json as { publicJwk: JsonWebKey };
    expect(publicJwk).not.toHaveProperty('d');
    const data = Buffer.from('data');
    const signed = await ask('POST', `/keys/${kid}/sign`, { data: data.toString('base64'), alg: 'ES384' });
    const signature = Buffer.from((signed.json as { signature: string }).signature, 'base64url');
    const key = createPublicKey({ format: 'jwk', key: publicJwk });
    expect(verify('sha384', data, { key, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true);
    expect(await ask('GET', `/keys/${kid}`)).toEqual({ status: 200, json: { publicJwk } });
    expect(await ask('GET', '/keys?limit=10')).toEqual({ status: 200, json: { keys: [{ kid }] } });
    expect((await ask('DELETE', `/keys/${kid}`)).status).toBe(204);
    expect((await ask('DELETE', `/keys/${kid}`)).status).toBe(404);
    const pair = generateKeyPairSync('ed25519');
    const privateJwk = pair.privateKey.export({ format: 'jwk' });
    expect(await ask('POST', `/keys/${kid}/import`, { privateJwk, alg: 'EdDSA' })).toEqual({
      status: 200,
      json: { publicJwk: pair.publicKey.export({ format: 'jwk' }) },
    });
  });

  it('lets nobody in without the API key', async () => {
    const { ask } = await start({ auth: { kind: 'bearer', apiKey: 'right' } });
    expect((await ask('GET', '/health')).status).toBe(401);
    expect((await ask('GET', '/health', undefined, { authorization: 'Bearer wrong' })).status).toBe(401);
    expect((await ask('GET', '/health', undefined, { authorization: 'Bearer right' })).status).toBe(200);
  });

  it('lets nobody in without a certificate of its authority, in time', async () => {
    const { ca, server, client, expiredClient, strangeClient } = makeCertificates();
    const { service } = await start({ auth: { kind: 'mtls', ca }, tls: server });
    const ask = (own: object) =>
      new Promise((resolve) => {
        get(`${service.url}/health`, { ca, ...own, agent: false }, ({ statusCode }) => resolve(statusCode)).on(
          'error',
          (error: NodeJS.ErrnoException) => resolve(error.code),
        );
      });
    expect(await ask(client)).toBe(200);
    for (const refused of [{}, expiredClient, strangeClient]) expect(await ask(refused)).not.toBe(200);
    expect(service.requests).toHaveLength(1);
  });

  it('is stopped twice without a complaint, with its connections', async () => {
    const { service, ask } = await start();
    await ask('GET', '/health');
    expect(service.connections()).toMatchObject({ most: 1 });
    await service.stop();
    await service.stop();
    expect(service.connections().open).toBe(0);
    await expect(fetch(service.url)).rejects.toThrow();
  });
});
