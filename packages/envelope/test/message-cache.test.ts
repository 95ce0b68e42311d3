import { randomBytes } from 'node:crypto';
import { createKeyring, type Suite } from '@keywright/envelope';
import { describe, expect, it } from 'vitest';
import { A256GCM } from '../src/runtime/node.ts';
import { CONTEXT, KEYS, thrown } from './support.ts';

const options = { context: CONTEXT };

/** A keyring that counts how often it derives a message key. */
function counting() {
  const derived = { count: 0 };
  const suite: Suite = {
    ...A256GCM,
    importKey: (key) => {
      derived.count++;
      return A256GCM.importKey(key);
    },
  };
  return { keyring: createKeyring({ keys: KEYS, activeKid: 'v1', suite }), derived };
}

/** Envelopes of other writers, each with a salt of its own. */
function fromWriters(count: number) {
  return Array.from({ length: count }, () => createKeyring({ keys: KEYS, activeKid: 'v1' }).encrypt('x', options));
}

describe('message keys that have been read', () => {
  it('are derived once for each salt, in any order of reading', () => {
    const { keyring, derived } = counting();
    const envelopes = fromWriters(5);
    for (const envelope of [...envelopes, ...envelopes.toReversed(), ...envelopes]) keyring.decrypt(envelope, options);
    expect(derived.count).toBe(5);
  });

  it('are not pushed out by salts that nobody wrote', () => {
    const { keyring, derived } = counting();
    const [first, second] = fromWriters(2) as [object, { iv: string }];
    for (const envelope of [first, second]) keyring.decrypt(envelope, options);
    const before = derived.count;
    for (let junk = 0; junk < 5000; junk++) {
      const forged = { ...second, iv: Buffer.concat([randomBytes(16), Buffer.alloc(12)]).toString('base64') };
      expect(thrown(() => keyring.decrypt(forged, options)).code).toBe('ERR_ENVELOPE_DECRYPT');
    }
    expect(derived.count).toBe(before + 5000);
    for (const envelope of [first, second]) keyring.decrypt(envelope, options);
    expect(derived.count).toBe(before + 5000);
  });

  it('are forgotten when the key changes its state', () => {
    const { keyring, derived } = counting();
    const [envelope] = fromWriters(1);
    keyring.decrypt(envelope, options);
    keyring.activate('v2');
    keyring.decrypt(envelope, options);
    expect(derived.count).toBe(2);
  });

  it('are bounded: what was read longest ago is derived again', () => {
    const { keyring, derived } = counting();
    const envelopes = fromWriters(3000);
    for (const envelope of envelopes) keyring.decrypt(envelope, options);
    expect(derived.count).toBe(3000);
    keyring.decrypt(envelopes[0], options);
    expect(derived.count).toBe(3001);
    keyring.decrypt(envelopes[2999], options);
    expect(derived.count).toBe(3001);
  });
});
