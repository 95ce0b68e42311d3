import crypto, { type Argon2Parameters } from 'node:crypto'; // argon2 came with Node 24.7, so it cannot be imported by name
import { promisify } from 'node:util';
import { argon2idAsync } from '@noble/hashes/argon2.js';
import { KEY_BYTES } from '../keys.ts';

/** Costs of a derivation. */
export type KdfCosts =
  /** `memoryKib` in KiB. RFC 9106. */
  | {
      readonly algorithm: 'argon2id';
      readonly memoryKib: number;
      readonly passes: number;
      readonly parallelism: number;
    }
  /** N is 2^`logN`. RFC 7914. */
  | {
      readonly algorithm: 'scrypt';
      readonly logN: number;
      readonly blockSize: number;
      readonly parallelism: number;
    }
  /** RFC 8018, with HMAC-SHA-256. */
  | { readonly algorithm: 'pbkdf2-sha256'; readonly iterations: number };

const scrypt = promisify<string, Uint8Array, number, crypto.ScryptOptions, Buffer>(crypto.scrypt);
const pbkdf2 = promisify(crypto.pbkdf2);
const argon2 = (crypto as Partial<typeof crypto>).argon2;

/** 32 bytes from a passphrase, off the main thread where Node can. */
export async function deriveKey(
  passphrase: string,
  salt: Uint8Array,
  costs: KdfCosts,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  switch (costs.algorithm) {
    case 'argon2id':
      return argon2 === undefined
        ? argon2idPortable(passphrase, salt, costs, signal)
        : promisify<'argon2id', Argon2Parameters, Buffer>(argon2)('argon2id', {
            message: passphrase,
            nonce: salt,
            memory: costs.memoryKib,
            passes: costs.passes,
            parallelism: costs.parallelism,
            tagLength: KEY_BYTES,
          });
    case 'scrypt': {
      const { blockSize: r, parallelism: p } = costs;
      const N = 2 ** costs.logN;
      return scrypt(passphrase, salt, KEY_BYTES, { N, r, p, maxmem: 128 * r * (N + p + 8) });
    }
    case 'pbkdf2-sha256':
      return pbkdf2(passphrase, salt, costs.iterations, KEY_BYTES, 'sha256');
  }
}

/** Argon2id for a Node without it. On the main thread, in slices of 10 ms; a signal ends it. */
export function argon2idPortable(
  passphrase: string,
  salt: Uint8Array,
  costs: Extract<KdfCosts, { algorithm: 'argon2id' }>,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return argon2idAsync(passphrase, salt, {
    m: costs.memoryKib,
    t: costs.passes,
    p: costs.parallelism,
    dkLen: KEY_BYTES,
    asyncTick: 10,
    maxmem: 2 * 1024 * costs.memoryKib + 2 ** 20,
    onProgress: () => signal?.throwIfAborted(),
  });
}
