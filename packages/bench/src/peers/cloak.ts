import { decryptStringSync, encryptStringSync, parseKeySync } from '@47ng/cloak';
import { type Peer, versionOf } from './peer.ts';

/** The cipher below prisma-field-encryption. */
export const cloak: Peer = {
  name: '@47ng/cloak',
  version: versionOf('@47ng/cloak'),
  forms: ['object', 'text'],
  level: 'envelope',
  binds: false,
  about:
    '`encryptStringSync` and `decryptStringSync`, AES-256-GCM under a key that was parsed once; objects as `JSON.stringify` has them. Names its key; bound to no context, committed to no key.',
  load(bytes) {
    // Padded base64url.
    const key = parseKeySync(`k1.aesgcm256.${bytes.toString('base64url')}=`);
    return {
      text: {
        seal: (text) => encryptStringSync(text, key),
        open: (token: string) => decryptStringSync(token, key),
      },
      object: {
        seal: (value) => encryptStringSync(JSON.stringify(value), key),
        open: (token: string) => JSON.parse(decryptStringSync(token, key)) as object,
      },
    };
  },
};
