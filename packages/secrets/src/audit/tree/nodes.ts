import { EMPTY_ROOT, HASH_BYTES, largestPower, nodeHash, perfectRoot, subtreeSizes } from './merkle.ts';

/** Hashes of a tile, and leaves of a level-0 tile. */
export const TILE_WIDTH = 256;

/** Where tiles are: up to 256 hashes each, of leaves at level 0, of whole tiles of the level below above that. */
export type ReadTile = (level: number, tile: number) => Promise<Uint8Array>;

/** Root of the first `size` leaves. */
export async function rootOf(read: ReadTile, size: number): Promise<Uint8Array> {
  return size === 0 ? EMPTY_ROOT : await rangeRoot(read, 0, size);
}

/** Roots of the perfect subtrees of the first `size` leaves, largest first. */
export async function frontierOf(read: ReadTile, size: number): Promise<readonly Uint8Array[]> {
  const roots: Uint8Array[] = [];
  let start = 0;
  for (const subtree of subtreeSizes(size)) {
    roots.push(await subtreeRoot(read, start, subtree));
    start += subtree;
  }
  return roots;
}

/** The proof that a leaf is in the tree of this size, from its sibling to the root's child (RFC 6962, 2.1.1). */
export async function inclusionPath(read: ReadTile, leafIndex: number, size: number): Promise<readonly Uint8Array[]> {
  const path: Uint8Array[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + split(end - start);
    if (leafIndex < middle) {
      path.push(await rangeRoot(read, middle, end));
      end = middle;
    } else {
      path.push(await rangeRoot(read, start, middle));
      start = middle;
    }
  }
  return path.toReversed();
}

/** The proof that the tree of one size begins with that of another (RFC 6962, 2.1.2). */
export async function consistencyPath(read: ReadTile, oldSize: number, size: number): Promise<readonly Uint8Array[]> {
  if (oldSize === 0 || oldSize === size) return [];
  const path: Uint8Array[] = [];
  let [start, end] = [0, size];
  while (oldSize !== end) {
    const middle = start + split(end - start);
    if (oldSize <= middle) {
      path.push(await rangeRoot(read, middle, end));
      end = middle;
    } else {
      path.push(await rangeRoot(read, start, middle));
      start = middle;
    }
  }
  // A subtree that starts the tree is the old root itself, which whoever checks has.
  if (start !== 0) path.push(await rangeRoot(read, start, end));
  return path.toReversed();
}

async function rangeRoot(read: ReadTile, start: number, end: number): Promise<Uint8Array> {
  const roots: Uint8Array[] = [];
  let from = start;
  // The start is a multiple of the whole range's power of two, so this is the decomposition of a tree of that size.
  for (const subtree of subtreeSizes(end - start)) {
    roots.push(await subtreeRoot(read, from, subtree));
    from += subtree;
  }
  return roots.reduceRight((right, left) => nodeHash(left, right));
}

/** Root of the leaves from `start`, `leaves` of them: a power of two, and `start` a multiple of it. */
async function subtreeRoot(read: ReadTile, start: number, leaves: number): Promise<Uint8Array> {
  let level = 0;
  let [first, count] = [start, leaves];
  while (count >= TILE_WIDTH) {
    first /= TILE_WIDTH;
    count /= TILE_WIDTH;
    level++;
  }
  const hashes = await read(level, Math.floor(first / TILE_WIDTH));
  const offset = (first % TILE_WIDTH) * HASH_BYTES;
  const wanted = hashes.subarray(offset, offset + count * HASH_BYTES);
  if (wanted.byteLength !== count * HASH_BYTES) throw new MissingHashes(level, Math.floor(first / TILE_WIDTH));
  return count === 1 ? wanted : perfectRoot(wanted);
}

/** A tile is not there, or shorter than its tree needs it. */
export class MissingHashes extends Error {
  constructor(level: number, tile: number) {
    super(`Tile ${tile} of level ${level} lacks hashes.`);
  }
}

function split(size: number): number {
  const power = largestPower(size);
  return power === size ? power / 2 : power;
}
