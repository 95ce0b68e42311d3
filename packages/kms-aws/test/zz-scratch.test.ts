import type { ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { rawCause } from '@keywright/envelope';
import { expect, it } from 'vitest';
import { answering, refuse, succeed } from './answering.ts';
import { providerAt, REGION, refusalOf, sdkAt } from './support.ts';
const ARN = `arn:aws:kms:${REGION}:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
const KEY = { tenantId: 'acme', keyId: 'k1', providerId: 'aws', externalId: ARN, externalVersion: null, alg: 'ES256' } as const;
const P256 = 'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAElQ54bI7Thuv3f4/O+eMzpHWw1fZwZze6IVWYXKT0MQKj7Nr0ID7vJoDSE1LQrJ84Acs44wiovetSN71etN1VzA==';
it('a close during create', async () => {
  const server = await answering(({ operation }, response) => {
    if (operation === 'CreateKey') succeed(response, { KeyMetadata: { Arn: ARN } });
    else if (operation === 'ScheduleKeyDeletion') succeed(response, {});
  });
  const provider = providerAt(server.url);
  const made = refusalOf(provider.createKey({ tenantId: 'a', keyId: 'k' }));
  while (server.asked.length < 2) await sleep(5);
  await provider.close();
  console.log('A', (await made as any).code, server.asked.map((a) => a.operation));
  await sleep(500);
  console.log('A later', server.asked.map((a) => a.operation));
  await server.close();
});
it('b sockets', async () => {
  let open = 0;
  const server = createServer((_q, r) => { r.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' }).write('{"KeyId":'); });
  server.on('connection', (s) => { open++; s.on('close', () => open--); });
  server.listen(0, '127.0.0.1'); await once(server, 'listening');
  const provider = providerAt(`http://127.0.0.1:${(server.address() as any).port}`, { timeoutMs: 400, attemptTimeoutMs: 200, retries: 0 });
  await Promise.all(Array.from({ length: 100 }, () => refusalOf(provider.sign(KEY, Buffer.from('x')))));
  await sleep(200);
  console.log('B open after timeouts', open);
  const more = Promise.all(Array.from({ length: 300 }, () => refusalOf(provider.sign(KEY, Buffer.from('x'), { timeoutMs: 5000 }))));
  await sleep(100);
  await provider.close();
  console.log('B codes', new Set((await more).map((e: any) => e.code)));
  await sleep(300);
  console.log('B open after close', open);
  server.closeAllConnections(); server.close();
});
it('e throttled after alias', async () => {
  const aliases = new Set<unknown>();
  const server = await answering(({ operation, input }, response) => {
    if (operation === 'CreateKey') succeed(response, { KeyMetadata: { Arn: ARN } });
    else if (operation === 'CreateAlias') { if (aliases.has(input.AliasName)) refuse(response, 'AlreadyExistsException'); else { aliases.add(input.AliasName); response.destroy(); } }
    else if (operation === 'GetPublicKey') succeed(response, { KeyId: ARN, KeyUsage: 'SIGN_VERIFY', KeySpec: 'ECC_NIST_P256', PublicKey: P256 });
    else succeed(response, {});
  });
  const provider = providerAt(server.url, { aliasPrefix: 'k/', timeoutMs: 3000 });
  const r = await provider.createKey({ tenantId: 'a', keyId: 'k' }).catch((e) => e);
  console.log('E', r.code ?? 'ok', server.asked.map((a) => a.operation), rawCause(r));
  await provider.close(); await server.close();
});
it('g region', async () => {
  const server = await answering(({ operation }, response) => {
    if (operation === 'CreateKey') succeed(response, { KeyMetadata: { Arn: ARN } });
    else if (operation === 'GetPublicKey') succeed(response, { KeyId: ARN, KeyUsage: 'SIGN_VERIFY', KeySpec: 'ECC_NIST_P256', PublicKey: P256 });
    else succeed(response, {});
  });
  const sdk = sdkAt(server.url);
  const provider = providerAt('', { client: sdk, endpoint: undefined, accessKeyId: undefined, secretAccessKey: undefined, region: 'us-east-1' });
  const key = await provider.createKey({ tenantId: 'a', keyId: 'k' }).catch((e) => e);
  console.log('G', key.code, key.externalId, ((await refusalOf(provider.sign(key, Buffer.from('x')))) as any).code);
  await server.close(); sdk.destroy();
});
it('h malformed http', async () => {
  const { createServer: net } = await import('node:net');
  const server = net((s) => { s.on('data', () => s.end('NOT HTTP\r\n\r\n')); s.on('error', () => {}); });
  server.listen(0, '127.0.0.1'); await once(server, 'listening');
  const provider = providerAt(`http://127.0.0.1:${(server.address() as any).port}`, { retries: 0 });
  console.log('H', (await refusalOf(provider.sign(KEY, Buffer.from('x'))) as any).code);
  const r = createServer((_q, res: ServerResponse) => res.writeHead(302, { location: 'http://127.0.0.1:1/' }).end());
  r.listen(0, '127.0.0.1'); await once(r, 'listening');
  const p2 = providerAt(`http://127.0.0.1:${(r.address() as any).port}`, { retries: 0 });
  console.log('H redirect', (await refusalOf(p2.sign(KEY, Buffer.from('x'))) as any).code);
  const g = createServer((_q, res: ServerResponse) => { res.writeHead(500, { 'content-type': 'application/x-amz-json-1.1' }); res.end(`{"__type":"KMSInternalException","message":"${'x'.repeat(3_000_000)}"}`); });
  g.listen(0, '127.0.0.1'); await once(g, 'listening');
  const p3 = providerAt(`http://127.0.0.1:${(g.address() as any).port}`, { retries: 0 });
  console.log('H huge error', (await refusalOf(p3.sign(KEY, Buffer.from('x'))) as any).code);
  for (const s of [server, r, g]) s.close();
  for (const p of [provider, p2, p3]) await p.close();
});
it('i rawCause after failed undo', async () => {
  const server = await answering(({ operation }, response) => {
    if (operation === 'CreateKey') succeed(response, { KeyMetadata: { Arn: ARN } });
    else refuse(response, 'AccessDeniedException');
  });
  const provider = providerAt(server.url);
  const e = await refusalOf(provider.createKey({ tenantId: 'a', keyId: 'k' }));
  console.log('I', (rawCause(e) as any)?.name, (rawCause(e) as any)?.constructor?.name);
  await provider.close(); await server.close();
});
