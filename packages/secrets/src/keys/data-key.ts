import { randomBytes } from 'node:crypto';
import {
  createKeyring,
  decryptBytesOnce,
  type EncryptionContext,
  isKeywrightError,
  type Keyring,
} from '@keywright/envelope';
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
  const plaintext = openPlaintext(kek, at, sealed);
  try {
    const decoded = decodeValue(plaintext);
    if (decoded !== undefined) return decoded;
  } finally {
    plaintext.fill(0);
  }
  throw notWhatWasSealed(at);
}

/**
 * Decrypts a version and leaves it encoded; the caller wipes it.
 * @throws SecretsError `ERR_SECRETS_INTEGRITY` for anything that is not what was sealed at this address
 */
export function openPlaintext(kek: Keyring, at: VersionAddress, sealed: SealedVersion): Buffer {
  let key: Buffer | undefined;
  try {
    key = kek.decryptBytes(sealed.wrappedDek, {
      context: contexts.dek(at.tenantId, at.secretId, at.version, kek.activeKid),
    });
    return decryptBytesOnce(sealed.ciphertext, {
      kid: DATA_KEY,
      key,
      context: contexts.secretValue(at.tenantId, at.secretId, at.version),
    });
  } catch (error) {
    if (!isKeywrightError(error)) throw error;
    throw notWhatWasSealed(at); // one answer, whichever layer refused
  } finally {
    key?.fill(0);
  }
}

/**
 * A version's data key under another tenant key. It is opened again and compared before anybody relies on it.
 * @throws SecretsError `ERR_SECRETS_INTEGRITY`
 */
export function rewrapDataKey(from: Keyring, to: Keyring, at: VersionAddress, wrappedDek: Buffer): Buffer {
  const contextOf = (kek: Keyring): { context: EncryptionContext } => ({
    context: contexts.dek(at.tenantId, at.secretId, at.version, kek.activeKid),
  });
  let key: Buffer | undefined;
  let check: Buffer | undefined;
  try {
    key = from.decryptBytes(wrappedDek, contextOf(from));
    const fresh = to.encryptBytes(key, contextOf(to));
    check = to.decryptBytes(fresh, contextOf(to));
    if (check.equals(key)) return fresh;
  } catch (error) {
    if (!isKeywrightError(error)) throw error;
  } finally {
    key?.fill(0);
    check?.fill(0);
  }
  throw notWhatWasSealed(at);
}

/**
 * A version under a fresh data key and another ciphertext, opened again and compared.
 * @throws SecretsError `ERR_SECRETS_INTEGRITY`
 */
export function resealVersion(from: Keyring, to: Keyring, at: VersionAddress, sealed: SealedVersion): SealedVersion {
  const plaintext = openPlaintext(from, at, sealed);
  let check: Buffer | undefined;
  try {
    const fresh = sealVersion(to, at, plaintext);
    check = openPlaintext(to, at, fresh);
    if (check.equals(plaintext)) return fresh;
  } finally {
    plaintext.fill(0);
    check?.fill(0);
  }
  throw notWhatWasSealed(at);
}

function notWhatWasSealed(at: VersionAddress): SecretsError {
  return new SecretsError('ERR_SECRETS_INTEGRITY', {
    context: { tenantId: at.tenantId, secretId: at.secretId, version: at.version },
  });
}
