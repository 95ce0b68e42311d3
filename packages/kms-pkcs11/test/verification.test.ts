import { execFileSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rawToDer, type SignAlg, signJws } from '@keywright/kms';
import { pkcs11Provider } from '@keywright/kms-pkcs11';
import { describeEachToken } from '@keywright/testkit/hsm';
import { compactVerify, importJWK } from 'jose';
import { expect, it, onTestFinished } from 'vitest';
import { BareToken, optionsOn } from './harness.ts';

const DATA = Buffer.from('{"verified":"by others"}');
const ALGS: readonly SignAlg[] = ['ES256', 'ES384', 'ES512', 'EdDSA', 'RS384', 'PS256'];
const PSS = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest'];

describeEachToken('signatures', (token, name) => {
  it.each(name === 'NSS' ? ALGS.filter((alg) => alg !== 'EdDSA') : ALGS)(
    'with %s are verified by the openssl program and by jose, with the key that pkcs11js reads',
    { timeout: 30_000 },
    async (alg) => {
      const provider = pkcs11Provider(optionsOn(token()));
      onTestFinished(() => provider.close());
      const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1', alg });
      const publicJwk = new BareToken(token()).publicKey(key);
      expect(publicJwk).toEqual(key.publicJwk);
      const signature = await provider.sign(key, DATA);
      expect(opensslVerifies(alg, publicJwk, signature)).toContain('Verified OK');
      const jws = await signJws(provider, key, DATA);
      const { payload, protectedHeader } = await compactVerify(jws, await importJWK({ ...publicJwk } as never, alg));
      expect(Buffer.from(payload).equals(DATA)).toBe(true);
      expect(protectedHeader.alg).toBe(alg);
    },
  );
});

function opensslVerifies(alg: SignAlg, jwk: object, signature: Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), 'keywright-openssl-'));
  try {
    const [data, pem, sig] = ['data', 'key.pem', 'signature'].map((file) => join(folder, file)) as [
      string,
      string,
      string,
    ];
    const key = createPublicKey({ format: 'jwk', key: jwk as never });
    writeFileSync(data, DATA);
    writeFileSync(pem, key.export({ format: 'pem', type: 'spki' }));
    writeFileSync(sig, alg.startsWith('ES') ? rawToDer(alg as 'ES256', signature) : signature);
    const run = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8' });
    if (alg === 'EdDSA') {
      const args = ['-verify', '-pubin', '-inkey', pem, '-rawin', '-in', data, '-sigfile', sig];
      return run('pkeyutl', ...args).replace('Signature Verified Successfully', 'Verified OK');
    }
    const padding = alg.startsWith('PS') ? PSS : [];
    return run('dgst', `-sha${alg.slice(2)}`, '-verify', pem, ...padding, '-signature', sig, data);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
