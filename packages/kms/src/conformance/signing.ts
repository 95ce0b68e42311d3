import { createPublicKey } from 'node:crypto';
import { expect } from 'vitest';
import { SIGN_ALGS, type SignAlg } from '../algorithms.ts';
import { KmsError } from '../errors.ts';
import { byKey, bytes, type Check, expectRefusal, kindOf, refusal, type Subject, type Theme } from './harness.ts';
import { expectSignature } from './verification.ts';

const MIB = 1024 * 1024;

/** Keys of each algorithm sign, in the form that JOSE has, so that the backend's own public key verifies it. */
export const signing: Theme = (harness) => {
  const { capabilities, maxDataBytes = {} } = harness;
  const creatable = SIGN_ALGS.filter((alg) => capabilities.algs[alg]?.create);
  const perAlg = byKey(creatable, harness).map(
    (algs): Check => ({
      title: `${algs.join(', ')}: makes a key whose signatures verify with the backend's own public key`,
      run: async (subject) => await signs(subject, algs),
    }),
  );
  return [
    ...perAlg,
    {
      title: 'signs 0 bytes and 1 MiB, and leaves the data as they are',
      async run(subject) {
        const alg = capabilities.defaultAlg;
        const key = await subject.key('sizes');
        for (const data of [new Uint8Array(0), bytes(MIB)]) {
          const before = Buffer.from(data);
          const limit = maxDataBytes[alg] ?? MIB;
          if (data.byteLength > limit) {
            await expectRefusal(subject.provider.sign(key, data), 'ERR_KMS_INVALID_ARGUMENT');
          } else {
            await expectSignature(alg, key.publicJwk, data, await subject.provider.sign(key, data));
          }
          expect(before.equals(data)).toBe(true);
        }
      },
    },
    {
      title: 'signs what a view shows of a larger buffer, and nothing around it',
      async run(subject) {
        const key = await subject.key('view');
        const data = bytes(512).subarray(100, 200);
        const signature = await subject.provider.sign(key, data);
        await expectSignature(key.alg, key.publicJwk, Uint8Array.from(data), signature);
      },
    },
    {
      title: 'signs 20 times at once with two keys, each with its own',
      async run(subject) {
        const keys = [await subject.key('many/0'), await subject.key('many/1')] as const;
        const work = Array.from({ length: 20 }, (_, index) => ({
          key: keys[index % 2 === 0 ? 0 : 1],
          data: bytes(index),
        }));
        const signatures = await Promise.all(work.map(({ key, data }) => subject.provider.sign(key, data)));
        for (const [index, { key, data }] of work.entries()) {
          await expectSignature(key.alg, key.publicJwk, data, signatures[index] as Uint8Array);
        }
      },
    },
    ...oneOfEachKind(creatable).flatMap((alg): Check[] => {
      const other = creatable.find((candidate) => kindOf(candidate) !== kindOf(alg));
      if (other === undefined) return [];
      return [
        {
          title: `${alg}: does not sign as ${other}`,
          async run(subject) {
            const key = { ...(await subject.key(`${alg} as ${other}`, alg)), alg: other };
            const error = await refusal(subject.provider.sign(key, bytes(32)));
            expect(error).toBeInstanceOf(KmsError);
            expect(error.retryable).toBe(false);
          },
        },
      ];
    }),
  ];
};

async function signs(subject: Subject, algs: readonly SignAlg[]): Promise<void> {
  const { provider, setup } = subject;
  const alg = algs[0] as SignAlg;
  const label = `signs ${alg}`;
  const [tenantId] = subject.tenants(label);
  const key = await subject.key(label, alg);
  expect(key).toMatchObject({ tenantId, keyId: 'k1', providerId: provider.id, alg });
  expect(key.externalId).not.toBe('');
  expect(Object.keys(key.publicJwk)).not.toContain('d');
  const { asymmetricKeyDetails } = createPublicKey({ format: 'jwk', key: { ...key.publicJwk } });
  if (key.publicJwk.kty === 'RSA') expect(asymmetricKeyDetails?.modulusLength).toBe(3072);
  if (key.publicJwk.kty === 'EC') {
    expect(key.publicJwk.crv).toBe({ ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg as 'ES256']);
  }
  expect(await provider.getPublicKey(key)).toEqual(key.publicJwk);
  // From the record alone, as a host that restarted has it.
  const { publicJwk, ...ref } = JSON.parse(JSON.stringify(key)) as typeof key;
  const own = (await setup.backendPublicKey?.(ref)) ?? publicJwk;
  expect(own).toMatchObject({ ...publicJwk });
  for (const each of algs) {
    for (const data of [bytes(1), Buffer.from(`data for ${each}`)]) {
      await expectSignature(each, own, data, await provider.sign({ ...ref, alg: each }, data));
    }
  }
}

function oneOfEachKind(algs: readonly SignAlg[]): readonly SignAlg[] {
  return [...new Map(algs.map((alg) => [kindOf(alg), alg])).values()];
}
