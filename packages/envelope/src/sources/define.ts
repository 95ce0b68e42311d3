import { KeySourceError, type KeySourceErrorCode } from '../errors.ts';
import { checkKid } from '../keys.ts';
import { describe, isKeywrightError } from '../keywright-error.ts';
import { DEFAULT_KID } from './content.ts';
import type { KeyMaterial, KeySource } from './source.ts';

export const DEFAULT_TIMEOUT_MS = 10_000;
const MAX_TIMEOUT_MS = 3_600_000;

/** How a source is made of the one thing that is its own: reading. */
export interface SourceDefinition {
  readonly name: string;
  readonly timeoutMs: number | undefined;
  /** What a foreign error means. */
  readonly classify: (error: unknown) => KeySourceErrorCode;
  /** Reads the keys. It gives up when the signal fires; that it does is not relied on. */
  readonly read: (signal: AbortSignal) => Promise<KeyMaterial>;
}

/**
 * A source whose every load ends in time, by one of the typed errors. Its settings live in closures: nothing of them
 * shows when it is logged.
 */
export function defineSource(definition: SourceDefinition): KeySource {
  const { name, classify, read } = definition;
  const timeoutMs = checkDuration(name, 'timeoutMs', definition.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const fail = (code: KeySourceErrorCode, cause: unknown): KeySourceError =>
    new KeySourceError(code, { context: { driver: name }, cause });
  return Object.freeze({
    name,
    async load(options: { signal?: AbortSignal | undefined } = {}): Promise<KeyMaterial> {
      const outer = options.signal;
      if (outer?.aborted) throw fail('ERR_KEY_SOURCE_ABORTED', outer.reason);
      const stop = new AbortController();
      const ended = Promise.withResolvers<never>();
      const end = (code: KeySourceErrorCode, reason: unknown): void => {
        ended.reject(fail(code, reason));
        stop.abort();
      };
      const onAbort = (): void => end('ERR_KEY_SOURCE_ABORTED', outer?.reason);
      const timer = setTimeout(() => end('ERR_KEY_SOURCE_TIMEOUT', undefined), timeoutMs);
      outer?.addEventListener('abort', onAbort, { once: true });
      try {
        return await Promise.race([ended.promise, read(stop.signal)]);
      } catch (error) {
        throw isKeywrightError(error) ? error : fail(classify(error), error);
      } finally {
        clearTimeout(timer);
        outer?.removeEventListener('abort', onAbort);
      }
    },
  });
}

/** @throws KeySourceError `ERR_KEY_SOURCE_CONFIG` */
export function checkDuration(driver: string, argument: string, value: unknown): number {
  if (Number.isSafeInteger(value) && Number(value) > 0 && Number(value) <= MAX_TIMEOUT_MS) return Number(value);
  const received = typeof value === 'number' ? String(value) : describe(value);
  throw configError(driver, argument, `a whole number of milliseconds from 1 to ${MAX_TIMEOUT_MS}`, received);
}

/** A required text of a source's options. @throws KeySourceError `ERR_KEY_SOURCE_CONFIG` */
export function checkText(driver: string, argument: string, value: unknown): string {
  if (typeof value === 'string' && value.trim() !== '') return value;
  throw configError(driver, argument, 'a text that is not empty', describe(value));
}

/** @throws KeyringError `ERR_KEYRING_KID_INVALID` */
export function kidOf(options: { readonly kid?: string | undefined }): string {
  return checkKid(options.kid ?? DEFAULT_KID);
}

export function configError(driver: string, argument: string, expected: string, received: string): KeySourceError {
  return new KeySourceError('ERR_KEY_SOURCE_CONFIG', { context: { driver, argument, expected, received } });
}
