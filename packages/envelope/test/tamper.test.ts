import { createKeyring, type EnvelopeV2 } from '@keywright/envelope';
import { encryptCredentials } from '@keywright/envelope/compat';
import { describe, expect, it } from 'vitest';
import { CONTEXT, hex, KEYS, testKeyring, thrown } from './support.ts';

const DECRYPT_MESSAGE =
  'The envelope could not be decrypted. It was changed, belongs to another context, or was made under another key.';
const keyring = testKeyring();
const value = { apiKey: 'sk_test_1', n: [1, 2, 3] };

/** One code, one message, no reason, no cause: an oracle has nothing to go by. */
function expectRefused(work: () => unknown): void {
  const error = thrown(work);
  expect(error.code).toBe('ERR_ENVELOPE_DECRYPT');
  expect(error.message).toBe(DECRYPT_MESSAGE);
  expect(error.cause).toBeUndefined();
  expect((error as unknown as { context: object }).context).toEqual({});
}

function flipBase64(text: string, byte: number, bit: number): string {
  const bytes = Buffer.from(text, 'base64');
  bytes[byte] = (bytes[byte] ?? 0) ^ (1 << bit);
  return bytes.toString('base64');
}

describe.each([
  ['v1', () => encryptCredentials(value, keyring), {}],
  ['v2', () => keyring.encrypt(value, { context: CONTEXT }), CONTEXT],
] as const)('a %s envelope is refused', (_version, make, context) => {
  const envelope = make();
  const open = (changed: object): unknown => keyring.decrypt({ ...envelope, ...changed }, { context });

  it('only when changed', () => {
    expect(open({})).toEqual(value);
  });

  it('with any bit of iv or ct flipped', () => {
    for (const field of ['iv', 'ct'] as const) {
      for (let byte = 0; byte < Buffer.from(envelope[field], 'base64').length; byte++) {
        for (let bit = 0; bit < 8; bit++) {
          expectRefused(() => open({ [field]: flipBase64(envelope[field], byte, bit) }));
        }
      }
    }
  });

  it('with any character of iv or ct replaced, whatever the decoder would make of it', () => {
    for (const field of ['iv', 'ct'] as const) {
      const text = envelope[field];
      for (let at = 0; at < text.length; at++) {
        for (const other of ['A', '/', '-', '_', '=', ' ', '\n', '\u0000', '\u0141', '😀']) {
          const changed = text.slice(0, at) + other + text.slice(at + 1);
          if (changed !== text) expectRefused(() => open({ [field]: changed }));
        }
      }
    }
  });

  it('cut or extended anywhere', () => {
    for (const field of ['iv', 'ct'] as const) {
      const text = envelope[field];
      for (let length = 0; length < text.length; length++)
        expectRefused(() => open({ [field]: text.slice(0, length) }));
      for (const extra of ['A', 'AAAA', '=', '\n', ' ']) {
        expectRefused(() => open({ [field]: text + extra }));
        expectRefused(() => open({ [field]: extra + text }));
      }
    }
  });

  it('under another key of the same id', () => {
    const other = createKeyring({ keys: { v1: KEYS.v2 }, activeKid: 'v1' });
    expectRefused(() => other.decrypt(envelope, { context }));
  });

  it('under the id of another key', () => {
    expectRefused(() => open({ kid: 'v2' }));
  });

  it('read as the other version', () => {
    expectRefused(() => open({ __enc: envelope.__enc === 1 ? 2 : 1 }));
  });
});

describe('a v2 envelope is refused', () => {
  const envelope: EnvelopeV2 = keyring.encrypt(value, { context: CONTEXT });

  it('with any field of the context changed, missing, added or swapped', () => {
    const contexts: Record<string, string>[] = [{}, { ...CONTEXT, more: '' }];
    for (const key of Object.keys(CONTEXT) as (keyof typeof CONTEXT)[]) {
      const { [key]: dropped, ...rest } = CONTEXT;
      contexts.push(
        rest,
        { ...CONTEXT, [key]: `${dropped} ` },
        { ...CONTEXT, [key]: '' },
        { ...rest, [`${key}x`]: dropped },
      );
    }
    contexts.push({ ...CONTEXT, tenant: CONTEXT.table, table: CONTEXT.tenant });
    contexts.push({ ...CONTEXT, column: 'credentialsid', id: '42' }, { acme: 'tenant' });
    for (const context of contexts) expectRefused(() => keyring.decrypt(envelope, { context }));
  });

  it('with the halves of two envelopes joined', () => {
    const other = keyring.encrypt(value, { context: CONTEXT });
    expectRefused(() => keyring.decrypt({ ...envelope, iv: other.iv }, { context: CONTEXT }));
  });

  it('for a context in any order, opened all the same', () => {
    const reversed = Object.fromEntries(Object.entries(CONTEXT).toReversed());
    expect(keyring.decrypt(envelope, { context: reversed })).toEqual(value);
  });
});

describe('a bytes envelope is refused', () => {
  const plaintext = Buffer.from('exactly these bytes');
  const envelope = keyring.encryptBytes(plaintext, { context: CONTEXT });
  const ivAt = 5 + 'v1'.length;

  it('with any bit of iv or ct flipped', () => {
    expect(hex(keyring.decryptBytes(envelope, { context: CONTEXT }))).toBe(hex(plaintext));
    for (let byte = ivAt; byte < envelope.length; byte++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = Buffer.from(envelope);
        changed[byte] = (changed[byte] ?? 0) ^ (1 << bit);
        expectRefused(() => keyring.decryptBytes(changed, { context: CONTEXT }));
      }
    }
  });

  it('with any bit of the header flipped, by a typed error', () => {
    for (let byte = 0; byte < ivAt; byte++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = Buffer.from(envelope);
        changed[byte] = (changed[byte] ?? 0) ^ (1 << bit);
        expect(thrown(() => keyring.decryptBytes(changed, { context: CONTEXT })).code).toMatch(
          /^ERR_(ENVELOPE|KEYRING)_/,
        );
      }
    }
  });

  it('cut or extended anywhere', () => {
    for (let length = ivAt; length < envelope.length; length++) {
      expectRefused(() => keyring.decryptBytes(envelope.subarray(0, length), { context: CONTEXT }));
    }
    for (let length = 0; length < ivAt; length++) {
      const code = thrown(() => keyring.decryptBytes(envelope.subarray(0, length), { context: CONTEXT })).code;
      expect(code).toMatch(/^ERR_ENVELOPE_/);
    }
    expectRefused(() => keyring.decryptBytes(Buffer.concat([envelope, Buffer.alloc(1)]), { context: CONTEXT }));
  });

  it('when its type is exchanged: bytes never open as JSON, JSON never as bytes', () => {
    const json = Buffer.from(JSON.stringify(value));
    const asBytes = keyring.encryptBytes(json, { context: CONTEXT });
    const object = {
      __enc: 2,
      kid: 'v1',
      iv: asBytes.subarray(ivAt, ivAt + 28).toString('base64'),
      ct: asBytes.subarray(ivAt + 28).toString('base64'),
    };
    expectRefused(() => keyring.decrypt(object, { context: CONTEXT }));
    const asObject = keyring.encrypt(value, { context: CONTEXT });
    const bytes = Buffer.concat([
      asBytes.subarray(0, ivAt),
      Buffer.from(asObject.iv, 'base64'),
      Buffer.from(asObject.ct, 'base64'),
    ]);
    expectRefused(() => keyring.decryptBytes(bytes, { context: CONTEXT }));
  });
});

describe('commitment', () => {
  it('is compared before anything is decrypted: the right tag under a wrong commitment is refused', () => {
    const envelope = keyring.encrypt(value, { context: CONTEXT });
    const ct = Buffer.from(envelope.ct, 'base64');
    ct.fill(0, 0, 32);
    expectRefused(() => keyring.decrypt({ ...envelope, ct: ct.toString('base64') }, { context: CONTEXT }));
  });
});
