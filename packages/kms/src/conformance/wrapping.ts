import { EnvelopeError } from '@keywright/envelope';
import { expect } from 'vitest';
import { bytes, refusal, type Theme } from './harness.ts';

const CONTEXT = Object.freeze({ purpose: 'conformance', tenant: 'acme' });

/** Keys come back as they were wrapped, and only with the very context and key. */
export const wrapping: Theme = ({ capabilities }) => {
  if (!capabilities.wrapKey) return [];
  return [
    {
      title: 'unwraps what it wrapped, for keys of any length',
      async run(subject) {
        const { provider } = subject;
        const wrappingKey = await subject.wrappingKey('wraps');
        for (const length of [32, 16, 1, 33, 64, 127]) {
          const key = Uint8Array.from(bytes(length), (byte) => byte ^ 0xa5);
          const before = Buffer.from(key);
          const wrapped = await provider.wrapKey(wrappingKey, key, CONTEXT);
          expect(before.equals(key)).toBe(true);
          expect(Buffer.from(wrapped).includes(before) && length >= 16).toBe(false);
          const unwrapped = await provider.unwrapKey(wrappingKey, wrapped, { ...CONTEXT });
          expect(before.equals(unwrapped)).toBe(true);
        }
      },
    },
    {
      title: 'takes a context for the same whatever the order of its members',
      async run(subject) {
        const wrappingKey = await subject.wrappingKey('order');
        const wrapped = await subject.provider.wrapKey(wrappingKey, bytes(32), { a: '1', b: '2' });
        const unwrapped = await subject.provider.unwrapKey(wrappingKey, wrapped, { b: '2', a: '1' });
        expect(Buffer.from(unwrapped).equals(bytes(32))).toBe(true);
      },
    },
    {
      title: 'does not unwrap for another context, with another key, or what was changed',
      async run(subject) {
        const { provider } = subject;
        const wrappingKey = await subject.wrappingKey('refuses');
        const other = await subject.wrappingKey('refuses/other');
        const wrapped = await provider.wrapKey(wrappingKey, bytes(32), CONTEXT);
        const refused = async (call: Promise<unknown>, what: string): Promise<void> => {
          const error = await refusal(call);
          expect(error, what).toBeInstanceOf(EnvelopeError);
          expect(error.code, what).toBe('ERR_ENVELOPE_DECRYPT');
        };
        for (const [what, context] of Object.entries({
          'another tenant': { ...CONTEXT, tenant: 'other' },
          'a member less': { purpose: CONTEXT.purpose },
          'a member more': { ...CONTEXT, more: '' },
          // Joined without lengths, these would be the same text.
          'members run together': { purpose: 'conformanc', tenant: 'eacme' },
        })) {
          await refused(provider.unwrapKey(wrappingKey, wrapped, context), what);
        }
        await refused(provider.unwrapKey(other, wrapped, CONTEXT), 'another key');
        for (const position of [Math.floor(wrapped.byteLength / 2), wrapped.byteLength - 6]) {
          const changed = Uint8Array.from(wrapped);
          // Another letter, so that a wrapped key that is text stays text.
          changed[position] = wrapped[position] === 0x41 ? 0x42 : 0x41;
          await refused(provider.unwrapKey(wrappingKey, changed, CONTEXT), `changed at ${position}`);
        }
        await refused(provider.unwrapKey(wrappingKey, wrapped.slice(0, -8), CONTEXT), 'shortened');
        await refused(provider.unwrapKey(wrappingKey, Buffer.from('x'), CONTEXT), 'one byte');
      },
    },
  ];
};
