import { hkdfSync } from 'node:crypto';
import { createKeyring, type Suite } from '@keywright/envelope';
import { loadLibsodium } from '@keywright/envelope/libsodium';
import { xchacha20Poly1305 } from '@keywright/envelope/xchacha20-poly1305';
import { hkdf as nobleHkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { describe, expect, it } from 'vitest';
import * as nodeRuntime from '../src/runtime/node.ts';
import * as portableRuntime from '../src/runtime/portable.ts';
import { A256GCM as byNode } from '../src/suites/a256gcm.ts';
import { A256GCM as byNoble } from '../src/suites/a256gcm-noble.ts';
import { SUITES } from '../src/suites/suite.ts';
import { hex } from './support.ts';
import { type Group, readGroups, unhex, type Vector, wycheproof } from './wycheproof.ts';

const { xchacha20Poly1305: xchachaBySodium } = await loadLibsodium();
/** HMAC-SHA-256 and HKDF-SHA-512 of a runtime, from bytes. */
const runtimes = [
  {
    by: 'node:crypto',
    hmac: (key: Uint8Array, data: Uint8Array) => nodeRuntime.hmacSha256(nodeRuntime.secretKey(key), data),
    hkdf: (key: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number) =>
      nodeRuntime.hkdfSha512(nodeRuntime.secretKey(key), salt, info, length),
  },
  {
    by: '@noble/hashes',
    hmac: (key: Uint8Array, data: Uint8Array) => portableRuntime.hmacSha256(portableRuntime.secretKey(key), data),
    hkdf: (key: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number) =>
      portableRuntime.hkdfSha512(portableRuntime.secretKey(key), salt, info, length),
  },
];

/** What became of each vector of an AEAD. */
interface Tally {
  opened: number;
  refused: number;
  /** Nonces that the suite does not have: no key of it takes them, right though the vector may be. */
  nonceRefused: number;
  /** Keys that this package has no way to make. */
  keySize: number;
}

const AES_GCM: Tally = { opened: 39, refused: 27, nonceRefused: 39, keySize: 211 };
const XCHACHA20_POLY1305: Tally = { opened: 246, refused: 60, nonceRefused: 9, keySize: 0 };

describe.skipIf(wycheproof === undefined)('Wycheproof (needs its vectors)', () => {
  it.each<{ suite: Suite; file: string; expected: Tally }>([
    { suite: byNode, file: 'aes_gcm', expected: AES_GCM },
    { suite: byNoble, file: 'aes_gcm', expected: AES_GCM },
    { suite: xchacha20Poly1305, file: 'xchacha20_poly1305', expected: XCHACHA20_POLY1305 },
    { suite: xchachaBySodium, file: 'xchacha20_poly1305', expected: XCHACHA20_POLY1305 },
  ])('$suite.id by $suite.implementation passes $file', ({ suite, file, expected }) => {
    const tally: Tally = { opened: 0, refused: 0, nonceRefused: 0, keySize: 0 };
    for (const { group, vector } of vectorsOf(file)) {
      if (group.keySize === 256) checkAead(suite, group, vector, tally);
      else tally.keySize++;
    }
    expect(tally).toEqual(expected);
  });

  it('refuses as a key of the keyring what is not 256 bits long', () => {
    let count = 0;
    for (const { group, vector } of vectorsOf('aes_gcm')) {
      if (group.keySize === 256) continue;
      expect(() => createKeyring({ keys: { v1: unhex(vector.key) }, activeKid: 'v1' })).toThrow(/must be 32 bytes/);
      count++;
    }
    expect(count).toBe(AES_GCM.keySize);
  });

  it.each(runtimes)('HMAC-SHA-256 by $by passes hmac_sha256', ({ hmac }) => {
    const tally = { matched: 0, differs: 0 };
    for (const { group, vector } of vectorsOf('hmac_sha256')) {
      const mac = hmac(unhex(vector.key), unhex(vector.msg));
      const matches = hex(mac).slice(0, (group.tagSize ?? 0) / 4) === vector.tag;
      expect(matches, `${vector.tcId} ${vector.comment}`).toBe(vector.result === 'valid');
      tally[matches ? 'matched' : 'differs']++;
    }
    expect(tally).toEqual({ matched: 66, differs: 108 });
  });

  it.each(runtimes)('HKDF-SHA-512 by $by passes hkdf_sha512', ({ hkdf }) => {
    const tally = { derived: 0, refused: 0 };
    for (const { vector } of vectorsOf('hkdf_sha512')) {
      const { ikm, salt, info, size = 0, okm, result } = vector;
      const derive = () => hex(hkdf(unhex(ikm), unhex(salt), unhex(info), size));
      // The invalid ones ask for more than 255 blocks.
      if (result === 'valid') expect(derive(), `${vector.tcId}`).toBe(okm);
      else expect(derive, `${vector.tcId}`).toThrow();
      tally[result === 'valid' ? 'derived' : 'refused']++;
    }
    expect(tally).toEqual({ derived: 80, refused: 3 });
  });

  // What a key from a master secret is derived by, and what its own test compares it with.
  it.each([
    {
      by: 'node:crypto',
      hkdf: (ikm: Buffer, salt: Buffer, info: Buffer, length: number) =>
        new Uint8Array(hkdfSync('sha256', ikm, salt, info, length)),
    },
    {
      by: '@noble/hashes',
      hkdf: (ikm: Buffer, salt: Buffer, info: Buffer, length: number) => nobleHkdf(sha256, ikm, salt, info, length),
    },
  ])('HKDF-SHA-256 by $by passes hkdf_sha256', ({ hkdf }) => {
    const tally = { derived: 0, refused: 0 };
    for (const { vector } of vectorsOf('hkdf_sha256')) {
      const { ikm, salt, info, size = 0, okm, result } = vector;
      const derive = () => hex(hkdf(unhex(ikm), unhex(salt), unhex(info), size));
      if (result === 'valid') expect(derive(), `${vector.tcId}`).toBe(okm);
      else expect(derive, `${vector.tcId}`).toThrow();
      tally[result === 'valid' ? 'derived' : 'refused']++;
    }
    expect(tally).toEqual({ derived: 83, refused: 3 });
  });
});

function vectorsOf(file: string): { readonly group: Group; readonly vector: Vector }[] {
  return readGroups(file).flatMap((group) => group.tests.map((vector) => ({ group, vector })));
}

function checkAead(suite: Suite, group: Group, vector: Vector, tally: Tally): void {
  const [nonce, ad, plaintext] = [unhex(vector.iv), unhex(vector.aad), unhex(vector.msg)];
  const [ciphertext, tag] = [unhex(vector.ct), unhex(vector.tag)];
  const key = suite.importKey(unhex(vector.key));
  const what = `${vector.tcId} ${vector.comment}`;
  const opened = key.open(nonce, ad, ciphertext, tag);
  if (group.ivSize !== SUITES[suite.id].nonceLength * 8) {
    expect(opened, what).toBeUndefined();
    expect(() => key.seal(nonce, ad, plaintext), what).toThrow();
    tally.nonceRefused++;
  } else if (vector.result === 'valid') {
    expect(opened && hex(opened), what).toBe(vector.msg);
    const sealed = key.seal(nonce, ad, plaintext);
    expect([hex(sealed.ciphertext), hex(sealed.tag)], what).toEqual([vector.ct, vector.tag]);
    tally.opened++;
  } else {
    expect(opened, what).toBeUndefined();
    tally.refused++;
  }
}
