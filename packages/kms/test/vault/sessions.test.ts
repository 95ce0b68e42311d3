import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KmsKey, KmsProvider, VaultAuth, VaultProviderOptions } from '@keywright/kms';
import { makeCertificates } from '@keywright/testkit/kms';
import { describeOnVault, type TestVault } from '@keywright/testkit/vault';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTokenReview } from './kubernetes.ts';
import { mountOf, nameOf, providerOn, recorded, refusal, tokenWith } from './support.ts';

const DATA = Buffer.from('signed in a session');
const TENANT = 'sessions';
const folder = mkdtempSync(join(tmpdir(), 'keywright-vault-'));
afterAll(() => rmSync(folder, { recursive: true }));

describeOnVault('sessions', recorded('sessions'), (vault) => {
  let key: KmsKey;
  let over: KmsProvider;
  let overAt = 0;

  beforeAll(async () => {
    const provider = providerOn(vault);
    key = await provider.createKey({ tenantId: TENANT, keyId: 'k1', name: nameOf('sessions') });
    await provider.close();
    const policy = { policy: signingPolicy(vault) };
    await vault.admin('POST', `sys/policies/acl/${vault.prefix}-signing`, policy);
    await vault.admin('POST', `sys/auth/${vault.prefix}-approle`, { type: 'approle' });
    over = open(vault, { vaultToken: await signer(vault, { ttl: '1s', renewable: false }) });
    await over.sign(key, DATA);
    overAt = performance.now() + 1_200;
  });

  it('20 calls at once log in once; tokens are renewed in time, given ones too, and replaced when they no more can be', async () => {
    const auth = await appRole(vault, 'renewed', { token_ttl: '2s', token_max_ttl: '60s' });
    const vaultToken = await signer(vault, { ttl: '2s', renewable: true });
    const short = await appRole(vault, 'spent', { token_ttl: '3s', token_max_ttl: '3s' });
    const [provider, given, spent] = [open(vault, { auth }), open(vault, { vaultToken }), open(vault, { auth: short })];
    await Promise.all(Array.from({ length: 20 }, (_, index) => provider.sign(key, Buffer.from([index]))));
    await given.sign(key, DATA);
    await spent.sign(key, DATA);
    expect(counted(vault, '/login')).toBe(2);
    await sleep(3_200);
    const asked = vault.requests().length;
    // Renewals come when they are due, also between these.
    const kinds = () =>
      vault
        .requests()
        .slice(asked)
        .map(kindOf)
        .filter((kind) => kind !== 'renew-self');
    await provider.sign(key, DATA);
    await given.sign(key, DATA);
    expect(kinds()).toEqual(['sign', 'sign']);
    await spent.sign(key, DATA);
    expect(kinds()).toEqual(['sign', 'sign', 'login', 'sign']);
    expect(counted(vault, '/login')).toBe(3);
    // Twice one token and once the other, or more.
    await expect.poll(() => counted(vault, '/renew-self'), { timeout: 10_000 }).toBeGreaterThan(2);
    await Promise.all([provider.close(), given.close(), spent.close()]);
  });

  it('a token that was revoked is replaced by one login, and the call succeeds', async () => {
    const auth = await appRole(vault, 'revoked', { token_ttl: '1h' });
    const provider = open(vault, { auth });
    await provider.sign(key, DATA);
    await vault.admin('POST', `sys/leases/revoke-prefix/auth/${vault.prefix}-approle/login`, { sync: true });
    const asked = vault.requests().length;
    await provider.sign(key, DATA);
    expect(vault.requests().slice(asked).map(kindOf)).toEqual(['sign', 'lookup-self', 'login', 'sign']);
    await provider.close();
  });

  it('credentials that are refused are refused to the caller, once and without another try', async () => {
    const good = (await appRole(vault, 'refused', { token_ttl: '1h' })) as {
      appRole: { mount: string; roleId: string };
    };
    const auth = { appRole: { ...good.appRole, secretId: 'no such secret id' } };
    const provider = open(vault, { auth, retries: 3 });
    const asked = vault.requests().length;
    const error = await refusal(provider.sign(key, DATA));
    expect(error).toMatchObject({ code: 'ERR_KMS_CREDENTIALS', retryable: false, context: { operation: 'login' } });
    expect(vault.requests().slice(asked).map(kindOf)).toEqual(['login']);
    expect(await provider.health()).toMatchObject({ ok: false, code: 'ERR_KMS_CREDENTIALS' });
    await provider.close();
  });

  it('a given token that is over is told from one that may not', async () => {
    await sleep(Math.max(0, overAt - performance.now()));
    const asked = vault.requests().length;
    const error = await refusal(over.sign(key, DATA));
    expect(error).toMatchObject({ code: 'ERR_KMS_CREDENTIALS', retryable: false, context: { status: 403 } });
    expect(vault.requests().slice(asked).map(kindOf)).toEqual(['sign', 'lookup-self']);
    expect(await over.health()).toMatchObject({ ok: false, code: 'ERR_KMS_CREDENTIALS' });
    await over.close();

    const weak = await tokenWith(vault, 'weak', 'path "auth/token/lookup-self" { capabilities = ["read"] }');
    const denied = open(vault, { vaultToken: weak });
    expect(await refusal(denied.sign(key, DATA))).toMatchObject({ code: 'ERR_KMS_DENIED', retryable: false });
    expect(await denied.health()).toMatchObject({ ok: true });
    await denied.close();
  });

  it('a token file is read again when its token is refused', async () => {
    const tokenFile = join(folder, 'token');
    const [first, second] = [await signer(vault, { ttl: '1h' }), await signer(vault, { ttl: '2h' })];
    writeFileSync(tokenFile, `${first}\n`);
    const provider = open(vault, { auth: { tokenFile } });
    await provider.sign(key, DATA);
    await vault.admin('POST', 'auth/token/revoke', { token: first });
    writeFileSync(tokenFile, second);
    await provider.sign(key, DATA);
    await vault.admin('POST', 'auth/token/revoke', { token: second });
    expect(await refusal(provider.sign(key, DATA))).toMatchObject({ code: 'ERR_KMS_CREDENTIALS' });
    for (const bad of ['', '  \n', 'two\nlines', 'x'.repeat(10_000)]) {
      writeFileSync(tokenFile, bad);
      expect(await refusal(provider.sign(key, DATA))).toMatchObject({ code: 'ERR_KMS_CREDENTIALS' });
    }
    rmSync(tokenFile);
    expect(await refusal(provider.sign(key, DATA))).toMatchObject({ code: 'ERR_KMS_CREDENTIALS' });
    await provider.close();
  });

  it('close() revokes the token of a login, and leaves a given one', async () => {
    const auth = await appRole(vault, 'closed', { token_ttl: '1h' });
    const before = await leasesOf(vault);
    const provider = open(vault, { auth });
    await provider.sign(key, DATA);
    expect(await leasesOf(vault)).toHaveLength(before.length + 1);
    const revoked = counted(vault, '/revoke-self');
    await provider.close();
    expect(counted(vault, '/revoke-self')).toBe(revoked + 1);
    expect(await leasesOf(vault)).toEqual(before);

    const vaultToken = await signer(vault, { ttl: '1h' });
    const given = open(vault, { vaultToken });
    await given.sign(key, DATA);
    await given.close();
    expect(counted(vault, '/revoke-self')).toBe(revoked + 1);
    expect((await vault.admin('GET', 'auth/token/lookup-self', undefined, vaultToken)).status).toBe(200);
  });

  it('logs in with the token of a Kubernetes service account, read anew each time', async () => {
    const cluster = await startTokenReview();
    const mount = `${vault.prefix}-kubernetes`;
    await vault.admin('POST', `sys/auth/${mount}`, { type: 'kubernetes' });
    // Where the cluster is differs from run to run, so this is not recorded.
    await vault.outside('POST', `auth/${mount}/config`, {
      kubernetes_host: cluster.url,
      kubernetes_ca_cert: makeCertificates().ca,
      disable_local_ca_jwt: true,
    });
    await vault.admin('POST', `auth/${mount}/role/signing`, {
      bound_service_account_names: ['signing'],
      bound_service_account_namespaces: ['default'],
      token_policies: [`${vault.prefix}-signing`],
      token_ttl: '1h',
    });
    const jwtFile = join(folder, 'jwt');
    writeFileSync(jwtFile, cluster.jwt);
    const provider = open(vault, { auth: { kubernetes: { role: 'signing', mount, jwtFile } } });
    await provider.sign(key, DATA);
    expect(await provider.health()).toMatchObject({ ok: true });
    await provider.close();
    const other = open(vault, { auth: { kubernetes: { role: 'no-such-role', mount, jwtFile } } });
    expect(await refusal(other.sign(key, DATA))).toMatchObject({ code: 'ERR_KMS_CREDENTIALS' });
    await other.close();
    await cluster.stop();
  });
});

function open(vault: TestVault, over: Partial<VaultProviderOptions>): KmsProvider {
  return providerOn(vault, { retries: 0, ...over });
}

function signingPolicy(vault: TestVault): string {
  return `
    path "${mountOf(vault, TENANT)}/keys/+" { capabilities = ["read"] }
    path "${mountOf(vault, TENANT)}/sign/+" { capabilities = ["update"] }
    path "auth/token/lookup-self" { capabilities = ["read"] }
    path "auth/token/renew-self" { capabilities = ["update"] }
    path "auth/token/revoke-self" { capabilities = ["update"] }`;
}

/** A token that may sign. */
async function signer(vault: TestVault, over: Readonly<Record<string, unknown>>): Promise<string> {
  return await tokenWith(vault, 'signer', signingPolicy(vault), over);
}

async function appRole(vault: TestVault, role: string, over: Readonly<Record<string, unknown>>): Promise<VaultAuth> {
  const mount = `${vault.prefix}-approle`;
  const path = `auth/${mount}/role/${role}`;
  await vault.admin('POST', path, {
    token_policies: [`${vault.prefix}-signing`],
    token_no_default_policy: true,
    ...over,
  });
  const { data: ids } = await vault.admin('GET', `${path}/role-id`);
  const { data: secrets } = await vault.admin('POST', `${path}/secret-id`, {});
  return { appRole: { mount, roleId: ids.role_id as string, secretId: secrets.secret_id as string } };
}

/** Leases of the tokens that AppRole gave and that live. */
async function leasesOf(vault: TestVault): Promise<readonly string[]> {
  const { data } = await vault.admin('GET', `sys/leases/lookup/auth/${vault.prefix}-approle/login?list=true`);
  return (data.keys as readonly string[] | undefined) ?? [];
}

function counted(vault: TestVault, ending: string): number {
  return vault.requests().filter((request) => request.endsWith(ending)).length;
}

/** What a request is about: the login, the signature … */
function kindOf(request: string): string {
  return /\/(login|sign|lookup-self|renew-self|keys)(?:\/|$)/.exec(request)?.[1] ?? request;
}
