import { randomFillSync } from 'node:crypto';

// The generator is asked for many bytes at a time: a call of it costs more than everything else here.
const POOL_BYTES = 4_096;
const ID_BYTES = 6;
const pool = Buffer.allocUnsafeSlow(POOL_BYTES);
let used = POOL_BYTES;

const bytes = Buffer.allocUnsafeSlow(16);
let lastMs = -1;
let sequence = 0;

/**
 * A UUIDv7 (RFC 9562, section 5.7): ids of one process sort in the order they were made in, also within a millisecond and
 * when the clock goes back. A counter of 32 bits follows the time, then 42 random bits.
 */
export function timeOrderedId(): string {
  if (used + ID_BYTES > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const now = Date.now();
  if (now > lastMs) {
    lastMs = now;
    sequence = pool.readUInt16LE(used) * 2 ** 15; // below 2^31, so that there is room to count
  } else if (++sequence >= 2 ** 32) {
    lastMs++;
    sequence = 0;
  }
  bytes.writeUIntBE(lastMs, 0, 6);
  bytes[6] = 0x70 | (sequence >>> 28);
  bytes[7] = sequence >>> 20;
  bytes[8] = 0x80 | ((sequence >>> 14) & 0x3f);
  bytes[9] = sequence >>> 6;
  bytes[10] = (sequence << 2) | ((pool[used] as number) & 3);
  for (let index = 1; index < ID_BYTES; index++) bytes[10 + index] = pool[used + index] as number;
  used += ID_BYTES;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
