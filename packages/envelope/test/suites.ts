import { createKeyring, type Keyring, type Suite } from '@keywright/envelope';
import { loadLibsodium } from '@keywright/envelope/libsodium';
import { xchacha20Poly1305 } from '@keywright/envelope/xchacha20-poly1305';
import { A256GCM } from '../src/runtime/node.ts';

const { xchacha20Poly1305: xchachaBySodium, secretbox } = await loadLibsodium();

/** Every implementation of every suite that this package offers. */
export const SUITES: readonly Suite[] = [A256GCM, xchacha20Poly1305, xchachaBySodium, secretbox];

/** One of each, which together open whatever this package writes. */
export const ALL: readonly Suite[] = [xchacha20Poly1305, secretbox];

/** A keyring that writes in `suite` and reads every other. */
export function keyringOf(keys: Readonly<Record<string, string | Uint8Array>>, suite?: Suite): Keyring {
  return createKeyring({ keys, activeKid: Object.keys(keys)[0] ?? '', suite, suites: ALL });
}
