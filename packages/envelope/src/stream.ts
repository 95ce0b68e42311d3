export type { DecryptStreamOptions } from './stream/opener.ts';
export type { EncryptStreamOptions } from './stream/sealer.ts';
export { type ByteStreamPair, decryptStream, encryptStream } from './stream/web.ts';
