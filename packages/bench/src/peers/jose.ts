import { CompactEncrypt, compactDecrypt } from 'jose';
import { type Peer, versionOf } from './peer.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const ENCRYPT = { alg: 'dir', enc: 'A256GCM', kid: '2026-11' } as const;
const DECRYPT = { keyManagementAlgorithms: ['dir'], contentEncryptionAlgorithms: ['A256GCM'] };

/** JSON Web Encryption in compact serialisation. */
export const jose: Peer = {
  name: 'jose',
  version: versionOf('jose'),
  forms: ['object', 'text'],
  level: 'envelope',
  binds: false,
  about:
    '`CompactEncrypt` and `compactDecrypt`, `dir` with `A256GCM`, under a `CryptoKey` that was imported once; objects as `JSON.stringify` has them. Names its key; bound to no context, committed to no key. Asynchronous.',
  async load(key) {
    const imported = await crypto.subtle.importKey('raw', Uint8Array.from(key), 'AES-GCM', false, [
      'encrypt',
      'decrypt',
    ]);
    const seal = (text: string): Promise<string> =>
      new CompactEncrypt(encoder.encode(text)).setProtectedHeader(ENCRYPT).encrypt(imported);
    const open = async (token: string): Promise<string> =>
      decoder.decode((await compactDecrypt(token, imported, DECRYPT)).plaintext);
    return {
      text: { seal, open },
      object: {
        seal: (value) => seal(JSON.stringify(value)),
        open: async (token: string) => JSON.parse(await open(token)) as object,
      },
    };
  },
};
