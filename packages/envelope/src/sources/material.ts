import { inspect } from 'node:util';
import { KeyringError } from '../errors.ts';
import { checkKid, keyBytes } from '../keys.ts';
import type { ErrorContext } from '../keywright-error.ts';
import type { KeyMaterial } from './source.ts';

/** Decoded keys. The bytes sit in a private field, so neither `inspect` nor JSON reaches them. */
class DecodedMaterial implements KeyMaterial {
  readonly activeKid: string;
  readonly #keys: Map<string, Uint8Array>;

  constructor(keys: Map<string, Uint8Array>, activeKid: string) {
    this.#keys = keys;
    this.activeKid = activeKid;
  }

  get keys(): Readonly<Record<string, Uint8Array>> {
    return Object.fromEntries(this.#keys); // defines members, so a kid named __proto__ is one too
  }

  wipe(): void {
    for (const key of this.#keys.values()) key.fill(0);
  }

  /** Or `inspect` would show what a getter returns, where it is told to call getters. */
  [inspect.custom](): { activeKid: string; kids: readonly string[] } {
    return this.toJSON();
  }

  toJSON(): { activeKid: string; kids: readonly string[] } {
    return { activeKid: this.activeKid, kids: [...this.#keys.keys()] };
  }
}

/**
 * Checks and decodes what a source read.
 * @param context said beside the kid where a key is refused: nobody typed the kid `v1`
 * @throws KeyringError `ERR_KEYRING_KEY_INVALID`, `ERR_KEYRING_KID_INVALID`, `ERR_KEYRING_KID_UNKNOWN`,
 * `ERR_KEYRING_KEY_MISSING`
 */
export function decodeMaterial(
  keys: Iterable<readonly [kid: string, key: unknown]>,
  activeKid: string,
  context: ErrorContext,
): KeyMaterial {
  const decoded = new Map<string, Uint8Array>();
  const material = new DecodedMaterial(decoded, activeKid);
  try {
    checkKid(activeKid);
    for (const [kid, key] of keys) decoded.set(checkKid(kid), keyBytes(key, kid));
    if (decoded.size === 0) throw new KeyringError('ERR_KEYRING_KEY_MISSING');
    if (!decoded.has(activeKid)) throw new KeyringError('ERR_KEYRING_KID_UNKNOWN', { context: { kid: activeKid } });
    return material;
  } catch (error) {
    material.wipe();
    throw withContext(error, context);
  }
}

/** Wipes material of this package once a keyring has copied it. A custom source's bytes are not ours to wipe. */
export function wipeMaterial(material: KeyMaterial): void {
  if (material instanceof DecodedMaterial) material.wipe();
}

/** The same error, saying more about where it comes from. */
export function withContext(error: unknown, context: ErrorContext): unknown {
  if (!(error instanceof KeyringError)) return error;
  return new KeyringError(error.code, { context: { ...error.context, ...context } });
}
