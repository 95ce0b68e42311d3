import { createPublicKey } from 'node:crypto';
import { expect } from 'vitest';
import { SIGN_ALGS, type SignAlg } from '../algorithms.ts';
import type { PrivateJwk } from '../jwk.ts';
import { byKey, bytes, type Check, expectRefusal, type Theme } from './harness.ts';
import { sampleKey } from './sample-keys.ts';
import { privateForms, shown } from './search.ts';
import { expectSignature } from './verification.ts';

/** Key pairs are taken over as they are, and only whole ones; and let go only where that is declared. */
export const imports: Theme = (harness) => {
  const { capabilities } = harness;
  const importable = SIGN_ALGS.filter((alg) => capabilities.algs[alg]?.import);
  const takenOver = byKey(importable, harness).map(
    (algs): Check => ({
      title: `${algs.join(', ')}: takes over a key pair and signs as it did`,
      async run(subject) {
        const { provider } = subject;
        const alg = algs[0] as SignAlg;
        const privateJwk = sampleKey(alg);
        const key = await provider.importKey({ ...subject.input(`imports ${alg}`), alg, privateJwk });
        const jwk = createPublicKey({ format: 'jwk', key: { ...privateJwk } }).export({ format: 'jwk' });
        expect({ ...key.publicJwk }).toEqual(jwk);
        expect(key).toMatchObject({ keyId: 'k1', providerId: provider.id, alg });
        const { publicJwk, ...ref } = key;
        expect((await subject.setup.backendPublicKey?.(ref)) ?? publicJwk).toMatchObject(jwk);
        for (const each of algs) {
          await expectSignature(each, jwk, bytes(77), await provider.sign({ ...ref, alg: each }, bytes(77)));
        }
      },
    }),
  );
  const refusals = importable.map(
    (alg): Check => ({
      title: `${alg}: refuses a private key that is not whole, not its own or of another algorithm, without showing it`,
      async run(subject) {
        for (const privateJwk of refused(alg)) {
          const input = { ...subject.input(`refuses ${alg}`), alg, privateJwk };
          const error = await expectRefusal(subject.provider.importKey(input), 'ERR_KMS_INVALID_ARGUMENT');
          for (const form of privateForms(sampleKey(alg))) expect(shown(error).includes(form)).toBe(false);
        }
      },
    }),
  );
  const checks = [...takenOver, ...refusals];
  if (!capabilities.exportKey) return checks;
  return [
    ...checks,
    {
      title: 'lets go of a private key that signs as the provider does',
      async run(subject) {
        const key = await subject.key('exports');
        const privateJwk = await subject.provider.exportKey(key);
        const jwk = createPublicKey({ format: 'jwk', key: { ...privateJwk } }).export({ format: 'jwk' });
        expect(jwk).toEqual({ ...key.publicJwk });
        expect(privateJwk.d).toMatch(/^[\w-]{40,}$/);
      },
    },
  ];
};

/** Private keys that are no key for `alg`. */
function refused(alg: SignAlg): readonly PrivateJwk[] {
  const jwk = sampleKey(alg);
  const { d, ...publicOnly } = jwk;
  const other = sampleKey(alg === 'ES384' ? 'ES256' : 'ES384');
  const foreign = { ...jwk, ...(jwk.kty === 'RSA' ? { n: changed(jwk.n) } : { x: changed(jwk.x) }) };
  return [other, publicOnly, { ...jwk, d: 'AAAA' }, { ...jwk, kty: 'oct' }, foreign, d, null, [jwk]] as never;
}

/** The same member with another bit, so that the public part belongs to nobody or to another key. */
function changed(member: string): string {
  const value = Buffer.from(member, 'base64url');
  value[value.length - 1] = (value.at(-1) ?? 0) ^ 2;
  return value.toString('base64url');
}
