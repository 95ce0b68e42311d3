import { HASH_BYTES, nodeHash } from './merkle.ts';

/** What an inclusion proof has to show. */
export interface InclusionClaim {
  readonly leafIndex: number;
  readonly leafHash: Uint8Array;
  readonly treeSize: number;
  readonly rootHash: Uint8Array;
}

/** A tree, and the later one that has to begin with it. */
export interface ConsistencyClaim {
  readonly oldSize: number;
  readonly oldRoot: Uint8Array;
  readonly newSize: number;
  readonly newRoot: Uint8Array;
}

/** RFC 9162, section 2.1.3.2. */
export function provesInclusion(claim: InclusionClaim, path: readonly Uint8Array[]): boolean {
  if (!isIndex(claim.leafIndex) || !isIndex(claim.treeSize) || claim.leafIndex >= claim.treeSize) return false;
  if (!path.every(isHash)) return false;
  let index = claim.leafIndex;
  let last = claim.treeSize - 1;
  let root = claim.leafHash;
  for (const sibling of path) {
    if (last === 0) return false;
    if (isOdd(index) || index === last) {
      root = nodeHash(sibling, root);
      while (!isOdd(index) && index !== 0) [index, last] = [half(index), half(last)];
    } else {
      root = nodeHash(root, sibling);
    }
    [index, last] = [half(index), half(last)];
  }
  return last === 0 && equal(root, claim.rootHash);
}

/** RFC 9162, section 2.1.4.2. Every tree is consistent with the empty one. */
export function provesConsistency(claim: ConsistencyClaim, path: readonly Uint8Array[]): boolean {
  const { oldSize, newSize } = claim;
  if (!isIndex(oldSize) || !isIndex(newSize) || oldSize > newSize || !path.every(isHash)) return false;
  if (oldSize === newSize) return path.length === 0 && equal(claim.oldRoot, claim.newRoot);
  if (oldSize === 0) return path.length === 0;
  let index = oldSize - 1;
  let last = newSize - 1;
  while (isOdd(index)) [index, last] = [half(index), half(last)];
  // An old tree that is one perfect subtree is known already.
  const [start, ...rest] = index === 0 ? [claim.oldRoot, ...path] : path;
  if (start === undefined) return false;
  let oldRoot = start;
  let newRoot = start;
  for (const sibling of rest) {
    if (last === 0) return false;
    if (isOdd(index) || index === last) {
      oldRoot = nodeHash(sibling, oldRoot);
      newRoot = nodeHash(sibling, newRoot);
      while (!isOdd(index) && index !== 0) [index, last] = [half(index), half(last)];
    } else {
      newRoot = nodeHash(newRoot, sibling);
    }
    [index, last] = [half(index), half(last)];
  }
  return last === 0 && equal(oldRoot, claim.oldRoot) && equal(newRoot, claim.newRoot);
}

export function equal(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

// Tree sizes may exceed 32 bits, which is all that bit operators take.
function isOdd(index: number): boolean {
  return index % 2 === 1;
}

function half(index: number): number {
  return Math.floor(index / 2);
}

function isIndex(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isHash(value: Uint8Array): boolean {
  return value.byteLength === HASH_BYTES;
}
