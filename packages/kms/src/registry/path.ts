import { KmsError, type KmsErrorOptions } from '../errors.ts';

/** Where a value is in the configuration: names of members and indices. */
export type Path = readonly (string | number)[];

// The name may be anybody's text.
const SHOWN = /^[\w$.-]{1,40}$/;

/** Long as a key in base64, which errors do not show. */
const LENGTH_OF_KEY = 43;

/** As a JSON pointer (RFC 6901); a name that is unlike one is `*`, since it may be a value that was put there. */
export function pointerOf(path: Path): string {
  const pointer = path.map((part) => `/${SHOWN.test(String(part)) ? part : '*'}`).join('');
  return pointer.length === LENGTH_OF_KEY ? `#${pointer}` : pointer; // the pointer's form in URIs
}

/** Refuses what is at `path`. The value is not shown. */
export function configError(path: Path, expected: string, more: KmsErrorOptions['context'] = {}): KmsError {
  return new KmsError('ERR_KMS_CONFIG', { context: { field: pointerOf(path), expected, ...more } });
}
