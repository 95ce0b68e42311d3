import type { ColumnCodec } from '../columns/column-codec.ts';
import { invalid } from '../columns/options.ts';
import { isKid } from '../keys.ts';
import { describe } from '../keywright-error.ts';
import type { RowSource } from './row-source.ts';
import type { Target } from './target.ts';

/** @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT` */
export function checkOptions<Options extends object>(options: Options): Options {
  if (typeof options !== 'object' || options === null) throw invalid('options', 'an object', describe(options));
  return options;
}

/** @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT` */
export function checkCodec<T>(codec: ColumnCodec<T>): ColumnCodec<T> {
  const { inspect, encode, decode } = codec ?? {};
  if ([inspect, encode, decode].every((method) => typeof method === 'function')) return codec;
  throw invalid('codec', 'a codec of columnCodec()', describe(codec));
}

/** @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT` */
export function checkSource(source: RowSource): RowSource {
  const { scan, compareAndSet } = source ?? {};
  if (typeof scan === 'function' && typeof compareAndSet === 'function') return source;
  throw invalid('source', 'a RowSource', describe(source));
}

/** @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT` */
export function checkTarget(target: Target): Target {
  const expected = '{ plaintext: true }, { version: 1 } or { kid }';
  if (typeof target !== 'object' || target === null) throw invalid('from', expected, describe(target));
  const { plaintext, version, kid } = target as { plaintext?: unknown; version?: unknown; kid?: unknown };
  if (Object.keys(target).length === 1) {
    if (plaintext === true) return { plaintext };
    if (version === 1) return { version };
    if (typeof kid === 'string' && isKid(kid)) return { kid };
  }
  throw invalid('from', expected, 'another object');
}

/** @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT` */
export function checkCount(value: unknown, argument: string, max: number): number {
  if (Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= max) return Number(value);
  throw invalid(argument, `an integer from 1 to ${max}`, typeof value === 'number' ? String(value) : describe(value));
}

/** @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT` */
export function checkHook<Hook extends (...given: never[]) => unknown>(
  hook: Hook | undefined,
  argument: string,
): Hook | undefined {
  if (hook === undefined || typeof hook === 'function') return hook;
  throw invalid(argument, 'a function', describe(hook));
}
