import { types } from 'node:util';
import {
  type ErrorContext,
  isKeywrightError,
  type KeyWrapper,
  type KeywrightError,
  type WrapOptions,
  type WrappedKey,
} from '@keywright/envelope';
import { contexts } from '../contexts.ts';
import { SecretsError } from '../errors.ts';

/** A tenant key's place, and how long the root key may take. */
export interface RootCall {
  readonly tenantId: string;
  readonly kekId: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Wraps a tenant key under the active root key. The wrapper gets a copy, which is wiped once it has answered: one that
 * was given up on may still be reading.
 *
 * @throws SecretsError as {@link unwrapUnderRoot} does
 */
export async function wrapUnderRoot(root: KeyWrapper, key: Uint8Array, call: RootCall): Promise<WrappedKey> {
  return await rootCall(call, async (options) => {
    const lent = new Uint8Array(key);
    try {
      const { kid, wrapped } = await root.wrapKey(lent, options);
      return { kid, wrapped: copyOf(wrapped) };
    } finally {
      lent.fill(0);
    }
  });
}

/**
 * Unwraps a tenant key, into memory that the caller wipes. What the wrapper returned stays the wrapper's: it may answer
 * two callers with one promise.
 *
 * @throws SecretsError `ERR_SECRETS_INTEGRITY`, `ERR_SECRETS_ROOT_KEY_MISSING`, `ERR_SECRETS_ROOT_UNAVAILABLE`,
 * `ERR_SECRETS_ABORTED`
 */
export async function unwrapUnderRoot(root: KeyWrapper, wrapped: WrappedKey, call: RootCall): Promise<Uint8Array> {
  // Copied in the very continuation of the answer: whoever else waited for it runs later.
  const work = async (options: WrapOptions): Promise<Uint8Array> => copyOf(await root.unwrapKey(wrapped, options));
  const key = await rootCall(call, work, wrapped.kid);
  // A wrapper that wiped what it returned would otherwise have secrets encrypted under zeros.
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
    if (isOfKeys(error)) throw error;
    throw unavailable(error);
  } finally {
    clearTimeout(timer);
  }
}

async function rootCall<T>(
  { tenantId, kekId, timeoutMs, signal }: RootCall,
  work: (options: WrapOptions) => Promise<T>,
  kid?: string,
): Promise<T> {
  const abort = new AbortController();
  const giveUp = (): void => abort.abort();
  const timer = setTimeout(giveUp, timeoutMs);
  signal?.addEventListener('abort', giveUp, { once: true });
  try {
    throwIfAborted(signal);
    // A wrapper that ignores its signal must not hold a transaction open.
    return await Promise.race([
      work({ context: contexts.tenantKek(tenantId, kekId), signal: abort.signal }),
      aborted(abort.signal),
    ]);
  } catch (error) {
    throwIfAborted(signal); // whatever the wrapper made of it
    // What the wrapper says of being aborted by us is no reason not to call again.
    throw rootError(abort.signal.aborted ? abort.signal.reason : error, { tenantId, kekId }, kid);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', giveUp);
  }
}

/**
 * A call of a root key in this process, which answers at once: without timer and signal. What it returns is the caller's.
 * @throws SecretsError as {@link unwrapUnderRoot} does
 */
export async function typedRootCall<T>(
  { tenantId, kekId }: RootCall,
  kid: string | undefined,
  work: (options: WrapOptions) => Promise<T>,
): Promise<T> {
  try {
    return await work({ context: contexts.tenantKek(tenantId, kekId) });
  } catch (error) {
    throw rootError(error, { tenantId, kekId }, kid);
  }
}

function rootError(error: unknown, { tenantId, kekId }: Pick<RootCall, 'tenantId' | 'kekId'>, kid?: string): Error {
  const context = { tenantId, keyId: kekId, ...(kid === undefined ? {} : { kid }) };
  if (!isOfKeys(error)) return unavailable(error, context);
  if (error.code === 'ERR_KEYRING_KID_UNKNOWN') {
    return new SecretsError('ERR_SECRETS_ROOT_KEY_MISSING', { context, cause: error });
  }
  if (error.code.startsWith('ERR_ENVELOPE_')) {
    return new SecretsError('ERR_SECRETS_INTEGRITY', { context, cause: error });
  }
  return error;
}

/** Whether the error is about keys and what is under them. A KMS has errors of its own, for why it did not answer. */
function isOfKeys(error: unknown): error is KeywrightError {
  return isKeywrightError(error) && /^ERR_(?:SECRETS|KEYRING|ENVELOPE)_/.test(error.code);
}

function unavailable(cause: unknown, context: ErrorContext = {}): SecretsError {
  const retryable = isKeywrightError(cause) ? cause.retryable : true;
  return new SecretsError('ERR_SECRETS_ROOT_UNAVAILABLE', { context, cause, retryable });
}

/** @throws SecretsError `ERR_SECRETS_ABORTED` */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new SecretsError('ERR_SECRETS_ABORTED', { cause: signal.reason });
}

function copyOf(bytes: unknown): Uint8Array {
  if (!types.isUint8Array(bytes)) throw new TypeError('A key wrapper must answer with bytes.');
  return new Uint8Array(bytes);
}

async function aborted(signal: AbortSignal): Promise<never> {
  return await new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
