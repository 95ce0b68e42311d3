import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { type PrivateJwk, type SignAlg, verifySignature } from '@keywright/kms';
import { nameOf as labelled } from '@keywright/kms/conformance';
import { describeOnVault } from '@keywright/testkit/vault';
import { beforeAll, expect, it } from 'vitest';
import { IMPORTED, RSA_2048 } from './import-keys.ts';
import { mountOf, providerOn, publicKeyAt, recorded, refusal, withWrappingKeyOf } from './support.ts';

const DATA = Buffer.from('signed by a key that came from elsewhere');

describeOnVault('keys that Transit takes over', recorded('import'), (vault) => {
  beforeAll(() => withWrappingKeyOf(vault, 'acme'), 60_000);

  it.each(Object.entries(IMPORTED))('%s: signs as the key did where it came from', async (alg, privateJwk) => {
    const provider = providerOn(vault);
    const input = { tenantId: 'acme', keyId: 'k1', name: labelled(`import ${alg}`), alg: alg as SignAlg, privateJwk };
    const key = await provider.importKey(input);
    const { d: _private, ...publicJwk } = privateJwk;
    expect({ ...key.publicJwk }).toEqual(publicJwk);
    expect(await publicKeyAt(vault, key)).toMatchObject(publicJwk);
    expect(verifySignature(key.alg, key.publicJwk, DATA, await provider.sign(key, DATA))).toBe(true);
    const { data } = await vault.admin('GET', `${mountOf(vault, 'acme')}/keys/${key.externalId}`);
    expect(data).toMatchObject({
      imported_key: true,
      exportable: false,
      allow_plaintext_backup: false,
      imported_key_allow_rotation: false,
    });
    await provider.close();
  });

  it('an RSA key of 2048 bits is one for every RSA algorithm', async () => {
    const provider = providerOn(vault);
    const name = labelled('import RSA 2048');
    const key = await provider.importKey({ tenantId: 'acme', keyId: 'k2', name, alg: 'PS256', privateJwk: RSA_2048 });
    for (const alg of ['PS256', 'RS512'] as const) {
      const signature = await provider.sign({ ...key, alg }, DATA);
      expect(verifySignature(alg, key.publicJwk, DATA, signature)).toBe(true);
    }
    await provider.close();
  });

  it('an RSA key of a length that Transit does not have is refused, by its length', async () => {
    const provider = providerOn(vault);
    const { privateKey }: { privateKey: KeyObject } = generateKeyPairSync('rsa', { modulusLength: 2_560 });
    const privateJwk = privateKey.export({ format: 'jwk' }) as PrivateJwk;
    const error = await refusal(provider.importKey({ tenantId: 'acme', keyId: 'k3', alg: 'RS256', privateJwk }));
    expect(error).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT', context: { received: '2560 bits' } });
    await provider.close();
  });

  it('a name that is taken keeps the key that has it', async () => {
    const provider = providerOn(vault);
    const name = labelled('import taken');
    const made = await provider.createKey({ tenantId: 'acme', keyId: 'k4', name });
    const privateJwk = IMPORTED.ES256 as PrivateJwk;
    const error = await refusal(provider.importKey({ tenantId: 'acme', keyId: 'k4', name, privateJwk, alg: 'ES256' }));
    expect(error).toMatchObject({ code: 'ERR_KMS_KEY_EXISTS' });
    const publicKey = createPublicKey({ format: 'jwk', key: await publicKeyAt(vault, made) });
    const signature = await provider.sign(made, DATA);
    expect(verify('sha256', DATA, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true);
    await provider.close();
  });
});
