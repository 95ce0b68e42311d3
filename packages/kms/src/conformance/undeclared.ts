import { expect } from 'vitest';
import { SIGN_ALGS } from '../algorithms.ts';
import type { KmsCapabilities } from '../capabilities.ts';
import type { KmsKeyRef } from '../provider.ts';
import { bytes, expectRefusal, type Theme } from './harness.ts';
import { sampleKey } from './sample-keys.ts';

/** What a provider does not declare it refuses; what is not tested for that reason is named. */
export const undeclared: Theme = ({ capabilities }) => [
  {
    title: `declares what it can do, and refuses the rest: ${listed(capabilities).join(', ') || 'nothing, it can do all'}`,
    async run(subject) {
      const { provider } = subject;
      await provider.health();
      const wrappingKey = { externalId: 'conformance' };
      const refused = (call: Promise<unknown>): Promise<unknown> => expectRefusal(call, 'ERR_KMS_UNSUPPORTED');
      expect({ ...provider.capabilities }).toEqual(capabilities);
      expect(capabilities.algs[capabilities.defaultAlg]).toBeDefined();
      for (const alg of SIGN_ALGS) {
        const input = { ...subject.input(`undeclared ${alg}`), alg };
        const declared = capabilities.algs[alg];
        if (!declared?.create) await refused(provider.createKey(input));
        if (!declared?.import) await refused(provider.importKey({ ...input, privateJwk: sampleKey(alg) }));
        if (declared === undefined) await refused(provider.sign(refOf(provider.id, alg), bytes(8)));
      }
      const ref = refOf(provider.id, capabilities.defaultAlg);
      if (capabilities.deleteKey === 'never') await refused(provider.deleteKey(ref));
      if (!capabilities.listKeys) await refused(provider.listKeys());
      if (!capabilities.exportKey) await refused(provider.exportKey(ref));
      if (!capabilities.wrapKey) {
        await refused(provider.createWrappingKey());
        await refused(provider.wrapKey(wrappingKey, bytes(32), { purpose: 'conformance' }));
        await refused(provider.unwrapKey(wrappingKey, bytes(60), { purpose: 'conformance' }));
      }
    },
  },
];

/** What is not declared, in words. */
function listed({ algs, deleteKey, listKeys, exportKey, wrapKey }: KmsCapabilities): readonly string[] {
  return [
    ...SIGN_ALGS.filter((alg) => algs[alg] === undefined),
    ...SIGN_ALGS.filter((alg) => algs[alg]?.create === false).map((alg) => `making ${alg}`),
    ...SIGN_ALGS.filter((alg) => algs[alg]?.import === false).map((alg) => `importing ${alg}`),
    ...(deleteKey === 'never' ? ['deleting'] : []),
    ...(listKeys ? [] : ['listing']),
    ...(exportKey ? [] : ['exporting']),
    ...(wrapKey ? [] : ['wrapping']),
  ];
}

function refOf(providerId: string, alg: KmsKeyRef['alg']): KmsKeyRef {
  const externalId = '0'.repeat(32);
  return { tenantId: 'conformance-a', keyId: 'k1', providerId, externalId, externalVersion: null, alg };
}
