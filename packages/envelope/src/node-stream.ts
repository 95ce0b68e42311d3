export { decryptStream, encryptStream } from './stream/node.ts';
export type { DecryptStreamOptions } from './stream/opener.ts';
export type { EncryptStreamOptions } from './stream/sealer.ts';
