// biome-ignore-all lint/suspicious/noTemplateCurlyInString: scratch
import { inspect } from 'node:util';
import { awsKmsProviderType } from '@keywright/kms-aws';
import { pkcs11ProviderType } from '@keywright/kms-pkcs11';
import { createKmsRegistry, type KmsProvider, loadKmsRegistry } from '@keywright/kms';
import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
import createKnex from 'knex';
import { expect, it } from 'vitest';
import { folderWith, load, MINIMAL, refusal, shown, thirdParty, methodsOf } from './support.ts';
import { parseStrictJson } from '../../src/registry/strict-json.ts';

it('F1 form', async () => {
  const r = await load({ providers: [{ ...MINIMAL, url: 'https://u:canary@${H}/', description: 'canary://u:canary@${H}', peers: ['-----BEGIN PRIVATE KEY-----\ncanary'] }] }, { env: { H: 'h' } });
  expect.soft(shown(r)).not.toContain('canary');
  expect.soft(JSON.stringify(r.describe())).not.toContain('canary');
});
it('F2 code', async () => {
  const p = thirdParty('cloud', (m) => ({ ...methodsOf(m), health: async () => ({ ok: false, latencyMs: 1, code: { toString: () => 'ERR_KMS_DENIED', s: 'canary' } }) as never }) as KmsProvider).create(MINIMAL, {});
  expect(shown(await createKmsRegistry({ providers: [p] }).health())).not.toContain('canary');
});
it('F3 bomb', async () => {
  const r = await load({ providers: [MINIMAL] });
  let bomb: unknown = ['lol'];
  for (let i = 0; i < 6; i++) bomb = Array.from({ length: 9 }, () => bomb);
  const s = performance.now();
  await refusal(() => r.forTenant({ providers: [bomb] } as never));
  console.log('bomb ms', performance.now() - s);
  expect(performance.now() - s).toBeLessThan(100);
  await refusal(() => r.forTenant(null as never));
});
it('F6', async () => { const k = createKnex({ client: 'better-sqlite3', useNullAsDefault: true }); await refusal(() => createKmsRegistry({ defaultProvider: 'hsm', knex: k, root: createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' }) } as never)); });
it('regex stack', () => {
  const t = JSON.stringify({ a: '\n"\\'.repeat(40_000), b: '\\' });
  const s = performance.now(); parseStrictJson(t); console.log('strict ms', performance.now() - s, t.length);
  parseStrictJson(`{"a":"${'x'.repeat(255_000)}"}`);
  parseStrictJson(`[${'{"a":1},'.repeat(30_000)}1]`);
});
it('real providers', async () => {
  const knex = createKnex({ client: 'better-sqlite3', connection: { filename: ':memory:' }, useNullAsDefault: true });
  const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
  const C = 'canary-9f3a';
  const pem = `-----BEGIN PRIVATE KEY-----\n${C}\n-----END PRIVATE KEY-----`;
  const folder = await folderWith({ defaultProvider: 'db', providers: [
    { id: 'db', type: 'db' },
    { id: 'v1', type: 'vault', vaultUrl: 'http://127.0.0.1:1', vaultToken: '${T}' },
    { id: 'v2', type: 'vault', vaultUrl: 'http://127.0.0.1:1', roleId: 'r', secretId: C },
    { id: 'a', type: 'aws-kms', region: 'eu-central-1', endpoint: 'http://127.0.0.1:1', accessKeyId: 'AK', secretAccessKey: C, sessionToken: '${T}' },
    { id: 'p1', type: 'pkcs11', library: '/nowhere/x.so', slot: 0, pin: '${T}' },
    { id: 'p2', type: 'pkcs11', library: '/nowhere/x.so', uri: `pkcs11:token=x?pin-value=${C}` },
    { id: 'h1', type: 'http', baseUrl: 'http://127.0.0.1:1', apiKey: C },
    { id: 'h2', type: 'http', baseUrl: 'http://127.0.0.1:1', oauth: { tokenUrl: 'http://127.0.0.1:1/t', clientId: 'c', clientSecret: '${T}' } },
  ] });
  const r = await loadKmsRegistry({ folder, env: { T: C, PEM: pem }, knex, root, types: [awsKmsProviderType, pkcs11ProviderType] });
  const seen: string[] = [];
  for (const [name, thing] of Object.entries({ echo: r.echo(), describe: r.describe(), health: await r.health({ timeoutMs: 3000 }), r, view: r.forTenant({}), ...Object.fromEntries(r.providers.map((p) => [p.id, p])) })) {
    const text = [shown(thing), inspect(thing, { showHidden: true, showProxy: true, depth: Infinity, getters: true })].join();
    if (text.includes(C)) seen.push(name);
  }
  console.log(r.echo().providers, (await r.health({ timeoutMs: 3000 })).map((h) => [h.providerId, h.code]));
  for (const p of r.providers) {
    const e = await p.createKey({ tenantId: 't', keyId: 'k' }, { timeoutMs: 1500 }).catch((x: unknown) => x);
    if (shown(e).includes(C)) seen.push(`error ${p.id}`);
  }
  expect(seen).toEqual([]);
  await r.close(); await knex.destroy();
}, 40000);
