import { describeOnVault } from '@keywright/testkit/vault';
import { expect, it } from 'vitest';
import { nameOf, providerOn, recorded, refusal } from './support.ts';

const UNSEAL_KEY = 'KEYWRIGHT_TEST_VAULT_UNSEAL_KEY';

// Sealing stops whatever else the server does: it is recorded alone.
describeOnVault('a sealed Vault', recorded('sealed', UNSEAL_KEY), (vault) => {
  it('is not healthy and answers nothing for a while, and goes on where it was', async () => {
    const provider = providerOn(vault, { retries: 0 });
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1', name: nameOf('sealed') });
    await provider.sign(key, Buffer.from('before'));
    await vault.outside('POST', 'sys/seal');
    const unavailable = { code: 'ERR_KMS_UNAVAILABLE', retryable: true, context: { status: 503 } };
    expect(await refusal(provider.sign(key, Buffer.from('while')))).toMatchObject(unavailable);
    expect(await provider.health()).toMatchObject({ ok: false, code: 'ERR_KMS_UNAVAILABLE' });
    await vault.outside('POST', 'sys/unseal', { key: process.env[UNSEAL_KEY] });
    await expect.poll(() => provider.health().then(({ ok }) => ok), { timeout: 10_000 }).toBe(true);
    await provider.sign(key, Buffer.from('after'));
    await provider.close();
  });
});
