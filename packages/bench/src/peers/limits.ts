import { createSecretKey } from 'node:crypto';
import { type HandRolledValue, handRolled } from './hand-rolled.ts';
import type { Form, Peer } from './peer.ts';
import { rawGcm } from './raw-gcm.ts';

/** Code that does less than an envelope, as a mark in the table of a form. Nobody has to be faster than it. */
export type Limit = Pick<Peer, 'name' | 'about' | 'load'>;

const less = 'Bound to nothing, names no key, committed to none: a limit, and no peer.';

export const limits: Readonly<Partial<Record<Form, Limit>>> = {
  object: {
    name: 'hand-rolled',
    about: `\`JSON.stringify\`, AES-256-GCM by \`node:crypto\` under a \`KeyObject\`, base64. ${less}`,
    load(bytes) {
      const key = createSecretKey(bytes);
      return {
        object: {
          seal: (value) => handRolled.seal(key, value),
          open: (sealed: HandRolledValue) => handRolled.open(key, sealed) as object,
        },
      };
    },
  },
  bytes: {
    name: 'raw AES-GCM',
    about: `AES-256-GCM by \`node:crypto\` under a \`KeyObject\`; nonce, ciphertext and tag in one buffer. ${less}`,
    load(bytes) {
      const key = createSecretKey(bytes);
      return {
        bytes: {
          seal: (plaintext) => rawGcm.seal(key, plaintext),
          open: (sealed: Buffer) => rawGcm.open(key, sealed),
        },
      };
    },
  },
};
