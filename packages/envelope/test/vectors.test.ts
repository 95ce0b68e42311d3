import { readFileSync } from 'node:fs';
import { createKeyring } from '@keywright/envelope';
import { decryptCredentials } from '@keywright/envelope/compat';
import { describe, expect, it } from 'vitest';
import { thrown } from './support.ts';

interface VectorFile<Vector> {
  readonly keys: Readonly<Record<string, string>>;
  readonly vectors: readonly Vector[];
}

interface ObjectVector {
  readonly context?: Record<string, string>;
  readonly value: unknown;
  readonly envelope: { readonly kid: string };
}

interface BytesVector {
  readonly context: Record<string, string>;
  readonly plaintext: string;
  readonly envelope: string;
}

function read<Vector>(name: string): VectorFile<Vector> {
  return JSON.parse(readFileSync(new URL(`./vectors/${name}.json`, import.meta.url), 'utf8')) as VectorFile<Vector>;
}

/** A keyring of the vectors' keys, whichever of them is active. */
function keyringOf({ keys }: VectorFile<unknown>) {
  return createKeyring({ keys, activeKid: Object.keys(keys)[0] ?? '' });
}

describe('frozen envelopes open', () => {
  it('of version 1', () => {
    const file = read<ObjectVector>('v1');
    for (const { value, envelope } of file.vectors) {
      expect(keyringOf(file).decrypt(envelope, { context: {} })).toEqual(value);
      expect(decryptCredentials<unknown>(envelope, keyringOf(file))).toEqual(value);
    }
    expect(file.vectors).toHaveLength(16);
  });

  it('of version 2, as objects', () => {
    const file = read<ObjectVector>('v2-object');
    for (const { context = {}, value, envelope } of file.vectors) {
      expect(keyringOf(file).decrypt(envelope, { context })).toEqual(value);
      const other = { ...context, tenant: 'globex' };
      expect(thrown(() => keyringOf(file).decrypt(envelope, { context: other })).code).toBe('ERR_ENVELOPE_DECRYPT');
    }
    expect(file.vectors).toHaveLength(64);
  });

  it('of version 2, as bytes', () => {
    const file = read<BytesVector>('v2-bytes');
    for (const { context, plaintext, envelope } of file.vectors) {
      const bytes = Buffer.from(envelope, 'hex');
      expect(keyringOf(file).decryptBytes(bytes, { context }).toString('hex')).toBe(plaintext);
    }
    expect(file.vectors).toHaveLength(32);
  });
});
