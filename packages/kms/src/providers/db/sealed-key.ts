import { randomBytes } from 'node:crypto';
import { isUint8Array } from 'node:util/types';
import {
  createKeyring,
  decryptBytesOnce,
  type EncryptionContext,
  isKeywrightError,
  type KeyWrapper,
  type WrappedKey,
} from '@keywright/envelope';
import { KmsError } from '../../errors.ts';
import { contexts, type KeyAddress } from './contexts.ts';

// A data key has one ciphertext and lives beside it, so it needs no name of its own.
const DATA_KEY = 'dek';

/** A private key under its data key, and that under a root key. */
export interface SealedKey {
  readonly rootKid: string;
  readonly wrappedKey: Uint8Array;
  readonly sealedKey: Uint8Array;
}

/**
 * Seals a private key under a fresh data key, and that under the root key, which is asked to unwrap it again: a key that
 * does not come back must be noticed before anything is signed with it.
 * @throws KmsError `ERR_KMS_INTEGRITY`, and as {@link unwrapDataKey}
 */
export async function sealKey(
  root: KeyWrapper,
  at: KeyAddress,
  privateKey: Uint8Array,
  signal: AbortSignal,
): Promise<SealedKey> {
  const dataKey = randomBytes(32);
  try {
    const keyring = createKeyring({ keys: { [DATA_KEY]: dataKey }, activeKid: DATA_KEY });
    const sealedKey = keyring.encryptBytes(privateKey, { context: contexts.key(at) });
    const { kid, wrapped } = await wrapDataKey(root, at, dataKey, signal);
    return { rootKid: kid, wrappedKey: wrapped, sealedKey };
  } finally {
    dataKey.fill(0);
  }
}

/**
 * Opens a private key, into memory that the caller wipes.
 * @throws KmsError `ERR_KMS_INTEGRITY` for anything that was not sealed at this address under this root key, and as
 * {@link unwrapDataKey}
 */
export async function openKey(
  root: KeyWrapper,
  at: KeyAddress,
  { rootKid, wrappedKey, sealedKey }: SealedKey,
  signal: AbortSignal,
): Promise<Buffer> {
  const dataKey = await unwrapDataKey(root, at, { kid: rootKid, wrapped: wrappedKey }, signal);
  try {
    return openUnder(dataKey, at, sealedKey);
  } finally {
    dataKey.fill(0);
  }
}

/**
 * The data key under the root key that is active now; the sealed key stays as it is. It is opened first, so that a wrapper
 * that answers with another key, or with zeros, cannot take the place of the one that opens it.
 * @throws KmsError as {@link openKey}
 */
export async function rewrapDataKey(
  root: KeyWrapper,
  at: KeyAddress,
  { rootKid, wrappedKey, sealedKey }: SealedKey,
  signal: AbortSignal,
): Promise<WrappedKey> {
  const dataKey = await unwrapDataKey(root, at, { kid: rootKid, wrapped: wrappedKey }, signal);
  try {
    openUnder(dataKey, at, sealedKey).fill(0);
    return await wrapDataKey(root, at, dataKey, signal);
  } finally {
    dataKey.fill(0);
  }
}

function openUnder(key: Uint8Array, at: KeyAddress, sealedKey: Uint8Array): Buffer {
  try {
    return decryptBytesOnce(sealedKey, { kid: DATA_KEY, key, context: contexts.key(at) });
  } catch (error) {
    if (!isKeywrightError(error)) throw error;
    throw notWhatWasSealed(at); // one answer, whichever layer refused
  }
}

async function wrapDataKey(
  root: KeyWrapper,
  at: KeyAddress,
  dataKey: Uint8Array,
  signal: AbortSignal,
): Promise<WrappedKey> {
  // A copy: a wrapper that was given up on may still be reading when the caller wipes its own.
  const lent = Uint8Array.from(dataKey);
  const fresh = await asked(at, async () => {
    try {
      const { kid, wrapped } = await root.wrapKey(lent, { context: contexts.dataKey(at), signal });
      return { kid, wrapped: copyOf(wrapped) };
    } finally {
      lent.fill(0);
    }
  });
  const check = await unwrapDataKey(root, at, fresh, signal);
  const came = Buffer.compare(check, dataKey) === 0;
  check.fill(0);
  if (came) return fresh;
  throw notWhatWasSealed(at);
}

/** @throws KmsError `ERR_KMS_INTEGRITY`, `ERR_KMS_UNAVAILABLE`; what the wrapper throws, where that is typed */
async function unwrapDataKey(
  root: KeyWrapper,
  at: KeyAddress,
  wrapped: WrappedKey,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const context: EncryptionContext = contexts.dataKey(at);
  // Copied in the very continuation of the answer, which stays the wrapper's: whoever else waited for it runs later.
  return await asked(at, async () => copyOf(await root.unwrapKey(wrapped, { context, signal })));
}

async function asked<T>(at: KeyAddress, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isKeywrightError(error)) throw new KmsError('ERR_KMS_UNAVAILABLE', { cause: error });
    const isForeign = error.code.startsWith('ERR_ENVELOPE_') || error.code.startsWith('ERR_KEYRING_');
    throw isForeign ? notWhatWasSealed(at, error) : error;
  }
}

function copyOf(bytes: unknown): Uint8Array {
  if (!isUint8Array(bytes)) throw new TypeError('A key wrapper must answer with bytes.');
  return Uint8Array.from(bytes);
}

/** What the row says of itself is not shown: it is not to be believed. */
function notWhatWasSealed({ tenantId }: KeyAddress, cause?: unknown): KmsError {
  return new KmsError('ERR_KMS_INTEGRITY', { context: { tenantId }, cause });
}
