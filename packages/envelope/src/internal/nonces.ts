import { Buffer, beforeSnapshot, fillRandom } from '../runtime/node.ts';

const POOL_BYTES = 6 * 1024;
const pool = Buffer.allocUnsafeSlow(POOL_BYTES);
let used = POOL_BYTES;

// Processes that start from one snapshot of this heap would hand out the same bytes, and so the same nonces.
beforeSnapshot(() => {
  pool.fill(0);
  used = POOL_BYTES;
});

/**
 * Writes `length` random bytes into `target` at `offset`. The generator is asked for 6 KiB at a time, because a call
 * costs more than a whole AES-GCM message; what was handed out is wiped from the pool at once.
 */
export function randomInto(target: Uint8Array, offset: number, length: number): void {
  if (used + length > POOL_BYTES) {
    fillRandom(pool);
    used = 0;
  }
  const end = used + length;
  for (let from = used, to = offset; from < end; from++, to++) {
    target[to] = pool[from] as number;
    pool[from] = 0;
  }
  used = end;
}
