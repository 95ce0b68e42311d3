import { expect } from 'vitest';
import type { KmsErrorCode } from '../errors.ts';
import { bytes, expectRefusal, type Theme } from './harness.ts';

/** A deleted key is of no more use, and deleting is safe to repeat. */
export const deletion: Theme = ({ capabilities }) => {
  if (capabilities.deleteKey === 'never') return [];
  const gone: readonly KmsErrorCode[] =
    capabilities.deleteKey === 'immediate'
      ? ['ERR_KMS_KEY_NOT_FOUND']
      : ['ERR_KMS_KEY_NOT_FOUND', 'ERR_KMS_KEY_NOT_USABLE'];
  return [
    {
      title: 'a deleted key stops signing, and its public key is not served from memory',
      async run(subject) {
        const key = await subject.key('deleted');
        await subject.provider.sign(key, bytes(8));
        await subject.provider.getPublicKey(key);
        await subject.provider.deleteKey(key);
        const error = await expectRefusal(subject.provider.sign(key, bytes(8)), ...gone);
        expect(error).toMatchObject({ retryable: false, context: { provider: subject.provider.id, keyId: 'k1' } });
        await expectRefusal(subject.provider.getPublicKey(key), ...gone);
      },
    },
    {
      title: 'a key is deleted twice, also at once, without a complaint',
      async run(subject) {
        const key = await subject.key('deleted twice');
        await subject.provider.deleteKey(key);
        await subject.provider.deleteKey(key);
        const other = await subject.key('deleted at once');
        await Promise.all([subject.provider.deleteKey(other), subject.provider.deleteKey(other)]);
        await expectRefusal(subject.provider.sign(other, bytes(8)), ...gone);
      },
    },
    {
      title: 'deleting a key leaves the others',
      async run(subject) {
        const kept = await subject.key('kept');
        const deleted = await subject.key('beside it');
        await subject.provider.deleteKey(deleted);
        await expect(subject.provider.sign(kept, bytes(9))).resolves.toBeInstanceOf(Uint8Array);
        expect(await subject.provider.getPublicKey(kept)).toEqual(kept.publicJwk);
      },
    },
  ];
};
