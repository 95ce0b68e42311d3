import { type PrivateJwk, verifySignature } from '@keywright/kms';
import { describeOnVault, type TestVault } from '@keywright/testkit/vault';
import { expect, it } from 'vitest';
import { IMPORTED } from './import-keys.ts';
import { mountOf, nameOf, policyOf, providerOn, recorded, refusal, tokenWith, withWrappingKeyOf } from './support.ts';

const DATA = Buffer.from('signed in a mount that was new');
const SAMPLE = IMPORTED.ES256 as PrivateJwk;

/** Mounts of the suite, and keys in one of them, as an administrator sees them. */
async function mountsOf(vault: TestVault): Promise<readonly string[]> {
  const { data } = await vault.admin('GET', 'sys/mounts');
  return Object.keys(data).filter((path) => path.startsWith(vault.prefix));
}

async function keysIn(vault: TestVault, mount: string): Promise<readonly string[]> {
  const { data } = await vault.admin('GET', `${mount}/keys?list=true`);
  return data.keys as readonly string[];
}

describeOnVault('mounts of tenants', recorded('mounts'), (vault) => {
  it('20 first uses at once of a new tenant make one mount and 20 keys', async () => {
    const before = await mountsOf(vault);
    const provider = providerOn(vault);
    const tenantId = 'race in a process';
    const keys = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        provider.createKey({ tenantId, keyId: `k${index}`, name: nameOf(`race ${index}`) }),
      ),
    );
    const mount = mountOf(vault, tenantId);
    expect((await mountsOf(vault)).filter((path) => !before.includes(path))).toEqual([`${mount}/`]);
    expect([...(await keysIn(vault, mount))].sort()).toEqual(keys.map(({ externalId }) => externalId).sort());
    // One process asks once.
    expect(vault.requests().filter((request) => request === `POST /v1/sys/mounts/${mount}`)).toHaveLength(1);
    expect(new Set(keys.map(({ publicJwk }) => JSON.stringify(publicJwk))).size).toBe(20);
    for (const key of keys) {
      expect(verifySignature('ES256', key.publicJwk, DATA, await provider.sign(key, DATA))).toBe(true);
    }
    await provider.close();
  });

  it('20 first uses at once from 20 providers make one mount and 20 keys', async () => {
    const before = await mountsOf(vault);
    const tenantId = 'race of processes';
    // Each has connections, session and memory of its own, as a process would.
    const providers = Array.from({ length: 20 }, () => providerOn(vault));
    const keys = await Promise.all(
      providers.map((provider, index) =>
        provider.createKey({ tenantId, keyId: `k${index}`, name: nameOf(`processes ${index}`) }),
      ),
    );
    const mount = mountOf(vault, tenantId);
    expect((await mountsOf(vault)).filter((path) => !before.includes(path))).toEqual([`${mount}/`]);
    expect([...(await keysIn(vault, mount))].sort()).toEqual(keys.map(({ externalId }) => externalId).sort());
    await Promise.all(providers.map((provider) => provider.close()));
  });

  it('a token with the policy of the README and no right to mounts works where the mount exists', async () => {
    const tenantId = 'least privilege';
    await withWrappingKeyOf(vault, tenantId);
    const vaultToken = await tokenWith(vault, 'least', policyOf(vault, 'signing'), { renewable: true });
    const provider = providerOn(vault, { vaultToken });
    const key = await provider.createKey({ tenantId, keyId: 'k1', name: nameOf('least') });
    expect(verifySignature('ES256', key.publicJwk, DATA, await provider.sign(key, DATA))).toBe(true);
    const name = nameOf('least import');
    const imported = await provider.importKey({ tenantId, keyId: 'k2', name, privateJwk: SAMPLE, alg: 'ES256' });
    expect(verifySignature('ES256', imported.publicJwk, DATA, await provider.sign(imported, DATA))).toBe(true);
    const { keys } = await provider.listKeys({ tenantId });
    expect(keys.map(({ externalId }) => externalId)).toEqual([key.externalId, imported.externalId].sort());
    expect(await provider.health()).toMatchObject({ ok: true });
    await provider.deleteKey(key);
    expect(await refusal(provider.sign(key, DATA))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
    await provider.close();
  });

  it('a token with the policy of the README for mounts makes them', async () => {
    const vaultToken = await tokenWith(vault, 'mounting', policyOf(vault, 'signing', 'mounts'));
    const provider = providerOn(vault, { vaultToken });
    const key = await provider.createKey({ tenantId: 'mounting', keyId: 'k1', name: nameOf('mounting') });
    expect(verifySignature('ES256', key.publicJwk, DATA, await provider.sign(key, DATA))).toBe(true);
    await provider.close();
  });

  it('a token without that right is denied a first use, by the name of the operation, and nothing is mounted', async () => {
    const before = await mountsOf(vault);
    const vaultToken = await tokenWith(vault, 'no-mounts', policyOf(vault, 'signing'));
    const provider = providerOn(vault, { vaultToken });
    const created = provider.createKey({ tenantId: 'denied', keyId: 'k1', name: nameOf('denied') });
    expect(await refusal(created)).toMatchObject({
      code: 'ERR_KMS_DENIED',
      retryable: false,
      context: { operation: 'mount', status: 403, provider: 'vault', keyId: 'k1' },
    });
    expect(await mountsOf(vault)).toEqual(before);
    await provider.close();
  });

  it('only what makes a key makes a mount', async () => {
    const before = await mountsOf(vault);
    const provider = providerOn(vault);
    const tenantId = 'never used';
    const key = { tenantId, keyId: 'k1', providerId: 'vault', externalId: nameOf('no'), externalVersion: '1' } as const;
    const ref = { ...key, alg: 'ES256' } as const;
    expect(await refusal(provider.sign(ref, DATA))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
    expect(await refusal(provider.getPublicKey(ref))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
    await provider.deleteKey({ ...ref, externalVersion: null });
    expect(await provider.listKeys({ tenantId })).toEqual({ keys: [], cursor: undefined });
    expect(await mountsOf(vault)).toEqual(before);
    await provider.close();
  });

  it('text of a tenant is in no path, name, description or body', async () => {
    const provider = providerOn(vault);
    const tenantId = '../../sys/policies/acl/Ünïcode "tenant"\u2028`~';
    const key = await provider.createKey({ tenantId, keyId: 'k1', name: nameOf('hostile') });
    expect(key.externalId).toBe(nameOf('hostile'));
    const { data } = await vault.admin('GET', `sys/mounts/${mountOf(vault, tenantId)}`);
    expect(data.type).toBe('transit');
    expect(JSON.stringify(data)).not.toContain('tenant');
    await provider.close();
  });

  it('keeps to its namespace', async () => {
    const before = await mountsOf(vault);
    const namespace = `${vault.prefix}-namespace`;
    await vault.admin('POST', `sys/namespaces/${namespace}`, {});
    const provider = providerOn(vault, { namespace });
    const key = await provider.createKey({ tenantId: 'namespace', keyId: 'k1', name: nameOf('namespace') });
    expect(verifySignature('ES256', key.publicJwk, DATA, await provider.sign(key, DATA))).toBe(true);
    expect(await mountsOf(vault)).toEqual(before);
    const outside = providerOn(vault);
    expect(await refusal(outside.sign(key, DATA))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
    expect(await provider.health()).toMatchObject({ ok: true });
    const missing = providerOn(vault, { namespace: `${namespace}-missing`, retries: 0 });
    for (const call of [
      () => missing.sign(key, DATA),
      () => missing.deleteKey(key),
      () => missing.deleteKey({ ...key, externalVersion: null }),
      () => missing.listKeys({ tenantId: 'namespace' }),
      () => missing.createKey({ tenantId: 'namespace', keyId: 'k2', name: nameOf('missing namespace') }),
    ]) {
      expect(await refusal(call())).toMatchObject({ code: 'ERR_KMS_INVALID_RESPONSE' });
    }
    await Promise.all([provider.close(), outside.close(), missing.close()]);
  });

  it('refuses a mount that cannot be made, whatever it is called', async () => {
    // Something else is mounted above: Vault says that the path is in use, and there is still no engine.
    await vault.admin('POST', `sys/mounts/${vault.prefix}-above`, { type: 'kv' });
    const provider = providerOn(vault, { mountPrefix: `${vault.prefix}-above`, retries: 0 });
    const created = provider.createKey({ tenantId: 'acme', keyId: 'k1', name: nameOf('above') });
    expect(await refusal(created)).toMatchObject({ code: expect.stringMatching(/^ERR_KMS_/), retryable: false });
    await provider.close();
  });
});

describeOnVault('one mount for all tenants', recorded('shared'), (vault) => {
  it('keeps tenants apart by the names of keys, and makes the mount once', async () => {
    const mount = `${vault.prefix}-transit`;
    const provider = providerOn(vault, { mount, mountPrefix: undefined });
    const input = (tenantId: string, keyId: string) => ({ tenantId, keyId, name: nameOf(`${tenantId}/${keyId}`) });
    const a = await provider.createKey(input('a', 'k1'));
    const b = await provider.createKey(input('b', 'k1'));
    await provider.createKey(input('b', 'k2'));
    await vault.admin('POST', `${mount}/keys/somebody-elses`, { type: 'ed25519' });
    const moved = { ...a, tenantId: 'b' };
    expect(await refusal(provider.sign(moved, DATA))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
    expect(await refusal(provider.getPublicKey(moved))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
    await provider.deleteKey(moved);
    for (const key of [a, b]) {
      expect(verifySignature('ES256', key.publicJwk, DATA, await provider.sign(key, DATA))).toBe(true);
    }
    const listed = async (tenantId: string) =>
      (await provider.listKeys({ tenantId, limit: 2 })).keys.map(({ externalId }) => externalId);
    expect(await listed('a')).toEqual([a.externalId]);
    expect(await listed('b')).toEqual([b.externalId, nameOf('b/k2')].sort());
    expect(await listed('c')).toEqual([]);
    const { data } = await vault.admin('GET', 'sys/mounts');
    expect(Object.keys(data).filter((path) => path.startsWith(vault.prefix))).toEqual([`${mount}/`]);
    await provider.close();
  });
});
