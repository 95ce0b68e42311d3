import { Buffer } from '../runtime/node.ts';

/** Writes `value` as LE64 at `offset`. Lengths here stay far below 2^32. */
export function writeLe64(target: Uint8Array, value: number, offset: number): number {
  target[offset] = value;
  target[offset + 1] = value >>> 8;
  target[offset + 2] = value >>> 16;
  target[offset + 3] = value >>> 24;
  target[offset + 4] = 0;
  target[offset + 5] = 0;
  target[offset + 6] = 0;
  target[offset + 7] = 0;
  return offset + 8;
}

/**
 * PASETO's pre-authentication encoding: `LE64(number of parts)`, then `LE64(byte length) ‖ bytes` for each part.
 * Injective, so no two lists of parts share an encoding. Strings are taken as UTF-8.
 */
export function pae(parts: readonly (string | Uint8Array)[]): Buffer {
  let size = 8;
  for (const part of parts) size += 8 + (typeof part === 'string' ? Buffer.byteLength(part) : part.byteLength);
  const out = Buffer.allocUnsafeSlow(size);
  let offset = writeLe64(out, parts.length, 0);
  for (const part of parts) {
    if (typeof part === 'string') {
      const written = out.write(part, offset + 8, 'utf8');
      writeLe64(out, written, offset);
      offset += 8 + written;
    } else {
      writeLe64(out, part.byteLength, offset);
      out.set(part, offset + 8);
      offset += 8 + part.byteLength;
    }
  }
  return out;
}
