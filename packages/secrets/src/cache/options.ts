import { invalidArgument, kindOf, readOptions } from '../arguments.ts';

/** Options of the read cache. */
export interface ReadCacheOptions {
  /** Secrets kept at most, 1 to 1,000,000. */
  readonly maxSecrets: number;
  /**
   * How long a value is kept at most, in milliseconds. It bounds what nobody announces: a tenant's key that was destroyed
   * by another process, rows that were changed by hand, a process that writes without `changeFeed`.
   */
  readonly maxAgeMs: number;
  /** Bytes of their values kept at most; a larger value is not kept. @default 67_108_864 */
  readonly maxBytes?: number | undefined;
  /** How often other processes' changes are asked for, in milliseconds, from 10. @default 1_000 */
  readonly pollMs?: number | undefined;
}

/** As checked: with its defaults. */
export type CheckedReadCache = { readonly [Name in keyof Required<ReadCacheOptions>]: number };

const MAX = 2 ** 31 - 1;

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkReadCache(options: ReadCacheOptions, changeFeed: unknown): CheckedReadCache {
  if (!changeFeed) throw invalidArgument('readCache', 'nothing without changeFeed', 'an object');
  return readOptions(options ?? null, 'readCache', (given) =>
    Object.freeze({
      maxSecrets: checkNumber(given.maxSecrets, 'maxSecrets', 1, 1_000_000),
      maxAgeMs: checkNumber(given.maxAgeMs, 'maxAgeMs', 1, MAX),
      maxBytes: checkNumber(given.maxBytes ?? 67_108_864, 'maxBytes', 1, MAX),
      pollMs: checkNumber(given.pollMs ?? 1_000, 'pollMs', 10, 3_600_000),
    }),
  );
}

function checkNumber(value: unknown, name: string, least: number, most: number): number {
  if (Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most) return Number(value);
  throw invalidArgument(`readCache.${name}`, `an integer from ${least} to ${most}`, kindOf(value));
}
