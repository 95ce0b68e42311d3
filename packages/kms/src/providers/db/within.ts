import type { DriverCall } from '../../driver.ts';
import { KmsError } from '../../errors.ts';

/**
 * What `work` answers, unless the call's time is up first, its caller gives up, or the provider is closed. Work that does
 * not look at its signal goes on by itself.
 * @throws KmsError `ERR_KMS_TIMEOUT`, `ERR_KMS_ABORTED`
 */
export async function within<T>(
  { signal, deadline }: Pick<DriverCall, 'deadline'> & Partial<DriverCall>,
  work: (signal: AbortSignal) => T | Promise<T>,
  closing?: AbortSignal,
): Promise<T> {
  const ended = new AbortController();
  const { promise, reject } = Promise.withResolvers<never>();
  const end = (code: 'ERR_KMS_TIMEOUT' | 'ERR_KMS_ABORTED'): void => {
    const error = new KmsError(code);
    reject(error);
    ended.abort(error);
  };
  const abort = (): void => end('ERR_KMS_ABORTED');
  const timer = setTimeout(() => end('ERR_KMS_TIMEOUT'), Math.max(0, deadline - performance.now()));
  signal?.addEventListener('abort', abort, { once: true });
  closing?.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, work(ended.signal)]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    closing?.removeEventListener('abort', abort);
  }
}
