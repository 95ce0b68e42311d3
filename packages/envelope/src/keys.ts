import { KeyringError } from './errors.ts';
import { base64Decode } from './internal/base64.ts';
import { isBytes } from './internal/bytes.ts';
import { describe } from './keywright-error.ts';
import { Buffer, fillRandom } from './runtime/node.ts';

/** Length of every key, in bytes. */
export const KEY_BYTES = 32;

const KID = /^[A-Za-z0-9_-]{1,64}$/;
const HEX = /^[0-9a-fA-F]{64}$/;
const BASE64_LENGTH = 44;

/** 32 random bytes as padded base64 (44 characters), the form that every key source reads. */
export function generateKeyBase64(): string {
  const bytes = fillRandom(Buffer.allocUnsafeSlow(KEY_BYTES));
  const text = bytes.toString('base64');
  bytes.fill(0);
  return text;
}

/** @throws KeyringError `ERR_KEYRING_KID_INVALID` */
export function checkKid(kid: unknown): string {
  if (typeof kid === 'string' && KID.test(kid)) return kid;
  throw new KeyringError('ERR_KEYRING_KID_INVALID', { context: { received: describe(kid) } });
}

/** Whether `kid` can name a key at all. */
export function isKid(kid: string): boolean {
  return KID.test(kid);
}

/**
 * The bytes of a key, in memory of their own that the caller wipes.
 * @throws KeyringError `ERR_KEYRING_KEY_INVALID`, naming the kid, never the key
 */
export function keyBytes(key: unknown, kid: string): Buffer {
  const bytes = decode(key);
  if (bytes !== undefined) return bytes;
  throw new KeyringError('ERR_KEYRING_KEY_INVALID', {
    context: { kid, expected: '32 bytes as base64, hex or Uint8Array', received: describe(key) },
  });
}

function decode(key: unknown): Buffer | undefined {
  if (isBytes(key) && key.byteLength === KEY_BYTES) {
    const copy = Buffer.allocUnsafeSlow(KEY_BYTES);
    copy.set(key);
    return copy;
  }
  if (typeof key !== 'string') return undefined;
  if (HEX.test(key)) {
    const bytes = Buffer.allocUnsafeSlow(KEY_BYTES);
    bytes.write(key, 'hex');
    return bytes;
  }
  return key.length === BASE64_LENGTH && key.endsWith('=') && !key.endsWith('==') ? base64Decode(key) : undefined;
}
