import { describe, expect, it } from 'vitest';
import type { CreateKeyringOptions, Keyring } from '../keyring.ts';

const A: Uint8Array = new Uint8Array(32).fill(0xa1);
const B: Uint8Array = new Uint8Array(32).fill(0xb2);
const CONTEXT = { tenant: 'acme', table: 'connections', column: 'credentials', id: '42' };

/**
 * Registers the tests that every keyring has to pass, in a vitest file: what its forms bind, which key does what in which
 * state, and by which code it refuses.
 *
 * @param makeKeyring makes a keyring of these keys; it may add options of its own, such as a suite
 *
 * @example
 * ```ts
 * import { createKeyring } from '@keywright/envelope';
 * import { keyringConformance } from '@keywright/envelope/conformance';
 * import { xchacha20Poly1305 } from '@keywright/envelope/xchacha20-poly1305';
 *
 * keyringConformance('with XChaCha20', (options) => createKeyring({ ...options, suite: xchacha20Poly1305 }));
 * ```
 */
export function keyringConformance(
  name: string,
  makeKeyring: (options: CreateKeyringOptions) => Keyring | Promise<Keyring>,
): void {
  const ofA = async () => makeKeyring({ keys: { a: A }, activeKid: 'a' });
  const ofBoth = async () => makeKeyring({ keys: { a: A, b: B }, activeKid: 'a' });

  describe(`keyring ${name}`, () => {
    describe.each(FORMS)('$form', ({ seal, open, kidOf }) => {
      it('opens under its context, whatever the order of the pairs', async () => {
        const keyring = await ofA();
        const envelope = seal(keyring, CONTEXT);
        expect(open(keyring, envelope, CONTEXT)).toBe('the value 🔑');
        expect(open(keyring, envelope, Object.fromEntries(Object.entries(CONTEXT).toReversed()))).toBe('the value 🔑');
        expect(open(await ofA(), envelope, CONTEXT)).toBe('the value 🔑');
      });

      it('never looks alike twice', async () => {
        const keyring = await ofA();
        const texts = Array.from({ length: 100 }, () => textOf(seal(keyring, CONTEXT)));
        expect(new Set(texts).size).toBe(100);
      });

      it('opens under no other context', async () => {
        const keyring = await ofA();
        const envelope = seal(keyring, CONTEXT);
        for (const context of otherContexts()) {
          expect(codeOf(() => open(keyring, envelope, context))).toBe('ERR_ENVELOPE_DECRYPT');
        }
      });

      it('opens under no other key of the same id', async () => {
        const impostor = await makeKeyring({ keys: { a: B }, activeKid: 'a' });
        const envelope = seal(await ofA(), CONTEXT);
        expect(codeOf(() => open(impostor, envelope, CONTEXT))).toBe('ERR_ENVELOPE_DECRYPT');
      });

      it('is looked for under its kid and under no other', async () => {
        const onlyB = await makeKeyring({ keys: { b: B }, activeKid: 'b' });
        const envelope = seal(await ofA(), CONTEXT);
        expect(codeOf(() => open(onlyB, envelope, CONTEXT))).toBe('ERR_KEYRING_KID_UNKNOWN');
      });

      it('is made by the active key and opened by the one before it', async () => {
        const keyring = await ofA();
        const before = seal(keyring, CONTEXT);
        keyring.add('b', B);
        expect(kidOf(seal(keyring, CONTEXT))).toBe('a');
        keyring.activate('b');
        expect(kidOf(seal(keyring, CONTEXT))).toBe('b');
        expect(open(keyring, before, CONTEXT)).toBe('the value 🔑');
      });

      it('is refused while its key is disabled, opened when it is enabled, and never after it is destroyed', async () => {
        const keyring = await ofBoth();
        const envelope = seal(keyring, CONTEXT);
        expect(open(keyring, envelope, CONTEXT)).toBe('the value 🔑');
        keyring.activate('b');
        keyring.disable('a');
        expect(codeOf(() => open(keyring, envelope, CONTEXT))).toBe('ERR_KEYRING_KEY_NOT_USABLE');
        keyring.enable('a');
        expect(open(keyring, envelope, CONTEXT)).toBe('the value 🔑');
        keyring.destroy('a');
        expect(codeOf(() => open(keyring, envelope, CONTEXT))).toBe('ERR_KEYRING_KEY_NOT_USABLE');
        expect(codeOf(() => keyring.add('a', A))).toBe('ERR_KEYRING_KID_DUPLICATE');
      });

      it.each<[string, unknown]>([
        ['nothing', undefined],
        ['a Map', new Map([['tenant', 'acme']])],
        ['a number in it', { tenant: 42 }],
        ['a lone surrogate in it', { tenant: '\ud800' }],
      ])('takes no context that is %s', async (_what, context) => {
        const keyring = await ofA();
        const envelope = seal(keyring, CONTEXT);
        expect(codeOf(() => seal(keyring, context as never))).toBe('ERR_ENVELOPE_INVALID_CONTEXT');
        expect(codeOf(() => open(keyring, envelope, context as never))).toBe('ERR_ENVELOPE_INVALID_CONTEXT');
      });
    });

    it('refuses the state changes that would leave it without an active key', async () => {
      const keyring = await ofBoth();
      for (const change of [() => keyring.disable('a'), () => keyring.enable('a'), () => keyring.destroy('a')]) {
        expect(codeOf(change)).toBe('ERR_KEYRING_STATE_CONFLICT');
      }
      expect(codeOf(() => keyring.activate('c'))).toBe('ERR_KEYRING_KID_UNKNOWN');
      expect([keyring.activeKid, keyring.state('a'), keyring.state('b')]).toEqual(['a', 'active', 'decrypt-only']);
    });

    it('authenticates under the active key, for one purpose', async () => {
      const keyring = await ofBoth();
      const keyed = keyring.mac('test.purpose', ['a', 'b']);
      keyring.activate('b');
      expect(keyed.kid).toBe('a');
      expect(keyring.verifyMac('test.purpose', ['a', 'b'], keyed)).toBe(true);
      expect(keyring.verifyMac('test.other', ['a', 'b'], keyed)).toBe(false);
      expect(keyring.verifyMac('test.purpose', ['ab'], keyed)).toBe(false);
      expect(keyring.verifyMac('test.purpose', ['a', 'b'], { ...keyed, kid: 'b' })).toBe(false);
    });

    it('wraps keys under a context and says which key did it', async () => {
      const keyring = await ofBoth();
      const wrapped = await keyring.wrapKey(B, { context: CONTEXT });
      expect(wrapped.kid).toBe('a');
      expect([...(await keyring.unwrapKey(wrapped, { context: CONTEXT }))]).toEqual([...B]);
      await expect(keyring.unwrapKey(wrapped, { context: {} })).rejects.toMatchObject({ code: 'ERR_ENVELOPE_DECRYPT' });
      const misnamed = keyring.unwrapKey({ ...wrapped, kid: 'b' }, { context: CONTEXT });
      await expect(misnamed).rejects.toMatchObject({ code: 'ERR_ENVELOPE_DECRYPT' });
    });

    it('tells keys apart by their check values', async () => {
      const keyring = await ofBoth();
      const value = await keyring.checkValue('a');
      expect(value).toHaveLength(8);
      expect(await keyring.verifyCheckValue('a', value)).toBe(true);
      expect(await keyring.verifyCheckValue('b', value)).toBe(false);
    });

    it('shows no key, however it is looked at', async () => {
      const keyring = await ofBoth();
      keyring.decrypt(keyring.encrypt('x', { context: {} }), { context: {} });
      const shown = JSON.stringify(keyring) + JSON.stringify(Object.getOwnPropertyDescriptors(keyring));
      for (const key of ['a1a1a1a1', 'oaGhoaGh', '161,161,161']) expect(shown).not.toContain(key);
    });
  });
}

type Sealed = string | object;

/** The three forms, each holding the same text. */
const FORMS: readonly {
  readonly form: string;
  readonly seal: (keyring: Keyring, context: Readonly<Record<string, string>>) => Sealed;
  readonly open: (keyring: Keyring, envelope: Sealed, context: Readonly<Record<string, string>>) => string;
  readonly kidOf: (envelope: Sealed) => string | undefined;
}[] = [
  {
    form: 'an object envelope',
    seal: (keyring, context) => keyring.encrypt('the value 🔑', { context }),
    open: (keyring, envelope, context) => keyring.decrypt(envelope, { context }) as string,
    kidOf: (envelope) => (envelope as { readonly kid: string }).kid,
  },
  {
    form: 'a text token',
    seal: (keyring, context) => keyring.encryptText('the value 🔑', { context }),
    open: (keyring, envelope, context) => keyring.decryptText(envelope as string, { context }),
    kidOf: (envelope) => (envelope as string).split('.')[2],
  },
  {
    form: 'a bytes envelope',
    seal: (keyring, context) => keyring.encryptBytes(new TextEncoder().encode('the value 🔑'), { context }),
    open: (keyring, envelope, context) =>
      new TextDecoder().decode(keyring.decryptBytes(envelope as Uint8Array, { context })),
    kidOf: (envelope) => {
      const bytes = envelope as Uint8Array;
      return new TextDecoder().decode(bytes.subarray(5, 5 + (bytes[4] as number)));
    },
  },
];

function otherContexts(): Record<string, string>[] {
  const { tenant, ...rest } = CONTEXT;
  return [
    {},
    rest,
    { ...CONTEXT, tenant: `${tenant} ` },
    { ...CONTEXT, more: '' },
    { ...CONTEXT, tenant: CONTEXT.table, table: tenant },
    { ...rest, tenan: `t${tenant}` },
  ];
}

function textOf(envelope: Sealed): string {
  return envelope instanceof Uint8Array ? String(envelope) : JSON.stringify(envelope);
}

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
}
