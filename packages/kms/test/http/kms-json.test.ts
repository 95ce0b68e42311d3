import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { loadKmsRegistry } from '@keywright/kms';
import { makeCertificates, startRemoteKms } from '@keywright/testkit/kms';
import { expect, it, onTestFinished } from 'vitest';
import { startTokenServer } from './token-server.ts';

const placeholder = (variable: string): string => `\${${variable}}`;

it('kms.json: certificates from files, the secret from the environment, neither in the echo', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'keywright-kms-json-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const { ca, server, client } = makeCertificates();
  for (const [name, pem] of Object.entries({ ca, cert: client.cert, key: client.key })) {
    writeFileSync(join(folder, `${name}.pem`), pem);
  }
  const tokens = await startTokenServer();
  onTestFinished(tokens.stop);
  const service = await startRemoteKms({ auth: { kind: 'mtls', ca }, tls: server });
  onTestFinished(service.stop);
  const { tokenUrl, clientId, clientSecret } = tokens;
  const tls = Object.fromEntries(['ca', 'cert', 'key'].map((name) => [name, `file:${join(folder, `${name}.pem`)}`]));
  const entry = { id: 'remote', type: 'http', baseUrl: placeholder('KMS_URL'), tls };
  const oauth = { tokenUrl, clientId, clientSecret: placeholder('KMS_SECRET') };
  const file = join(folder, 'kms.json');
  writeFileSync(file, JSON.stringify({ defaultProvider: 'remote', providers: [{ ...entry, oauth }] }));

  const env = { KMS_URL: service.url, KMS_SECRET: clientSecret };
  const registry = await loadKmsRegistry({ file, env });
  onTestFinished(() => registry.close());
  expect(await registry.health()).toMatchObject([{ providerId: 'remote', type: 'http', ok: true }]);
  const key = await registry.provider().createKey({ tenantId: 'acme', keyId: 'k1' });
  expect(await registry.provider().sign(key, Buffer.of(1))).toHaveLength(64);
  expect(service.requests[0]?.headers.authorization).toBe(`Bearer ${tokens.tokens[0]}`);
  const shown = `${JSON.stringify(registry.echo())}${inspect(registry, { depth: 9, showHidden: true })}`;
  for (const secret of [clientSecret, client.key.split('\n')[1] ?? '?', tokens.tokens[0] ?? '?']) {
    expect(shown.includes(secret)).toBe(false);
  }
  expect(registry.echo().providers[0]).toMatchObject({ id: 'remote', oauth: { clientId: 'keywright' } });
});
