import { EnvelopeError } from '@keywright/envelope';
import { describeOnVault, type TestVault } from '@keywright/testkit/vault';
import { expect, it } from 'vitest';
import { VaultDriver } from '../../src/providers/vault/driver.ts';
import { checkVaultOptions } from '../../src/providers/vault/options.ts';
import { nameOf, providerOn, recorded, refusal, tokenWith, wrappingPolicyOf } from './support.ts';

const KEY = Buffer.from('0123456789abcdef0123456789abcdef');
const CONTEXT = { purpose: 'secrets.tenant-kek', tenantId: 'acme' };

/** A new wrapping key by a name that is the same in every run, which the provider's own is not. */
async function create(
  vault: TestVault,
  label: string,
): Promise<{ readonly externalId: string; readonly path: string }> {
  const settings = checkVaultOptions({
    id: 'vault',
    vaultUrl: vault.url(),
    vaultToken: vault.token(),
    mountPrefix: vault.prefix,
  });
  const driver = new VaultDriver(settings);
  const call = { signal: AbortSignal.timeout(10_000), deadline: performance.now() + 10_000 };
  const { externalId } = await driver.createWrappingKey({ name: nameOf(label) }, call);
  await driver.close();
  return { externalId, path: externalId.replace('/', '/keys/') };
}

describeOnVault('keys wrapped by Transit', recorded('wrapping'), (vault) => {
  it('makes a wrapping key that cannot leave, in a mount that is no tenant’s', async () => {
    const { externalId, path } = await create(vault, 'made');
    expect(externalId).toBe(`${vault.prefix}-wrapping/wrapping-${nameOf('made')}`);
    const { data } = await vault.admin('GET', path);
    expect(data).toMatchObject({ type: 'aes256-gcm96', exportable: false, derived: false, latest_version: 1 });
    const provider = providerOn(vault);
    const wrapped = await provider.wrapKey({ externalId }, KEY, CONTEXT);
    expect(Buffer.from(wrapped).toString('latin1')).toMatch(/^vault:v1:[A-Za-z0-9+/]+=*$/);
    expect(Buffer.from(await provider.unwrapKey({ externalId }, wrapped, CONTEXT)).equals(KEY)).toBe(true);
    expect(await refusal(create(vault, 'made'))).toMatchObject({ code: 'ERR_KMS_KEY_EXISTS' });
    await provider.close();
  });

  it('wraps nothing with a key that is not there, and Transit makes none', async () => {
    const { externalId } = await create(vault, 'beside');
    const missing = `${externalId}-missing`;
    const provider = providerOn(vault);
    const wrapped = await provider.wrapKey({ externalId }, KEY, CONTEXT);
    expect(await refusal(provider.wrapKey({ externalId: missing }, KEY, CONTEXT))).toMatchObject({
      code: 'ERR_KMS_KEY_NOT_FOUND',
      retryable: false,
    });
    expect((await vault.admin('GET', missing.replace('/', '/keys/'))).status).toBe(404);
    expect(await refusal(provider.unwrapKey({ externalId: missing }, wrapped, CONTEXT))).toMatchObject({
      code: 'ERR_KMS_KEY_NOT_FOUND',
    });
    const nowhere = { externalId: `${vault.prefix}-no-mount/key` };
    expect(await refusal(provider.wrapKey(nowhere, KEY, CONTEXT))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
    await provider.close();
  });

  it('unwraps what older versions of the key wrapped, until those are taken away', async () => {
    const { externalId, path } = await create(vault, 'rotated');
    const provider = providerOn(vault);
    const wrapped = await provider.wrapKey({ externalId }, KEY, CONTEXT);
    await vault.admin('POST', `${path}/rotate`, {});
    const again = await provider.wrapKey({ externalId }, KEY, CONTEXT);
    expect(Buffer.from(again).toString('latin1')).toMatch(/^vault:v2:/);
    expect(Buffer.from(await provider.unwrapKey({ externalId }, wrapped, CONTEXT)).equals(KEY)).toBe(true);
    await vault.admin('POST', `${path}/config`, { min_decryption_version: 2 });
    expect(await refusal(provider.unwrapKey({ externalId }, wrapped, CONTEXT))).toMatchObject({
      code: 'ERR_KMS_KEY_NOT_USABLE',
    });
    await provider.close();
  });

  it('needs no more than to encrypt and to decrypt with the one key', async () => {
    const { externalId } = await create(vault, 'least');
    const self = 'path "auth/token/lookup-self" { capabilities = ["read"] }';
    const vaultToken = await tokenWith(vault, 'wrapping', `${wrappingPolicyOf(externalId)}${self}`);
    const provider = providerOn(vault, { vaultToken });
    const wrapped = await provider.wrapKey({ externalId }, KEY, CONTEXT);
    expect(Buffer.from(await provider.unwrapKey({ externalId }, wrapped, CONTEXT)).equals(KEY)).toBe(true);
    const other = { externalId: `${externalId}-other` };
    expect(await refusal(provider.wrapKey(other, KEY, CONTEXT))).toMatchObject({ code: 'ERR_KMS_DENIED' });
    await provider.close();
  });

  it('another key, another version, another form: one refusal, without a reason', async () => {
    const [{ externalId }, other] = [await create(vault, 'refusing'), await create(vault, 'other')];
    const provider = providerOn(vault);
    const wrapped = Buffer.from(await provider.wrapKey({ externalId }, KEY, CONTEXT)).toString('latin1');
    const [, , text = ''] = wrapped.split(':');
    const forms = ['', 'vault', `vault:v1:`, `vault:v2:${text}`, `vault:v0:${text}`, `vault:v1:${text}!`, text, 'ä'];
    for (const form of [...forms, `vault:v1:${text.slice(4)}`, 'vault:v1:AAAA', `vault:v1:${text}\n`]) {
      if (form === '') continue;
      const error = await refusal(provider.unwrapKey({ externalId }, Buffer.from(form, 'latin1'), CONTEXT));
      expect(error, form).toBeInstanceOf(EnvelopeError);
      expect(error.code, form).toBe('ERR_ENVELOPE_DECRYPT');
    }
    const elsewhere = provider.unwrapKey(other, Buffer.from(wrapped), CONTEXT);
    expect(await refusal(elsewhere)).toMatchObject({ code: 'ERR_ENVELOPE_DECRYPT' });
    await provider.close();
  });

  it('asks Vault nothing for a wrapping key whose id is none', async () => {
    const provider = providerOn(vault);
    const before = vault.requests().length;
    for (const externalId of [
      'key',
      '/key',
      'mount/',
      'a/../b',
      '../sys/seal',
      'a/b c',
      'a/b?x',
      'a//b',
      './a',
      'a/.',
      'a/%2e',
    ]) {
      const error = await refusal(provider.wrapKey({ externalId }, KEY, CONTEXT));
      expect(error, externalId).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
      expect(JSON.stringify(error)).not.toContain(externalId.padEnd(4, '\0'));
    }
    expect(vault.requests().length).toBe(before);
    await provider.close();
  });
});
