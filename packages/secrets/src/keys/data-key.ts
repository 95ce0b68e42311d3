import { randomBytes } from 'node:crypto';
import { createKeyring, isKeywrightError, type Keyring } from '@keywright/envelope';
import { contexts } from '../contexts.ts';
import { SecretsError } from '../errors.ts';
import { decodeValue, type SecretType, type SecretValue } from '../value.ts';

// A data key has one ciphertext and lives beside it, so it needs no name of its own.
const DATA_KEY = 'dek';

/** Where a version of a secret lives. */
export interface VersionAddress {
  readonly tenantId: string;
  readonly secretId: string;
  readonly version: number;
}

export interface SealedVersion {
  readonly wrappedDek: Buffer;
  readonly ciphertext: Buffer;
}

/** Encrypts a version under a fresh data key, and that under the tenant key. */
export function sealVersion(kek: Keyring, at: VersionAddress, plaintext: Buffer): SealedVersion {
  const key = randomBytes(32);
  try {
    const dataKey = createKeyring({ keys: { [DATA_KEY]: key }, activeKid: DATA_KEY });
    return {
      wrappedDek: kek.encryptBytes(key, {
        context: contexts.dek(at.tenantId, at.secretId, at.version, kek.activeKid),
      }),
      ciphertext: dataKey.encryptBytes(plaintext, {
        context: contexts.secretValue(at.tenantId, at.secretId, at.version),
      }),
    };
  } finally {
    key.fill(0);
  }
}

/**
 * Decrypts a version.
 * @throws SecretsError `ERR_SECRETS_INTEGRITY` for anything that is not what was sealed at this address
 */
export function openVersion(
  kek: Keyring,
  at: VersionAddress,
  sealed: SealedVersion,
): { type: SecretType; value: SecretValue } {
  let key: Buffer | undefined;
  let plaintext: Buffer | undefined;
  try {
    key = kek.decryptBytes(sealed.wrappedDek, {
      context: contexts.dek(at.tenantId, at.secretId, at.version, kek.activeKid),
    });
    const dataKey = createKeyring({ keys: { [DATA_KEY]: key }, activeKid: DATA_KEY });
    plaintext = dataKey.decryptBytes(sealed.ciphertext, {
      context: contexts.secretValue(at.tenantId, at.secretId, at.version),
    });
    const decoded = decodeValue(plaintext);
    if (decoded !== undefined) return decoded;
  } catch (error) {
    if (!isKeywrightError(error)) throw error;
    // one answer, whichever layer refused
  } finally {
    key?.fill(0);
    plaintext?.fill(0);
  }
  throw new SecretsError('ERR_SECRETS_INTEGRITY', {
    context: { tenantId: at.tenantId, secretId: at.secretId, version: at.version },
  });
}
