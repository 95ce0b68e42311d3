// The attack that a commitment is there against: one AES-GCM ciphertext that opens under two keys (Dodis et al., "Fast
// Message Franking", 2018; Albertini et al., 2022). GHASH is linear over GF(2), so whoever knows both keys solves for
// ciphertext bits that make the two tags equal.
import { createCipheriv } from 'node:crypto';

const BLOCK = 16;
const R = 0xe1n << 120n;

/** One side of the attack: a key and the associated data that it will be used with. */
export interface Side {
  readonly key: Uint8Array;
  readonly associatedData: Uint8Array;
}

/** Bits of a byte that may not change, and what they are. */
export interface Cube {
  readonly mask: number;
  readonly value: number;
}

export interface Collision {
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
}

/**
 * Solves for a ciphertext that has one tag under both keys.
 *
 * @param cubes for each byte of the ciphertext what has to stay; needs 128 free bits and some
 * @returns `undefined` where the free bits do not span the equation
 */
export function collide(nonce: Uint8Array, a: Side, b: Side, cubes: readonly Cube[]): Collision | undefined {
  const base = Buffer.from(cubes.map(({ value }) => value));
  // Σ C_j · (Ha^e ⊕ Hb^e) = target: each free bit of C adds its own constant.
  const [ha, hb] = [hashKey(a.key), hashKey(b.key)];
  const blocks = Math.ceil(base.length / BLOCK);
  const rows: { vector: bigint; uses: bigint }[] = [];
  const free: { at: number; bit: number }[] = [];
  for (let block = 0; block < blocks; block++) {
    const weight = power(ha, blocks + 1 - block) ^ power(hb, blocks + 1 - block);
    for (let at = block * BLOCK; at < Math.min((block + 1) * BLOCK, base.length); at++) {
      for (let bit = 0; bit < 8; bit++) {
        if (((cubes[at] as Cube).mask >> bit) & 1) continue;
        rows.push({ vector: multiply(bitAt(at % BLOCK, bit), weight), uses: 1n << BigInt(free.length) });
        free.push({ at, bit });
      }
    }
  }
  const solution = solve(rows, tagOf(nonce, a, base) ^ tagOf(nonce, b, base));
  if (solution === undefined) return undefined;
  for (const [index, { at, bit }] of free.entries()) {
    if ((solution >> BigInt(index)) & 1n) base[at] = (base[at] as number) ^ (1 << bit);
  }
  return { ciphertext: base, tag: toBytes(tagOf(nonce, a, base)) };
}

/** What GCM adds to a plaintext under a key, by nonce. One cipher for all nonces: to make one costs more than to use it. */
export function keystreamOf(key: Uint8Array): (nonce: Uint8Array, length: number) => Buffer {
  const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false);
  return (nonce, length) => {
    const counters = Array.from({ length: length / BLOCK }, (_, block) => counter(nonce, block + 2));
    return cipher.update(Buffer.concat(counters));
  };
}

function tagOf(nonce: Uint8Array, { key, associatedData }: Side, ciphertext: Uint8Array): bigint {
  const lengths = Buffer.alloc(BLOCK);
  lengths.writeBigUInt64BE(BigInt(associatedData.length * 8), 0);
  lengths.writeBigUInt64BE(BigInt(ciphertext.length * 8), 8);
  const h = hashKey(key);
  let hash = 0n;
  for (const part of [associatedData, ciphertext, lengths]) {
    for (let at = 0; at < part.length; at += BLOCK) hash = multiply(hash ^ fromBytes(part.subarray(at, at + BLOCK)), h);
  }
  return hash ^ fromBytes(encryptBlock(key, counter(nonce, 1)));
}

/** Gauss over GF(2): which rows add up to `target`, as bits of their `uses`. */
function solve(
  rows: readonly { readonly vector: bigint; readonly uses: bigint }[],
  target: bigint,
): bigint | undefined {
  const pivots = new Map<number, { vector: bigint; uses: bigint }>();
  const reduce = (row: { vector: bigint; uses: bigint }): { vector: bigint; uses: bigint } => {
    let { vector, uses } = row;
    while (vector !== 0n) {
      const pivot = pivots.get(degree(vector));
      if (pivot === undefined) break;
      vector ^= pivot.vector;
      uses ^= pivot.uses;
    }
    return { vector, uses };
  };
  for (const row of rows) {
    const reduced = reduce(row);
    if (reduced.vector !== 0n) pivots.set(degree(reduced.vector), reduced);
  }
  const rest = reduce({ vector: target, uses: 0n });
  return rest.vector === 0n ? rest.uses : undefined;
}

function degree(value: bigint): number {
  return value.toString(2).length;
}

/** GF(2^128) as GCM has it: the first bit of a block is the coefficient of x^0 (NIST SP 800-38D, section 6.3). */
function multiply(x: bigint, y: bigint): bigint {
  let product = 0n;
  let v = y;
  for (let bit = 127n; bit >= 0n; bit--) {
    if ((x >> bit) & 1n) product ^= v;
    v = v & 1n ? (v >> 1n) ^ R : v >> 1n;
  }
  return product;
}

function power(base: bigint, exponent: number): bigint {
  let result = base;
  for (let index = 1; index < exponent; index++) result = multiply(result, base);
  return result;
}

function bitAt(byte: number, bit: number): bigint {
  return 1n << BigInt((BLOCK - 1 - byte) * 8 + bit);
}

function hashKey(key: Uint8Array): bigint {
  return fromBytes(encryptBlock(key, Buffer.alloc(BLOCK)));
}

function encryptBlock(key: Uint8Array, block: Uint8Array): Buffer {
  return createCipheriv('aes-256-ecb', key, null).update(block);
}

function counter(nonce: Uint8Array, count: number): Buffer {
  return Buffer.from([...nonce, 0, 0, 0, count]);
}

/** A block that is cut short counts as filled up with zeros. */
function fromBytes(bytes: Uint8Array): bigint {
  return BigInt(
    `0x${Buffer.from(bytes)
      .toString('hex')
      .padEnd(2 * BLOCK, '0')}`,
  );
}

function toBytes(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(2 * BLOCK, '0'), 'hex');
}
