import { hash } from 'node:crypto';

const NODE_PREFIX = Buffer.of(1);

/** A hash of a Merkle tree (RFC 6962, section 2.1): SHA-256, 32 bytes. */
export const HASH_BYTES = 32;

/** Root of the tree without leaves. */
export const EMPTY_ROOT: Buffer = sha256(Buffer.alloc(0));

/** `SHA-256(01 ‖ left ‖ right)`. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return sha256(Buffer.concat([NODE_PREFIX, left, right], 1 + 2 * HASH_BYTES));
}

/** Root of a tree whose leaves' hashes, or equally high subtrees' roots, are given: a power of two of them. */
export function perfectRoot(hashes: Uint8Array): Buffer {
  const block = Buffer.alloc(1 + 2 * HASH_BYTES, 1);
  let level = Buffer.from(hashes);
  while (level.byteLength > HASH_BYTES) {
    const above = Buffer.allocUnsafe(level.byteLength / 2);
    for (let at = 0; at < above.byteLength; at += HASH_BYTES) {
      block.set(level.subarray(2 * at, 2 * at + 2 * HASH_BYTES), 1);
      above.set(sha256(block), at);
    }
    level = above;
  }
  return level;
}

/** Sizes of the perfect subtrees that the first `size` leaves consist of, largest first: the bits of `size`. */
export function subtreeSizes(size: number): readonly number[] {
  const sizes: number[] = [];
  let rest = size;
  for (let subtree = largestPower(size); rest > 0; subtree /= 2) {
    if (subtree > rest) continue;
    sizes.push(subtree);
    rest -= subtree;
  }
  return sizes;
}

/** The largest power of two that is not above a positive number. */
export function largestPower(size: number): number {
  let power = 1;
  while (power * 2 <= size) power *= 2;
  return power;
}

/**
 * A growing tree of which only the roots of its perfect subtrees are kept: all that is needed to append leaves and to
 * know the root.
 */
export class CompactTree {
  #size: number;
  readonly #roots: { readonly size: number; readonly hash: Uint8Array }[];

  /**
   * @param size leaves that are there already
   * @param frontier roots of {@link subtreeSizes}, in that order
   */
  constructor(size = 0, frontier: readonly Uint8Array[] = []) {
    this.#size = size;
    this.#roots = subtreeSizes(size).map((subtree, index) => {
      const root = frontier[index];
      if (root?.byteLength !== HASH_BYTES) throw new RangeError('A frontier has one hash for each bit of its size.');
      return { size: subtree, hash: root };
    });
    if (frontier.length !== this.#roots.length)
      throw new RangeError('A frontier has one hash for each bit of its size.');
  }

  get size(): number {
    return this.#size;
  }

  append(leaf: Uint8Array): void {
    let size = 1;
    let root = leaf;
    for (let left = this.#roots.at(-1); left?.size === size; left = this.#roots.at(-1)) {
      this.#roots.pop();
      root = nodeHash(left.hash, root);
      size *= 2;
    }
    this.#roots.push({ size, hash: root });
    this.#size++;
  }

  root(): Uint8Array {
    const roots = this.#roots.map(({ hash: root }) => root);
    return roots.length === 0 ? EMPTY_ROOT : roots.reduceRight((right, left) => nodeHash(left, right));
  }
}

function sha256(data: Uint8Array): Buffer {
  return hash('sha256', data, 'buffer');
}
