import { Buffer } from '../runtime/node.ts';

// Ciphertext on its way to or from base64. It is not secret, so messages share one buffer, up to a size that no process
// minds keeping; fresh pages for every large message cost more than the cipher.
const MAX_SHARED_BYTES = 2 * 1024 * 1024;
let shared = Buffer.allocUnsafeSlow(64 * 1024);

/** At least `length` bytes that the next message overwrites. */
export function workspace(length: number): Buffer {
  if (length <= shared.length) return shared;
  if (length > MAX_SHARED_BYTES) return Buffer.allocUnsafeSlow(length);
  shared = Buffer.allocUnsafeSlow(Math.min(MAX_SHARED_BYTES, 2 * length));
  return shared;
}
