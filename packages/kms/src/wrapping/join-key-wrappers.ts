import { KeyringError, type KeyWrapper, type WrapOptions, type WrappedKey } from '@keywright/envelope';
import { invalidArgument, kindOf, readOptions } from '../arguments.ts';

/** Options of {@link joinKeyWrappers}. */
export interface JoinKeyWrappersOptions {
  /** kid → holder of the key of that id. */
  readonly holders: Readonly<Record<string, KeyWrapper>>;
  /** The key that wraps; its holder must have it active too. */
  readonly activeKid: string;
}

/**
 * Several holders of root keys as one, to move from one to another: from a keyring to a KMS, or from one KMS to the next.
 * Each key is looked for at the holder that is named for its kid and at no other. Once `rotateRoot()` has retired the old
 * key, the new holder alone suffices.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`; KeyringError `ERR_KEYRING_KID_UNKNOWN` (no holder for `activeKid`)
 *
 * @example
 * ```ts
 * import { keyringFromEnv, type KeyWrapper } from '@keywright/envelope';
 * import { joinKeyWrappers } from '@keywright/kms';
 *
 * const keyring = keyringFromEnv();
 * export const moving = (kms: KeyWrapper): KeyWrapper =>
 *   joinKeyWrappers({ holders: { [keyring.activeKid]: keyring, [kms.activeKid]: kms }, activeKid: kms.activeKid });
 * ```
 */
export function joinKeyWrappers(options: JoinKeyWrappersOptions): KeyWrapper {
  const { holders, activeKid } = readOptions(options, 'options', (given) => ({
    holders: checkHolders(given.holders),
    activeKid: given.activeKid,
  }));
  return new JoinedKeyWrappers(holders, activeKid);
}

class JoinedKeyWrappers implements KeyWrapper {
  readonly provider: string;
  readonly activeKid: string;
  readonly #holders: ReadonlyMap<string, KeyWrapper>;

  constructor(holders: ReadonlyMap<string, KeyWrapper>, activeKid: unknown) {
    this.#holders = holders;
    const active = this.#holder(activeKid);
    if (active.activeKid !== activeKid) throw invalidArgument('activeKid', 'active at its holder', 'another');
    this.activeKid = active.activeKid;
    this.provider = active.provider;
  }

  async wrapKey(key: Uint8Array, options: WrapOptions): Promise<WrappedKey> {
    const holder = this.#holder(this.activeKid);
    const wrapped = await holder.wrapKey(key, options);
    // The holder's active key may have changed: what nobody would find again is not given away.
    if (this.#holder(wrapped.kid) === holder) return wrapped;
    throw unknownKid(wrapped.kid);
  }

  async unwrapKey(wrapped: WrappedKey, options: WrapOptions): Promise<Uint8Array> {
    return await this.#holder(wrapped?.kid).unwrapKey(wrapped, options);
  }

  async checkValue(kid: string): Promise<Uint8Array> {
    return await this.#holder(kid).checkValue(kid);
  }

  async verifyCheckValue(kid: string, checkValue: Uint8Array): Promise<boolean> {
    return await this.#holder(kid).verifyCheckValue(kid, checkValue);
  }

  #holder(kid: unknown): KeyWrapper {
    const holder = this.#holders.get(kid as string);
    if (holder === undefined) throw unknownKid(kid);
    return holder;
  }
}

function checkHolders(holders: unknown): ReadonlyMap<string, KeyWrapper> {
  if (typeof holders !== 'object' || holders === null || Array.isArray(holders) || holders instanceof Map) {
    throw invalidArgument('holders', 'an object of kid to key wrapper', kindOf(holders));
  }
  const checked = new Map<string, KeyWrapper>();
  for (const [kid, holder] of Object.entries(holders) as [string, Partial<KeyWrapper> | null][]) {
    if (typeof holder?.unwrapKey !== 'function' || typeof holder.activeKid !== 'string') {
      throw invalidArgument('holders', 'an object of kid to key wrapper', kindOf(holder));
    }
    checked.set(kid, holder as KeyWrapper);
  }
  return checked;
}

function unknownKid(kid: unknown): KeyringError {
  return new KeyringError('ERR_KEYRING_KID_UNKNOWN', typeof kid === 'string' ? { context: { kid } } : {});
}
