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
  const key = await rootCall(call, (options) => root.unwrapKey(wrapped, options), wrapped.kid);
  // What a wrapper returns is wiped after use. One that returned memory it keeps would hand out zeros the next time.
  if (key.some((byte) => byte !== 0)) return key;
  throw new SecretsError('ERR_SECRETS_INTEGRITY', { context: { tenantId: call.tenantId, keyId: call.kekId } });
}

/**
 * What a root key answers to a question that takes no signal.
 * @throws SecretsError `ERR_SECRETS_ROOT_UNAVAILABLE`; what the wrapper throws, where that is typed
 */
export async function answerOf<T>(timeoutMs: number, ask: () => Promise<T>): Promise<T> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeoutMs);
  try {
    return await Promise.race([ask(), aborted(abort.signal)]);
  } catch (error) {
    if (isKeywrightError(error)) throw error;
    throw new SecretsError('ERR_SECRETS_ROOT_UNAVAILABLE', { cause: error, retryable: true });
  } finally {
    clearTimeout(timer);
  }
}

async function rootCall<T>(
  { tenantId, kekId, timeoutMs, signal }: RootCall,
  work: (options: Parameters<KeyWrapper['wrapKey']>[1]) => Promise<T>,
  kid?: string,
): Promise<T> {
  const abort = new AbortController();
  const giveUp = (): void => abort.abort(signal?.reason);
  const timer = setTimeout(giveUp, timeoutMs);
  signal?.addEventListener('abort', giveUp, { once: true });
  try {
    signal?.throwIfAborted();
    // A wrapper that ignores its signal must not hold a transaction open.
    return await Promise.race([
      work({ context: contexts.tenantKek(tenantId, kekId), signal: abort.signal }),
      aborted(abort.signal),
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
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', giveUp);
  }
}

async function aborted(signal: AbortSignal): Promise<never> {
  return await new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
