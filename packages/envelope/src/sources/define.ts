import { checkKid } from '../keys.ts';
import { describe, isKeywrightError } from '../keywright-error.ts';
import { DEFAULT_KID } from './content.ts';
import { KeySourceError, type KeySourceErrorCode } from './errors.ts';
import { wipeMaterial } from './material.ts';
import type { KeyMaterial, KeySource, LoadOptions } from './source.ts';

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
  const codeOf = (error: unknown): KeySourceErrorCode => {
    try {
      return classify(error);
    } catch {
      return 'ERR_KEY_SOURCE_INVALID_RESPONSE'; // what was thrown throws when it is looked at
    }
  };
  return Object.freeze({
    name,
    async load(options: LoadOptions = {}): Promise<KeyMaterial> {
      const outer = checkOptions(name, options).signal;
      if (outer !== undefined) checkMethods(name, 'signal', outer, 'addEventListener', 'removeEventListener');
      if (outer?.aborted) throw fail('ERR_KEY_SOURCE_ABORTED', outer.reason);
      const stop = new AbortController();
      const ended = Promise.withResolvers<never>();
      let late = false;
      const end = (code: KeySourceErrorCode, reason: unknown): void => {
        late = true;
        ended.reject(fail(code, reason));
        stop.abort();
      };
      const onAbort = (): void => end('ERR_KEY_SOURCE_ABORTED', outer?.reason);
      const timer = setTimeout(() => end('ERR_KEY_SOURCE_TIMEOUT', undefined), timeoutMs);
      outer?.addEventListener('abort', onAbort, { once: true });
      try {
        const reading = read(stop.signal).then((material) => {
          if (late) wipeMaterial(material); // nobody gets it
          return material;
        });
        return await Promise.race([ended.promise, reading]);
      } catch (error) {
        throw isKeywrightError(error) ? error : fail(codeOf(error), error);
      } finally {
        clearTimeout(timer);
        outer?.removeEventListener('abort', onAbort);
      }
    },
  });
}

/** @throws KeySourceError `ERR_KEY_SOURCE_CONFIG` */
export function checkDuration(driver: string, argument: string, value: unknown, most: number = MAX_TIMEOUT_MS): number {
  if (Number.isSafeInteger(value) && Number(value) > 0 && Number(value) <= most) return Number(value);
  const received = typeof value === 'number' ? String(value) : describe(value);
  throw configError(driver, argument, `a whole number of milliseconds from 1 to ${most}`, received);
}

/** An object of options, which plain JavaScript may get wrong. @throws KeySourceError `ERR_KEY_SOURCE_CONFIG` */
export function checkOptions<T extends object>(driver: string, options: T, argument = 'options'): T {
  if (typeof options === 'object' && options !== null) return options;
  throw configError(driver, argument, 'an object', describe(options));
}

/** An object that is called later on. @throws KeySourceError `ERR_KEY_SOURCE_CONFIG` */
export function checkMethods(driver: string, argument: string, value: unknown, ...methods: string[]): void {
  const object = Object(value) as Record<string, unknown>;
  if (methods.every((method) => typeof object[method] === 'function')) return;
  throw configError(driver, argument, `an object with ${methods.join(', ')}`, describe(value));
}

/** A required text of a source's options. @throws KeySourceError `ERR_KEY_SOURCE_CONFIG` */
export function checkText(driver: string, argument: string, value: unknown): string {
  if (typeof value === 'string' && value.trim() !== '' && value.isWellFormed()) return value;
  throw configError(driver, argument, 'a text that is not empty, well-formed', describe(value));
}

/** @throws KeyringError `ERR_KEYRING_KID_INVALID` */
export function kidOf(options: { readonly kid?: string | undefined }): string {
  return checkKid(options.kid ?? DEFAULT_KID);
}

export function configError(driver: string, argument: string, expected: string, received: string): KeySourceError {
  return new KeySourceError('ERR_KEY_SOURCE_CONFIG', { context: { driver, argument, expected, received } });
}
