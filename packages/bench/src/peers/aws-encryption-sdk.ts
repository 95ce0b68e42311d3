import {
  AlgorithmSuiteIdentifier,
  buildClient,
  CommitmentPolicy,
  RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier,
} from '@aws-crypto/client-node';
import { type Context, type Peer, versionOf } from './peer.ts';

const SUITE = AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY;
const FRAME_BYTES = 64 * 1024;

/** The AWS Encryption SDK with a key of one's own in place of AWS KMS. */
export const awsEncryptionSdk: Peer = {
  name: '@aws-crypto/client-node',
  version: versionOf('@aws-crypto/client-node'),
  forms: ['bytes'],
  level: 'envelope',
  binds: true,
  about:
    '`encrypt` and `decrypt` with a `RawAesKeyringNode`, `REQUIRE_ENCRYPT_REQUIRE_DECRYPT`, the committed AES-256-GCM suite without signatures, frames of 64 KiB. The same job and more: a data key for each message, wrapped, and the context kept in the message, where it is compared. Asynchronous. Its cache of data keys is left out: it is by context, and here no two rows have the same.',
  load(key) {
    const { encrypt, decrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
    const keyring = new RawAesKeyringNode({
      keyNamespace: 'keywright',
      keyName: '2026-11',
      unencryptedMasterKey: isolated(key),
      wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
    });
    return {
      bytes: {
        async seal(plaintext, encryptionContext) {
          const options = { suiteId: SUITE, encryptionContext, frameLength: FRAME_BYTES };
          return (await encrypt(keyring, plaintext, { ...options, plaintextLength: plaintext.length })).result;
        },
        async open(message: Buffer, context) {
          const { plaintext, messageHeader } = await decrypt(keyring, message);
          compare(messageHeader.encryptionContext, context);
          return plaintext;
        },
      },
    };
  },
};

/** The SDK takes keys only in memory of their own. */
function isolated(key: Uint8Array): Uint8Array {
  return Uint8Array.from(key);
}

/** The SDK authenticates the context that a message carries; whether it is the right one is for the caller to see. */
function compare(carried: Context, expected: Context): void {
  for (const [name, value] of Object.entries(expected)) {
    if (carried[name] !== value) throw new Error('The message was encrypted under another context.');
  }
}
