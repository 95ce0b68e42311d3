import { createKeyring, generateKeyBase64, type Suite } from '@keywright/envelope';
import { keyringConformance, keyWrapperConformance, suiteConformance } from '@keywright/envelope/conformance';
import { loadLibsodium } from '@keywright/envelope/libsodium';
import { xchacha20Poly1305 } from '@keywright/envelope/xchacha20-poly1305';
import { expect, it } from 'vitest';
import { A256GCM } from '../src/runtime/node.ts';
import { A256GCM as byNode } from '../src/suites/a256gcm.ts';
import { A256GCM as byNoble } from '../src/suites/a256gcm-noble.ts';
import { secretboxByNoble } from './interop/secretbox.ts';

const { xchacha20Poly1305: xchachaBySodium, secretbox } = await loadLibsodium();
const suites: readonly [Suite, Suite][] = [
  [byNode, byNoble],
  [byNoble, byNode],
  [xchacha20Poly1305, xchachaBySodium],
  [xchachaBySodium, xchacha20Poly1305],
  [secretbox, secretboxByNoble],
];

it('computes AES with what the runtime of this project has', () => {
  const expected = process.env.KEYWRIGHT_RUNTIME === 'portable' ? '@noble/ciphers' : 'node:crypto';
  expect(A256GCM.implementation).toBe(expected);
});

for (const [suite, reference] of suites) {
  suiteConformance(`${suite.id} by ${suite.implementation}`, () => suite, { reference: () => reference });
}

for (const suite of [A256GCM, xchacha20Poly1305, xchachaBySodium, secretbox]) {
  keyringConformance(`with ${suite.id} by ${suite.implementation}`, (options) => createKeyring({ ...options, suite }));
}

keyWrapperConformance('keyring', async () => {
  const [a, b] = [generateKeyBase64(), generateKeyBase64()];
  return {
    wrapper: createKeyring({ keys: { a, b }, activeKid: 'a' }),
    otherKid: 'b',
    rotated: createKeyring({ keys: { a, b }, activeKid: 'b' }),
    narrower: createKeyring({ keys: { b }, activeKid: 'b' }),
    impostor: createKeyring({ keys: { a: generateKeyBase64() }, activeKid: 'a' }),
    secrets: [a, b],
    dispose: async () => {},
  };
});
