import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CompactTree, nodeHash, perfectRoot } from '../../src/audit/tree/merkle.ts';
import { consistencyPath, frontierOf, inclusionPath, type ReadTile, rootOf } from '../../src/audit/tree/nodes.ts';
import { provesConsistency, provesInclusion } from '../../src/audit/tree/proofs.ts';

// The leaves of the reference tests of Certificate Transparency (RFC 6962), and the roots of their trees by size:
// github.com/google/certificate-transparency, cpp/merkletree/merkle_tree_test.cc, Apache-2.0.
const INPUTS = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const INCLUSION: readonly [leaf: number, size: number, path: readonly string[]][] = [
  [0, 1, []],
  [
    0,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    5,
    8,
    [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [2, 3, ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125']],
  [
    1,
    5,
    [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
];
const CONSISTENCY: readonly [oldSize: number, size: number, path: readonly string[]][] = [
  [1, 1, []],
  [
    1,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    6,
    8,
    [
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [
    2,
    5,
    [
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
];

const sha256 = (...parts: readonly Uint8Array[]): Buffer => hash('sha256', Buffer.concat(parts), 'buffer');
const hex = (hashes: readonly Uint8Array[]): string[] => hashes.map((one) => Buffer.from(one).toString('hex'));
const leafOf = (data: Uint8Array): Buffer => sha256(Buffer.of(0), data);
const vectors = INPUTS.map((input) => leafOf(Buffer.from(input, 'hex')));
const many = Array.from({ length: 65_800 }, (_, index) => leafOf(Buffer.from(String(index))));

const roots = new Map<Uint8Array, Map<number, Uint8Array>>();

/** The definition of RFC 6962, section 2.1, by the book; trees that start with the same leaf are kept by their size. */
function mth(leaves: readonly Uint8Array[]): Uint8Array {
  const [first] = leaves;
  if (first === undefined) return sha256();
  if (leaves.length === 1) return first;
  const bySize = roots.get(first) ?? new Map<number, Uint8Array>();
  roots.set(first, bySize);
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  const root = bySize.get(leaves.length) ?? sha256(Buffer.of(1), mth(leaves.slice(0, k)), mth(leaves.slice(k)));
  bySize.set(leaves.length, root);
  return root;
}

/** Tiles of a tree in memory. */
function tilesOf(leaves: readonly Uint8Array[]): ReadTile {
  const levels: Uint8Array[][] = [[...leaves]];
  for (let below = levels[0] ?? []; below.length >= 256; below = levels.at(-1) ?? []) {
    const above: Uint8Array[] = [];
    for (let at = 0; at + 256 <= below.length; at += 256) above.push(mth(below.slice(at, at + 256)));
    levels.push(above);
  }
  return async (level, tile) => Buffer.concat((levels[level] ?? []).slice(tile * 256, tile * 256 + 256));
}

describe('the Merkle tree', () => {
  it('has the roots of the reference vectors of RFC 6962, however it is computed', async () => {
    for (const [size, root] of ROOTS.entries()) {
      const tree = new CompactTree();
      for (const leaf of vectors.slice(0, size)) tree.append(leaf);
      expect(hex([tree.root(), await rootOf(tilesOf(vectors.slice(0, size)), size)])).toEqual([root, root]);
    }
    expect(hex([perfectRoot(Buffer.concat(vectors))])).toEqual([ROOTS[8]]);
    expect(nodeHash(vectors[0] as Buffer, vectors[1] as Buffer).toString('hex')).toBe(ROOTS[2]);
  });

  it.each(INCLUSION)('proves leaf %i in the tree of %i as the reference vectors do', async (leaf, size, path) => {
    expect(hex(await inclusionPath(tilesOf(vectors), leaf, size))).toEqual(path);
    const rootHash = Buffer.from(ROOTS[size] ?? '', 'hex');
    const claim = { leafIndex: leaf, leafHash: vectors[leaf] as Buffer, treeSize: size, rootHash };
    const hashes = path.map((one) => Buffer.from(one, 'hex'));
    expect(provesInclusion(claim, hashes)).toBe(true);
    expect(provesInclusion({ ...claim, leafIndex: leaf + 1 }, hashes)).toBe(false);
    expect(provesInclusion({ ...claim, treeSize: size + 8 }, hashes)).toBe(false);
    expect(provesInclusion({ ...claim, rootHash: Buffer.alloc(32) }, hashes)).toBe(false);
    expect(provesInclusion(claim, [...hashes, Buffer.alloc(32)])).toBe(false);
    expect(provesInclusion(claim, [Buffer.alloc(31), ...hashes.slice(1)])).toBe(false);
  });

  it.each(CONSISTENCY)('proves tree %i in the tree of %i as the reference vectors do', async (oldSize, size, path) => {
    expect(hex(await consistencyPath(tilesOf(vectors), oldSize, size))).toEqual(path);
    const [oldRoot, newRoot] = [ROOTS[oldSize], ROOTS[size]].map((root) => Buffer.from(root ?? '', 'hex'));
    const claim = { oldSize, oldRoot: oldRoot as Buffer, newSize: size, newRoot: newRoot as Buffer };
    const hashes = path.map((one) => Buffer.from(one, 'hex'));
    expect(provesConsistency(claim, hashes)).toBe(true);
    expect(provesConsistency({ ...claim, oldRoot: Buffer.alloc(32) }, hashes)).toBe(false);
    expect(provesConsistency({ ...claim, newRoot: Buffer.alloc(32) }, hashes)).toBe(false);
    expect(provesConsistency(claim, [...hashes, Buffer.alloc(32)])).toBe(false);
    expect(provesConsistency(claim, hashes.slice(1))).toBe(hashes.length === 0);
  });

  it('proves every leaf of, and every earlier tree in, trees around the width of a tile', async () => {
    for (const size of [255, 256, 257, 513, 65_536, 65_800]) {
      const leaves = many.slice(0, size);
      const read = tilesOf(leaves);
      const rootHash = mth(leaves);
      expect(hex([await rootOf(read, size)])).toEqual(hex([rootHash]));
      const some = [0, 254, 255, 256, 300, 511, 65_535, size - 1];
      for (const leafIndex of some.filter((leaf) => leaf < size)) {
        const claim = { leafIndex, leafHash: leaves[leafIndex] as Buffer, treeSize: size, rootHash };
        expect(provesInclusion(claim, await inclusionPath(read, leafIndex, size))).toBe(true);
        const oldSize = leafIndex + 1;
        const earlier = { oldSize, oldRoot: mth(leaves.slice(0, oldSize)), newSize: size, newRoot: rootHash };
        expect(provesConsistency(earlier, await consistencyPath(read, oldSize, size))).toBe(true);
      }
    }
  });

  it('goes on from its frontier', async () => {
    for (const [from, size] of [
      [0, 5],
      [1, 3],
      [255, 300],
      [256, 257],
      [300, 65_800],
    ] as const) {
      const tree = new CompactTree(from, await frontierOf(tilesOf(many), from));
      for (const leaf of many.slice(from, size)) tree.append(leaf);
      expect(hex([tree.root()])).toEqual(hex([mth(many.slice(0, size))]));
    }
    expect(() => new CompactTree(3, [Buffer.alloc(32)])).toThrow(RangeError);
    expect(() => new CompactTree(1, [Buffer.alloc(31)])).toThrow(RangeError);
  });
});
