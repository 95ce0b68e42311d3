import type { Cube } from './gcm-collision.ts';

// Bytes of one ciphertext are two plaintexts, which differ by the difference of the keystreams. For both to be JSON, each
// byte has to be of a class that fits in both at once; UTF-8 sequences make that a path through states.

/** How many continuation bytes each of the two texts still owes. */
type State = readonly [number, number];
interface Class extends Cube {
  /** Continuation bytes owed before and after it. */
  readonly before: number;
  readonly after: number;
}
interface Step {
  readonly cube: Cube;
  readonly freeBits: number;
  readonly from: Step | undefined;
}

const QUOTE = 0x22;

/** Sets of bytes that stand in a JSON string and that a fixed part of their bits tells: no quote, no backslash. */
const CLASSES: readonly Class[] = [
  { mask: 0b1110_0000, value: 0b0110_0000, before: 0, after: 0 }, // ` to DEL
  { mask: 0b1111_0000, value: 0b0100_0000, before: 0, after: 0 }, // @ to O
  { mask: 0b1111_1000, value: 0b0101_0000, before: 0, after: 0 }, // P to W
  { mask: 0b1111_0000, value: 0b0011_0000, before: 0, after: 0 }, // 0 to ?
  { mask: 0b1111_1000, value: 0b0010_1000, before: 0, after: 0 }, // ( to /
  { mask: 0b1111_0000, value: 0b1101_0000, before: 0, after: 1 }, // two bytes from here
  { mask: 0b1111_1000, value: 0b1100_1000, before: 0, after: 1 },
  { mask: 0b1111_1100, value: 0b1110_0100, before: 0, after: 2 }, // three bytes from here
  { mask: 0b1111_1100, value: 0b1110_1000, before: 0, after: 2 },
  { mask: 0b1111_1110, value: 0b1110_1110, before: 0, after: 2 },
  { mask: 0b1111_1110, value: 0b1111_0010, before: 0, after: 3 }, // four bytes from here
  { mask: 0b1100_0000, value: 0b1000_0000, before: 1, after: 0 },
  { mask: 0b1100_0000, value: 0b1000_0000, before: 2, after: 1 },
  { mask: 0b1100_0000, value: 0b1000_0000, before: 3, after: 2 },
];

/**
 * What each byte of a ciphertext has to keep for both of its plaintexts to be the UTF-8 of a JSON string.
 *
 * @param a keystream under one key
 * @param b keystream under the other, as long
 * @returns `undefined` where the keystreams do not allow it
 */
export function twoJsonStrings(a: Uint8Array, b: Uint8Array): Cube[] | undefined {
  const last = a.length - 1;
  if (a[0] !== b[0] || a[last] !== b[last]) return undefined;
  let reached = new Map<string, Step>([['0,0', { cube: quote(a, 0), freeBits: 0, from: undefined }]]);
  for (let at = 1; at < last; at++) {
    reached = advance(reached, a[at] as number, b[at] as number);
    if (reached.size === 0) return undefined;
  }
  const end = reached.get('0,0');
  if (end === undefined) return undefined;
  const cubes: Cube[] = [quote(a, last)];
  for (let step: Step | undefined = end; step !== undefined; step = step.from) cubes.unshift(step.cube);
  return cubes;
}

/** From each state the class pairs that fit this byte, keeping the path with the most free bits. */
function advance(reached: ReadonlyMap<string, Step>, a: number, b: number): Map<string, Step> {
  const next = new Map<string, Step>();
  for (const [name, from] of reached) {
    const [owedByA, owedByB] = name.split(',').map(Number) as unknown as State;
    for (const ofA of CLASSES.filter(({ before }) => before === owedByA)) {
      for (const ofB of CLASSES.filter(({ before }) => before === owedByB)) {
        const [inA, inB] = [ofA.value ^ (a & ofA.mask), ofB.value ^ (b & ofB.mask)];
        if (((inA ^ inB) & ofA.mask & ofB.mask) !== 0) continue;
        const mask = ofA.mask | ofB.mask;
        const freeBits = from.freeBits + 8 - mask.toString(2).replaceAll('0', '').length;
        const key = `${ofA.after},${ofB.after}`;
        if (freeBits <= (next.get(key)?.freeBits ?? -1)) continue;
        next.set(key, { cube: { mask, value: inA | inB }, freeBits, from });
      }
    }
  }
  return next;
}

function quote(keystream: Uint8Array, at: number): Cube {
  return { mask: 0xff, value: QUOTE ^ (keystream[at] as number) };
}
