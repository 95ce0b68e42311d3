import { createHash, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { type PrivateJwk, SIGN_ALGS, type SignAlg, signJws } from '@keywright/kms';
import { describeOnVault } from '@keywright/testkit/vault';
import { compactVerify, importJWK } from 'jose';
import { expect, it } from 'vitest';
import { mountOf, nameOf, providerOn, publicKeyAt, recorded, refusal } from './support.ts';

const DATA = Buffer.from('the data');
const input = (label: string, alg?: SignAlg) => ({ tenantId: 'acme', keyId: 'k1', name: nameOf(label), alg });

describeOnVault('keys in Transit', recorded('keys'), (vault) => {
  it.each(SIGN_ALGS)('%s: a JWS verifies by jose with the key that Vault itself shows', async (alg) => {
    const provider = providerOn(vault);
    const key = await provider.createKey(input(`jws ${alg}`, alg));
    const publicKey = await importJWK({ ...(await publicKeyAt(vault, key)) }, alg);
    const jws = await signJws(provider, key, DATA, {});
    const { payload, protectedHeader } = await compactVerify(jws, publicKey);
    expect(Buffer.from(payload).toString()).toBe('the data');
    expect(protectedHeader.alg).toBe(alg);
    await provider.close();
  });

  it('keys cannot be exported or backed up in the clear', async () => {
    const provider = providerOn(vault);
    const { externalId } = await provider.createKey(input('custody'));
    const path = `${mountOf(vault, 'acme')}`;
    const { data } = await vault.admin('GET', `${path}/keys/${externalId}`);
    expect(data).toMatchObject({ exportable: false, allow_plaintext_backup: false, deletion_allowed: false });
    expect((await vault.admin('GET', `${path}/export/signing-key/${externalId}`)).status).toBe(400);
    expect((await vault.admin('GET', `${path}/backup/${externalId}`)).status).toBeGreaterThanOrEqual(400);
    await provider.close();
  });

  it('never takes a key over that is there already, of the same type or another', async () => {
    const provider = providerOn(vault);
    const key = await provider.createKey(input('taken'));
    for (const alg of ['ES256', 'EdDSA'] as const) {
      const again = await refusal(provider.createKey(input('taken', alg)));
      expect(again).toMatchObject({ code: 'ERR_KMS_KEY_EXISTS', retryable: false });
    }
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const privateJwk = privateKey.export({ format: 'jwk' }) as PrivateJwk;
    const imported = provider.importKey({ ...input('taken'), privateJwk });
    expect(await refusal(imported)).toMatchObject({ code: 'ERR_KMS_KEY_EXISTS' });
    expect(await publicKeyAt(vault, key)).toMatchObject({ ...key.publicJwk });
    await provider.close();
  });

  it('a key that was deleted behind our back is not found, by a provider that knew it', async () => {
    const provider = providerOn(vault);
    const key = await provider.createKey(input('behind'));
    await provider.sign(key, DATA);
    const path = `${mountOf(vault, 'acme')}/keys/${key.externalId}`;
    await vault.admin('POST', `${path}/config`, { deletion_allowed: true });
    await vault.admin('DELETE', path);
    expect(await refusal(provider.sign(key, DATA))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND', retryable: false });
    await provider.deleteKey(key);
    await provider.close();
  });

  it('where a mount was taken away no key is found, and none is deleted before there is a mount again', async () => {
    const provider = providerOn(vault);
    const key = await provider.createKey({ ...input('unmounted'), tenantId: 'unmounted' });
    const mount = `sys/mounts/${mountOf(vault, 'unmounted')}`;
    await vault.admin('DELETE', mount);
    expect(await refusal(provider.sign(key, DATA))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
    // Another address, namespace or prefix would look the same, and the key be where it was.
    expect(await refusal(provider.deleteKey(key))).toMatchObject({
      code: 'ERR_KMS_INVALID_RESPONSE',
      retryable: false,
      context: { status: 404, expected: 'the mount of the key' },
    });
    // What was never seen may have failed before there was a mount.
    await provider.deleteKey({ ...key, externalVersion: null });
    await vault.admin('POST', mount, { type: 'transit' });
    await provider.deleteKey(key);
    await provider.close();
  });

  it('signs with the version that it was made in, whatever became of the key since', async () => {
    const provider = providerOn(vault);
    const key = await provider.createKey(input('pinned'));
    const path = `${mountOf(vault, 'acme')}/keys/${key.externalId}`;
    await vault.admin('POST', `${path}/rotate`, {});
    const publicKey = createPublicKey({ format: 'jwk', key: { ...key.publicJwk } });
    const signature = await provider.sign(key, DATA);
    expect(verify('sha256', DATA, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true);
    const second = { ...key, externalVersion: '2' };
    const other = await provider.getPublicKey(second);
    expect(other).not.toEqual(key.publicJwk);
    expect(await refusal(provider.sign({ ...key, externalVersion: '9' }, DATA))).toMatchObject({
      code: 'ERR_KMS_KEY_NOT_FOUND',
      retryable: false,
    });
    expect(await refusal(provider.getPublicKey({ ...key, externalVersion: '9' }))).toMatchObject({
      code: 'ERR_KMS_KEY_NOT_FOUND',
    });
    await vault.admin('POST', `${path}/config`, { min_encryption_version: 2 });
    expect(await refusal(provider.sign(key, DATA))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_USABLE', retryable: false });
    expect(await refusal(provider.sign({ ...key, externalVersion: '0' }, DATA))).toMatchObject({
      code: 'ERR_KMS_INVALID_ARGUMENT',
    });
    await provider.close();
  });

  it('a key of another type does not sign, also where its signature would be as long', async () => {
    const provider = providerOn(vault);
    const key = await provider.createKey(input('ed25519', 'EdDSA'));
    const other = { ...key, alg: 'ES256' } as const;
    expect(await refusal(provider.sign(other, DATA))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_USABLE' });
    const mount = mountOf(vault, 'acme');
    await vault.admin('POST', `${mount}/keys/${nameOf('aes')}`, { type: 'aes256-gcm96' });
    const aes = { ...other, externalId: nameOf('aes') };
    expect(await refusal(provider.sign(aes, DATA))).toMatchObject({ code: 'ERR_KMS_KEY_NOT_USABLE' });
    await provider.close();
  });

  it('lists what is its own in the mount, in pages that go on where the one before ended', async () => {
    const provider = providerOn(vault);
    const tenantId = 'lists';
    const names = Array.from({ length: 7 }, (_, index) => nameOf(`list ${index}`)).sort();
    for (const [index, name] of names.entries()) await provider.createKey({ tenantId, keyId: `k${index}`, name });
    const mount = mountOf(vault, tenantId);
    // An import leaves a folder in Transit's own list, and other programs leave keys.
    await vault.admin('GET', `${mount}/wrapping_key`);
    for (const other of ['zzz', '0-other', `${names[3]}-copy`]) {
      await vault.admin('POST', `${mount}/keys/${other}`, { type: 'ed25519' });
    }
    for (const limit of [1, 2, 3, 7, 100]) {
      const listed: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await provider.listKeys({ tenantId, limit, cursor });
        expect(page.keys.length).toBeLessThanOrEqual(limit);
        for (const key of page.keys) expect(key).toEqual({ externalId: key.name, name: key.name, tenantId });
        listed.push(...page.keys.map(({ externalId }) => externalId));
        cursor = page.cursor;
      } while (cursor !== undefined);
      expect(listed).toEqual(names);
    }
    expect(await refusal(provider.listKeys())).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    expect(await refusal(provider.listKeys({ tenantId, cursor: '../x' }))).toMatchObject({
      code: 'ERR_KMS_INVALID_ARGUMENT',
    });
    await provider.close();
  });

  it('Ed25519 signs no data at all', async () => {
    const provider = providerOn(vault);
    const key = await provider.createKey(input('empty', 'EdDSA'));
    const publicKey = createPublicKey({ format: 'jwk', key: { ...key.publicJwk } });
    expect(verify(null, Buffer.alloc(0), publicKey, await provider.sign(key, new Uint8Array(0)))).toBe(true);
    await provider.close();
  });

  it('does not send the data where their hash will do', async () => {
    const provider = providerOn(vault);
    const key = await provider.createKey(input('hash', 'ES384'));
    const secret = Buffer.from(createHash('sha256').update('not to be sent').digest('hex').repeat(1_000));
    const signature = await provider.sign(key, secret);
    const publicKey = createPublicKey({ format: 'jwk', key: { ...key.publicJwk } });
    expect(verify('sha384', secret, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true);
    await provider.close();
  });
});
