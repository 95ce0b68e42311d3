import { createKeyring } from '@keywright/envelope';
import type { Codecs } from './peers/peer.ts';

/** What is measured against the peers, in their shape. */
export function keywright(key: Buffer): Required<Codecs> {
  const keyring = createKeyring({ keys: { '2026-11': key }, activeKid: '2026-11' });
  return {
    object: {
      seal: (value, context) => keyring.encrypt(value, { context }),
      open: (envelope, context) => keyring.decrypt(envelope, { context }) as object,
    },
    text: {
      seal: (text, context) => keyring.encryptText(text, { context }),
      open: (token: string, context) => keyring.decryptText(token, { context }),
    },
    bytes: {
      seal: (plaintext, context) => keyring.encryptBytes(plaintext, { context }),
      open: (envelope: Uint8Array, context) => keyring.decryptBytes(envelope, { context }),
    },
  };
}
