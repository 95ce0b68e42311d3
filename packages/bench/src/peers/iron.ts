import { defaults, seal, unseal } from 'iron-webcrypto';
import { type Peer, versionOf } from './peer.ts';

/** The sealed cookies of iron-session and h3. */
export const iron: Peer = {
  name: 'iron-webcrypto',
  version: versionOf('iron-webcrypto'),
  forms: ['object'],
  level: 'envelope',
  binds: false,
  about:
    '`seal` and `unseal` with its defaults, AES-256-CBC and HMAC-SHA-256. Its password is the key as bytes, for which it runs no PBKDF2: faster than any password. Names its key; bound to no context. Asynchronous.',
  load(key) {
    const secret = Uint8Array.from(key);
    const passwords = { v1: secret };
    return {
      object: {
        seal: (value) => seal(value, { id: 'v1', secret }, defaults),
        open: async (token: string) => (await unseal(token, passwords, defaults)) as object,
      },
    };
  },
};
