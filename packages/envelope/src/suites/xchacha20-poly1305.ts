import { xchacha20poly1305 as aead } from '@noble/ciphers/chacha.js';
import { NobleKey } from './noble-key.ts';
import type { Suite } from './suite.ts';

/**
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) by @noble/ciphers. For values that are shared with systems that have no AES
 * in hardware; `loadLibsodium()` of `@keywright/envelope/libsodium` computes the same faster.
 *
 * @example
 * ```ts
 * import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
 * import { xchacha20Poly1305 } from '@keywright/envelope/xchacha20-poly1305';
 *
 * const keyring = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1', suite: xchacha20Poly1305 });
 * keyring.encrypt({ apiKey: 'sk_test_1' }, { context: { tenant: 'acme' } }); // { __enc: 2, alg: 'XC20P', … }
 * ```
 */
export const xchacha20Poly1305: Suite = {
  id: 'XC20P',
  implementation: '@noble/ciphers',
  importKey: (key) => new NobleKey('XC20P', aead, key),
};
