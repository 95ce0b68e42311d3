import { KeyringError } from '../errors.ts';
import { createKeyring, type Keyring, usableEntry } from '../keyring.ts';
import { KeySourceError } from './errors.ts';
import { withContext } from './material.ts';
import type { KeyMaterial } from './source.ts';

/** What a load changed. Kids only. */
export interface KeyChange {
  /** New, and decrypt-only. */
  readonly added: readonly string[];
  /** The key that encrypts from now on. */
  readonly activated: string | undefined;
  /** The source's active kid, where it does not encrypt yet. */
  readonly pending: string | undefined;
  /** In the keyring, destroyed ones aside, and not in the source. */
  readonly missing: readonly string[];
}

/** How {@link applyMaterial} is told what time it is. */
export interface ApplyOptions {
  readonly driver: string;
  readonly added: (kid: string) => void;
  readonly mayActivate: (kid: string) => boolean;
}

/**
 * Brings a keyring up to what was loaded, or changes nothing.
 * @throws KeySourceError `ERR_KEY_SOURCE_KEY_CHANGED`; KeyringError `ERR_KEYRING_KEY_DUPLICATE`,
 * `ERR_KEYRING_STATE_CONFLICT` (the source's active key is disabled or destroyed here)
 */
export function applyMaterial(keyring: Keyring, material: KeyMaterial, options: ApplyOptions): KeyChange {
  const { driver } = options;
  const keys = { ...material.keys }; // what is checked is what is added, also where a host's source has getters
  const loaded = checked(keys, material.activeKid, driver);
  const known = new Set(keyring.kids);
  const fresh = loaded.kids.filter((kid) => !known.has(kid));
  const { activeKid } = loaded;

  for (const kid of keyring.kids) {
    const state = keyring.state(kid);
    if (state === 'destroyed') continue;
    const entry = entryOf(keyring, kid);
    // A disabled key is refused here anyway: its bytes are not asked for.
    if (state !== 'disabled' && loaded.kids.includes(kid) && !entry.sameKeyAs(usableEntry(loaded, kid))) {
      throw new KeySourceError('ERR_KEY_SOURCE_KEY_CHANGED', { context: { driver, kid } });
    }
    const twin = fresh.find((other) => entry.sameKeyAs(usableEntry(loaded, other)));
    if (twin !== undefined) throw new KeyringError('ERR_KEYRING_KEY_DUPLICATE', { context: { driver, kid: twin } });
  }
  if (known.has(activeKid) && ['disabled', 'destroyed'].includes(keyring.state(activeKid))) {
    const context = { driver, kid: activeKid, state: keyring.state(activeKid) };
    throw new KeyringError('ERR_KEYRING_STATE_CONFLICT', { context });
  }

  for (const kid of fresh) {
    keyring.add(kid, keys[kid] as string | Uint8Array);
    options.added(kid);
  }
  const activates = activeKid !== keyring.activeKid && options.mayActivate(activeKid);
  if (activates) keyring.activate(activeKid);
  return Object.freeze({
    added: Object.freeze(fresh),
    activated: activates ? activeKid : undefined,
    pending: activeKid === keyring.activeKid ? undefined : activeKid,
    missing: Object.freeze(
      keyring.kids.filter((kid) => !loaded.kids.includes(kid) && keyring.state(kid) !== 'destroyed'),
    ),
  });
}

/** An entry to compare, of a disabled key too: nobody can see that it was enabled for the length of this call. */
function entryOf(keyring: Keyring, kid: string): ReturnType<typeof usableEntry> {
  if (keyring.state(kid) !== 'disabled') return usableEntry(keyring, kid);
  keyring.enable(kid);
  try {
    return usableEntry(keyring, kid);
  } finally {
    keyring.disable(kid);
  }
}

/** The loaded keys as a keyring of their own, which checks them and compares them. */
function checked(keys: KeyMaterial['keys'], activeKid: string, driver: string): Keyring {
  try {
    return createKeyring({ keys, activeKid });
  } catch (error) {
    throw withContext(error, { driver });
  }
}
