import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KeyWrapper } from '../key-wrapper.ts';

/** Wrappers on one backend. */
export interface KeyWrapperSetup {
  /** Holds two keys, one of which is active. */
  readonly wrapper: KeyWrapper;
  /** Id of the key that is not active. */
  readonly otherKid: string;
  /** Holds the same keys; the other is active. */
  readonly rotated: KeyWrapper;
  /** Holds the other key only, as active. */
  readonly narrower: KeyWrapper;
  /** Holds another key under the id that is active in `wrapper`. */
  readonly impostor: KeyWrapper;
  /** Texts that may not show: keys, tokens. */
  readonly secrets?: readonly string[] | undefined;
  dispose(): Promise<void>;
}

const CONTEXT = Object.freeze({ purpose: 'conformance', tenant: 'acme', id: '42' });
const KEY: Uint8Array = Uint8Array.from({ length: 32 }, (_, index) => (index * 7 + 3) % 256);
const TIMEOUT_MS = 30_000;

/**
 * Registers the tests that every {@link KeyWrapper} has to pass, in a vitest file: what it wraps it unwraps, for the very
 * context and by the very key; whose memory is whose; and check values that tell keys apart. The requests are the same in
 * every run.
 *
 * @param start called once
 *
 * @example
 * ```ts
 * import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
 * import { keyWrapperConformance } from '@keywright/envelope/conformance';
 *
 * keyWrapperConformance('keyring', async () => {
 *   const [a, b] = [generateKeyBase64(), generateKeyBase64()];
 *   return {
 *     wrapper: createKeyring({ keys: { a, b }, activeKid: 'a' }),
 *     otherKid: 'b',
 *     rotated: createKeyring({ keys: { a, b }, activeKid: 'b' }),
 *     narrower: createKeyring({ keys: { b }, activeKid: 'b' }),
 *     impostor: createKeyring({ keys: { a: generateKeyBase64() }, activeKid: 'a' }),
 *     secrets: [a, b],
 *     dispose: async () => {},
 *   };
 * });
 * ```
 */
export function keyWrapperConformance(name: string, start: () => Promise<KeyWrapperSetup>): void {
  describe(`key wrapper ${name}`, () => {
    let setup: KeyWrapperSetup;
    beforeAll(async () => {
      setup = await start();
    }, TIMEOUT_MS);
    afterAll(async () => {
      await setup?.dispose();
    }, TIMEOUT_MS);
    const wrapped = async () => await setup.wrapper.wrapKey(KEY.slice(), { context: CONTEXT });

    it('unwraps what it wrapped, and says which key did it', async () => {
      const { wrapper, rotated, otherKid } = setup;
      const first = await wrapped();
      expect(first.kid).toBe(wrapper.activeKid);
      expect(first.wrapped).toBeInstanceOf(Uint8Array);
      expect(hex(first.wrapped)).not.toContain(hex(KEY.subarray(0, 16)));
      expect(hex(await wrapper.unwrapKey(first, { context: CONTEXT }))).toBe(hex(KEY));
      expect(hex(await rotated.unwrapKey(first, { context: CONTEXT }))).toBe(hex(KEY));
      const second = await rotated.wrapKey(KEY.slice(), { context: CONTEXT });
      expect(second.kid).toBe(otherKid);
      expect(hex(await wrapper.unwrapKey(second, { context: CONTEXT }))).toBe(hex(KEY));
    });

    it('takes a context for the same whatever the order of its pairs', async () => {
      const reversed = Object.fromEntries(Object.entries(CONTEXT).toReversed());
      expect(hex(await setup.wrapper.unwrapKey(await wrapped(), { context: reversed }))).toBe(hex(KEY));
    });

    it('unwraps for no other context', async () => {
      const key = await wrapped();
      const { id: _, ...rest } = CONTEXT;
      for (const context of [
        {},
        rest,
        { ...CONTEXT, tenant: 'acme ' },
        { ...CONTEXT, more: '' },
        { ...rest, i: 'd42' },
        { ...CONTEXT, tenant: CONTEXT.id, id: CONTEXT.tenant },
      ]) {
        await refused(setup.wrapper.unwrapKey(key, { context }), 'ERR_ENVELOPE_DECRYPT');
      }
    });

    it('takes no context that binds nothing by mistake', async () => {
      const key = await wrapped();
      for (const context of [undefined, null, new Map([['tenant', 'acme']]), { tenant: 42 }, { tenant: '\ud800' }]) {
        const options = { context } as never;
        await refused(setup.wrapper.wrapKey(KEY.slice(), options), 'ERR_ENVELOPE_INVALID_CONTEXT');
        await refused(setup.wrapper.unwrapKey(key, options), 'ERR_ENVELOPE_INVALID_CONTEXT');
      }
    });

    it('looks for a key under its id and under no other', async () => {
      const { wrapper, narrower, otherKid } = setup;
      const key = await wrapped();
      const options = { context: CONTEXT };
      const misnamed = wrapper.unwrapKey({ ...key, kid: otherKid }, options);
      await refused(misnamed, 'ERR_ENVELOPE_DECRYPT', 'ERR_KEYRING_KID_UNKNOWN');
      await refused(narrower.unwrapKey(key, options), 'ERR_KEYRING_KID_UNKNOWN');
    });

    it('unwraps with no other key of the same id', async () => {
      const { wrapper, impostor } = setup;
      expect(impostor.activeKid).toBe(wrapper.activeKid);
      await refused(impostor.unwrapKey(await wrapped(), { context: CONTEXT }), 'ERR_ENVELOPE_DECRYPT');
    });

    it('unwraps nothing that was changed', async () => {
      const key = await wrapped();
      const bytes = key.wrapped;
      const changed = (position: number): Uint8Array => {
        const copy = Uint8Array.from(bytes);
        // Another letter, so that what is text stays text.
        copy[position] = bytes[position] === 0x41 ? 0x42 : 0x41;
        return copy;
      };
      for (const other of [changed(bytes.length >> 1), changed(bytes.length - 6), bytes.slice(0, -8)]) {
        await refused(
          setup.wrapper.unwrapKey({ ...key, wrapped: other }, { context: CONTEXT }),
          'ERR_ENVELOPE_DECRYPT',
        );
      }
    });

    it('leaves the key that it was lent as it is, and needs it no longer once it has answered', async () => {
      const { wrapper } = setup;
      const lent = KEY.slice();
      const key = await wrapper.wrapKey(lent, { context: CONTEXT });
      expect(hex(lent)).toBe(hex(KEY));
      lent.fill(0);
      expect(hex(await wrapper.unwrapKey(key, { context: CONTEXT }))).toBe(hex(KEY));
      const again = KEY.slice();
      const call = wrapper.wrapKey(again, { context: CONTEXT, signal: AbortSignal.abort() });
      const late = await call.catch(() => undefined);
      again.fill(0);
      if (late !== undefined) expect(hex(await wrapper.unwrapKey(late, { context: CONTEXT }))).toBe(hex(KEY));
    });

    it('wipes nothing that it returned before those who wait for it have run', async () => {
      const { wrapper } = setup;
      const key = await wrapped();
      const answer = wrapper.unwrapKey(key, { context: CONTEXT });
      const waiting = Array.from({ length: 5 }, async () => hex(await answer));
      expect(await Promise.all(waiting)).toEqual(Array.from({ length: 5 }, () => hex(KEY)));
      const calls = Array.from({ length: 5 }, async () => hex(await wrapper.unwrapKey(key, { context: CONTEXT })));
      expect(await Promise.all(calls)).toEqual(Array.from({ length: 5 }, () => hex(KEY)));
    });

    it('tells keys apart by their check values', async () => {
      const { wrapper, rotated, narrower, impostor, otherKid } = setup;
      const kid = wrapper.activeKid;
      const [value, other] = [await wrapper.checkValue(kid), await wrapper.checkValue(otherKid)];
      expect(await wrapper.verifyCheckValue(kid, value)).toBe(true);
      expect(await rotated.verifyCheckValue(kid, value)).toBe(true);
      expect(await narrower.verifyCheckValue(otherKid, other)).toBe(true);
      expect(await wrapper.verifyCheckValue(otherKid, value)).toBe(false);
      expect(await wrapper.verifyCheckValue(kid, other)).toBe(false);
      expect(await impostor.verifyCheckValue(kid, value)).toBe(false);
      for (const garbage of [new Uint8Array(0), KEY, value.slice(0, -1)]) {
        expect(await wrapper.verifyCheckValue(kid, garbage)).toBe(false);
      }
      await refused(narrower.checkValue(kid), 'ERR_KEYRING_KID_UNKNOWN');
      await refused(narrower.verifyCheckValue(kid, value), 'ERR_KEYRING_KID_UNKNOWN');
    });

    it('shows no secret, however it is looked at', () => {
      const { wrapper, secrets = [] } = setup;
      const shown = inspect(wrapper, { depth: 20, showHidden: true }) + JSON.stringify(wrapper);
      for (const secret of secrets) expect(shown.includes(secret), 'a secret shows').toBe(false);
    });
  });
}

async function refused(call: Promise<unknown>, ...codes: readonly string[]): Promise<void> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(codes).toContain((error as { code?: unknown } | undefined)?.code);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
