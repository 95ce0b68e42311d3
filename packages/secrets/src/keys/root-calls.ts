import { isKeywrightError, type KeyWrapper, type WrappedKey } from '@keywright/envelope';
import { contexts } from '../contexts.ts';
import { SecretsError } from '../errors.ts';

/** A tenant key's place, and how long the root key may take. */
export interface RootCall {
  readonly tenantId: string;
  readonly kekId: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Wraps a tenant key under the active root key. @throws SecretsError as {@link unwrapUnderRoot} does */
export async function wrapUnderRoot(root: KeyWrapper, key: Uint8Array, call: RootCall): Promise<WrappedKey> {
  return await rootCall(call, (options) => root.wrapKey(key, options));
}

/**
 * Unwraps a tenant key.
 * @throws SecretsError `ERR_SECRETS_INTEGRITY`, `ERR_SECRETS_ROOT_KEY_MISSING`, `ERR_SECRETS_ROOT_UNAVAILABLE`
 */
export async function unwrapUnderRoot(root: KeyWrapper, wrapped: WrappedKey, call: RootCall): Promise<Uint8Array> {
  return await rootCall(call, (options) => root.unwrapKey(wrapped, options), wrapped.kid);
}

async function rootCall<T>(
  { tenantId, kekId, timeoutMs, signal }: RootCall,
  work: (options: Parameters<KeyWrapper['wrapKey']>[1]) => Promise<T>,
  kid?: string,
): Promise<T> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const either = signal === undefined ? timeout : AbortSignal.any([timeout, signal]);
  try {
    // A wrapper that ignores its signal must not hold a transaction open.
    return await Promise.race([
      work({ context: contexts.tenantKek(tenantId, kekId), signal: either }),
      aborted(either),
    ]);
  } catch (error) {
    const context = { tenantId, keyId: kekId, ...(kid === undefined ? {} : { kid }) };
    if (!isKeywrightError(error)) {
      throw new SecretsError('ERR_SECRETS_ROOT_UNAVAILABLE', { context, cause: error, retryable: true });
    }
    if (error.code === 'ERR_KEYRING_KID_UNKNOWN') {
      throw new SecretsError('ERR_SECRETS_ROOT_KEY_MISSING', { context, cause: error });
    }
    if (error.code.startsWith('ERR_ENVELOPE_')) {
      throw new SecretsError('ERR_SECRETS_INTEGRITY', { context, cause: error });
    }
    throw error;
  }
}

async function aborted(signal: AbortSignal): Promise<never> {
  return await new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
