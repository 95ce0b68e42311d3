import { createKeyring, type Keyring } from '@keywright/envelope';
import { encryptCredentials } from '@keywright/envelope/compat';
import { describe, expect, it } from 'vitest';
import { CONTEXT, KEYS, testKeyring, thrown } from './support.ts';

/** A context whose reading runs `work`, as a getter or a proxy of the caller's may. */
function contextThat(work: () => void): typeof CONTEXT {
  return {
    ...CONTEXT,
    get tenant(): string {
      work();
      return CONTEXT.tenant;
    },
  };
}

describe("the caller's code in the middle of a message", () => {
  const keyring = testKeyring();
  const a = keyring.encrypt('A'.repeat(100), { context: CONTEXT });
  const b = keyring.encrypt('B'.repeat(100), { context: CONTEXT });
  const others: Record<string, () => unknown> = {
    'decrypts another': () => keyring.decrypt(b, { context: CONTEXT }),
    'fails to decrypt another': () => thrown(() => keyring.decrypt(b, { context: {} })),
    'encrypts another': () => keyring.encrypt('C', { context: { other: 'context', of: 'another length' } }),
    'encrypts bytes': () => keyring.encryptBytes(KEYS.v2, { context: {} }),
  };

  it.each(Object.entries(others))('that %s, changes nothing', (_what, other) => {
    const context = contextThat(() => void other());
    expect(keyring.decrypt(a, { context })).toBe('A'.repeat(100));
    expect(keyring.decrypt(keyring.encrypt('x', { context }), { context: CONTEXT })).toBe('x');
    const bytes = keyring.encryptBytes(KEYS.v1, { context });
    expect(keyring.decryptBytes(bytes, { context })).toEqual(KEYS.v1);
    const value = {
      toJSON: () => {
        other();
        return 'from toJSON';
      },
    };
    expect(keyring.decrypt(keyring.encrypt(value, { context: CONTEXT }), { context: CONTEXT })).toBe('from toJSON');
  });
});

describe('a key taken out of use in the middle of a message', () => {
  const retire = (keyring: Keyring, how: 'disable' | 'destroy') => (): string => {
    if (keyring.activeKid !== 'v1') return 'again';
    keyring.activate('v2');
    keyring[how]('v1');
    return 'x';
  };

  it.each(['disable', 'destroy'] as const)('is not used any more: %s', (how) => {
    const encrypting = testKeyring();
    expect(encrypting.encrypt('x', { context: contextThat(retire(encrypting, how)) }).kid).toBe('v2');
    const stringifying = testKeyring();
    const value = { toJSON: retire(stringifying, how) };
    expect(stringifying.encrypt(value, { context: CONTEXT }).kid).toBe('v2');
    const compat = testKeyring();
    expect(encryptCredentials({ toJSON: retire(compat, how) }, compat).kid).toBe('v2');
    const decrypting = testKeyring();
    const envelope = decrypting.encrypt('x', { context: CONTEXT });
    const context = contextThat(retire(decrypting, how));
    expect(thrown(() => decrypting.decrypt(envelope, { context })).code).toBe('ERR_KEYRING_KEY_NOT_USABLE');
  });
});

it('a wrapped key names the key that was really used, also when its context rotates the keyring', async () => {
  const keyring = testKeyring();
  const context = contextThat(() => keyring.activate('v2'));
  const wrapped = await keyring.wrapKey(KEYS.v1, { context });
  expect(wrapped.kid).toBe('v2');
  expect(await keyring.unwrapKey(wrapped, { context: CONTEXT })).toEqual(KEYS.v1);
});

it.each(['disable', 'destroy'] as const)(
  'a key that the hook for version 1 takes out of use is not used: %s',
  (how) => {
    const keyring: Keyring = createKeyring({
      keys: KEYS,
      activeKid: 'v1',
      onV1Use: (kid) => {
        if (kid !== 'v1') return;
        keyring.activate('v2');
        keyring[how](kid);
      },
    });
    expect(thrown(() => encryptCredentials('x', keyring)).code).toBe('ERR_KEYRING_KEY_NOT_USABLE');
    expect(encryptCredentials('x', keyring).kid).toBe('v2');
  },
);

describe('large values and contexts', () => {
  it('leave no large buffer behind', () => {
    const keyring = createKeyring({ keys: { v1: KEYS.v1 }, activeKid: 'v1' });
    const settle = (): number => {
      globalThis.gc?.();
      return process.memoryUsage().arrayBuffers;
    };
    keyring.encrypt('x'.repeat(3e6), { context: CONTEXT });
    const before = settle();
    for (let round = 0; round < 3; round++) {
      const context = { long: 'é'.repeat(5e6) };
      expect(keyring.decrypt(keyring.encrypt('x'.repeat(2e7), { context }), { context })).toHaveLength(2e7);
    }
    expect(settle() - before).toBeLessThan(globalThis.gc === undefined ? Number.POSITIVE_INFINITY : 8e6);
  });
});
