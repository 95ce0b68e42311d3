import { createKeyring, type Suite } from '@keywright/envelope';
import { decryptCredentials } from '@keywright/envelope/compat';
import { describe, expect, it } from 'vitest';
import { A256GCM as byNode } from '../src/suites/a256gcm.ts';
import { A256GCM as byNoble } from '../src/suites/a256gcm-noble.ts';
import { type Cube, collide, keystreamOf, type Side } from './gcm-collision.ts';
import { sealWith, type Type } from './interop/independent.ts';
import { CONTEXT, hex, KEYS, thrown } from './support.ts';
import { twoJsonStrings } from './two-json-texts.ts';

const NO_DATA = new Uint8Array(0);
const LENGTH = 48;
const ANYTHING: readonly Cube[] = Array.from({ length: 48 }, () => ({ mask: 0, value: 0 }));
const A = KEYS.v1;
const B = KEYS.v2;

/** As version 1 uses a key. */
function sideOf(key: Uint8Array): Side {
  return { key, associatedData: NO_DATA };
}

function opensUnder(suite: Suite, side: Side, nonce: Uint8Array, { ciphertext, tag }: Opened): string | undefined {
  const plaintext = suite.importKey(side.key).open(nonce, side.associatedData, ciphertext, tag);
  return plaintext && hex(plaintext);
}
interface Opened {
  readonly ciphertext: Uint8Array;
  readonly tag: Uint8Array;
}

describe('AES-GCM does not commit to its key', () => {
  it.each([byNode, byNoble])('one ciphertext opens under two keys ($implementation)', (suite) => {
    const nonce = Buffer.alloc(12, 5);
    const [a, b]: [Side, Side] = [sideOf(A), sideOf(B)];
    const made = collide(nonce, a, b, ANYTHING) as Opened;
    const [one, other] = [a, b].map((side) => opensUnder(suite, side, nonce, made));
    expect([one, other].map((plaintext) => plaintext?.length)).toEqual([96, 96]);
    expect(one).not.toBe(other);
  });

  it('nor does version 1: one envelope is two JSON values, each valid under its kid', () => {
    const { nonce, cubes } = nonceForTwoStrings();
    const made = collide(nonce, sideOf(A), sideOf(B), cubes) as Opened;
    const iv = nonce.toString('base64');
    const ct = Buffer.concat([made.ciphertext, made.tag]).toString('base64');
    const keyring = createKeyring({ keys: { a: A, b: B }, activeKid: 'a' });
    const values = ['a', 'b'].map((kid) => keyring.decrypt({ __enc: 1, kid, iv, ct }, { context: {} }));
    expect(values.map((value) => typeof value)).toEqual(['string', 'string']);
    expect(values[0]).not.toBe(values[1]);
    // The kid need not even change: another keyring has another key under it.
    const impostor = createKeyring({ keys: { a: B }, activeKid: 'a' });
    expect(decryptCredentials({ __enc: 1, kid: 'a', iv, ct }, impostor)).toBe(values[1]);
  });
});

describe('version 2 commits to its key', () => {
  it.each<[Type, string, string]>([
    ['bytes', 'a', 'a'],
    ['bytes', 'a', 'b'],
  ])('the same attack on it (%s, kids %s and %s) opens under one key at most', (type, kidOfA, kidOfB) => {
    const [salt, nonce] = [Buffer.alloc(16, 3), Buffer.alloc(12, 5)];
    const steps = (key: Uint8Array, kid: string) =>
      sealWith({ suite: 'A256GCM', key, kid, type, context: CONTEXT }, salt, nonce, NO_DATA);
    const [ofA, ofB] = [steps(A, kidOfA), steps(B, kidOfB)];
    const [a, b] = [ofA, ofB].map(({ messageKey, associatedData }) => ({ key: messageKey, associatedData })) as [
      Side,
      Side,
    ];
    const made = collide(nonce, a, b, ANYTHING) as Opened;

    // The AEAD below opens it under both message keys: only the commitment stands in the way.
    expect(opensUnder(byNode, a, nonce, made)).toHaveLength(96);
    expect(opensUnder(byNode, b, nonce, made)).toHaveLength(96);

    const keyringA = createKeyring({ keys: { [kidOfA]: A }, activeKid: kidOfA });
    const keyringB = createKeyring({ keys: { [kidOfB]: B }, activeKid: kidOfB });
    const open = (keyring: typeof keyringA, kid: string, commitment: Uint8Array): string => {
      const header = Buffer.from([0x4b, 0x57, 2, 1, kid.length, ...Buffer.from(kid)]);
      const envelope = Buffer.concat([header, salt, nonce, commitment, made.ciphertext, made.tag]);
      return hex(keyring.decryptBytes(envelope, { context: CONTEXT }));
    };
    expect(open(keyringA, kidOfA, ofA.commitment)).toHaveLength(96);
    expect(open(keyringB, kidOfB, ofB.commitment)).toHaveLength(96);
    expect(hex(ofA.commitment)).not.toBe(hex(ofB.commitment));
    expect(thrown(() => open(keyringB, kidOfB, ofA.commitment)).code).toBe('ERR_ENVELOPE_DECRYPT');
    expect(thrown(() => open(keyringA, kidOfA, ofB.commitment)).code).toBe('ERR_ENVELOPE_DECRYPT');
  });
});

/** A nonce under which one ciphertext can be two JSON strings: the attacker tries until the keystreams fit. */
function nonceForTwoStrings(): { nonce: Buffer; cubes: Cube[] } {
  const nonce = Buffer.alloc(12);
  const [underA, underB] = [keystreamOf(A), keystreamOf(B)];
  for (let attempt = 0; attempt < 2 ** 20; attempt++) {
    nonce.writeUInt32BE(attempt, 8);
    const cubes = twoJsonStrings(underA(nonce, LENGTH), underB(nonce, LENGTH));
    if (cubes !== undefined) return { nonce, cubes };
  }
  throw new Error('no nonce found');
}
