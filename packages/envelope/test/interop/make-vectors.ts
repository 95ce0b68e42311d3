// Makes test/vectors/*.json once, with the independent implementation: `node test/interop/make-vectors.ts`. The files
// are frozen: what they hold must open for ever, so an existing file is never overwritten.
import { writeFileSync } from 'node:fs';
import { encryptV1, encryptV2, encryptV2Bytes, type Json } from './independent.ts';

const KEYS = {
  v1: '0101010101010101010101010101010101010101010101010101010101010101',
  'k-2_B': '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
};
const VALUES: readonly Json[] = [
  null,
  false,
  0,
  '',
  'text',
  'ü 🔑',
  [],
  { apiKey: 'sk_test_1', scopes: ['a', 'b'], n: 1.5 },
];
const CONTEXTS: readonly Record<string, string>[] = [
  {},
  { tenant: 'acme' },
  { id: '42', column: 'credentials', table: 'connections', tenant: 'acme' },
  { '\uff61': 'half-width sorts first', '\u{10000}': 'astral sorts last', '': 'empty key' },
];
const SOURCE =
  'Made by packages/envelope/test/interop/independent.ts from the specification, on @noble/ciphers and @noble/hashes.';

const key = (kid: string): Uint8Array => Buffer.from(KEYS[kid as keyof typeof KEYS], 'hex');
const kids = Object.keys(KEYS);
const cases = kids.flatMap((kid) => CONTEXTS.flatMap((context) => VALUES.map((value) => ({ kid, context, value }))));

write(
  'v1',
  kids.flatMap((kid) => VALUES.map((value) => ({ value, envelope: encryptV1(key(kid), kid, value) }))),
);
write(
  'v2-object',
  cases.map(({ kid, context, value }) => ({ context, value, envelope: encryptV2(key(kid), kid, context, value) })),
);
write(
  'v2-bytes',
  kids.flatMap((kid) =>
    CONTEXTS.flatMap((context) =>
      [0, 1, 16, 33].map((length) => {
        const plaintext = Buffer.alloc(length, 0xa5);
        const envelope = encryptV2Bytes(key(kid), kid, context, plaintext);
        return { context, plaintext: plaintext.toString('hex'), envelope: Buffer.from(envelope).toString('hex') };
      }),
    ),
  ),
);

function write(name: string, vectors: readonly object[]): void {
  const file = new URL(`../vectors/${name}.json`, import.meta.url);
  const document = { source: SOURCE, licence: 'MIT', keys: KEYS, vectors };
  writeFileSync(file, `${JSON.stringify(document, null, 1)}\n`, { flag: 'wx' });
}
