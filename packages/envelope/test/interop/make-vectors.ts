// Makes test/vectors/*.json with the independent implementation: `node test/interop/make-vectors.ts`. The files are frozen:
// what they hold must open for ever, so an existing file is never overwritten.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import {
  type Context,
  checkValue,
  encryptV1,
  encryptV2,
  encryptV2Bytes,
  encryptV2Text,
  type Json,
  mac,
  type SuiteName,
  sealWith,
  type Type,
} from './independent.ts';
import { errorVectors } from './make-error-vectors.ts';
import { streamErrorVectors, streamVectors } from './make-stream-vectors.ts';

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
const TEXTS = ['', 'text', 'ü 🔑', '{"apiKey":"sk_test_1"}', 'line\n\u0000end'];
const CONTEXTS: readonly Context[] = [
  {},
  { tenant: 'acme' },
  { id: '42', column: 'credentials', table: 'connections', tenant: 'acme' },
  { '\uff61': 'half-width sorts first', '\u{10000}': 'astral sorts last', '': 'empty key' },
];
const SOURCE =
  'Made by packages/envelope/test/interop/independent.ts from the specification, on @noble/ciphers and @noble/hashes.';
const NONCE_LENGTHS = { A256GCM: 12, XC20P: 24, XS20P: 24 } as const;
const folder = new URL('../vectors/', import.meta.url);

const kids = Object.keys(KEYS) as (keyof typeof KEYS)[];
const key = (kid: keyof typeof KEYS): Uint8Array => Buffer.from(KEYS[kid], 'hex');
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

write('v1', () => kids.flatMap((kid) => VALUES.map((value) => ({ value, envelope: encryptV1(key(kid), kid, value) }))));

for (const [suite, name] of [
  ['A256GCM', 'v2'],
  ['XC20P', 'v2-xc20p'],
  ['XS20P', 'v2-xs20p'],
] as const) {
  write(`${name}-object`, () => cases(VALUES, (...of) => ({ value: of[2], envelope: object(suite, ...of) })));
  write(`${name}-text`, () => cases(TEXTS, (...of) => ({ plaintext: of[2], envelope: text(suite, ...of) })));
  write(`${name}-bytes`, () =>
    cases([0, 1, 16, 33], (kid, context, length) => {
      const plaintext = new Uint8Array(length).fill(0xa5);
      return { plaintext: hex(plaintext), envelope: hex(encryptV2Bytes(key(kid), kid, context, plaintext, suite)) };
    }),
  );
}

write('v2-steps', () =>
  (['A256GCM', 'XC20P', 'XS20P'] as const).flatMap((suite) =>
    (['json', 'text', 'bytes'] as const).flatMap((type) => CONTEXTS.map((context) => steps(suite, type, context))),
  ),
);
write('check-values', () => kids.map((kid) => ({ kid, checkValue: hex(checkValue(key(kid))) })));
write('macs', () =>
  kids.flatMap((kid) =>
    [[], [''], ['a', 'b'], ['ab'], ['ü 🔑', new Uint8Array([0, 255])]].map((parts) => ({
      kid,
      purpose: 'test.purpose',
      parts: parts.map((part) => (typeof part === 'string' ? { text: part } : { hex: hex(part) })),
      mac: hex(mac(key(kid), kid, 'test.purpose', parts)),
    })),
  ),
);
write('errors', () => errorVectors(key('v1')));
write('v2-stream', () => streamVectors(key('v1')));
write('stream-errors', () => streamErrorVectors(key('v1')));
writeSums();

type Kid = keyof typeof KEYS;

function cases<Input>(inputs: readonly Input[], make: (kid: Kid, context: Context, input: Input) => object): object[] {
  return kids.flatMap((kid) =>
    CONTEXTS.flatMap((context) => inputs.map((input) => ({ context, ...make(kid, context, input) }))),
  );
}

function object(suite: SuiteName, kid: Kid, context: Context, value: Json): object {
  return encryptV2(key(kid), kid, context, value, suite);
}

function text(suite: SuiteName, kid: Kid, context: Context, plaintext: string): string {
  return encryptV2Text(key(kid), kid, context, plaintext, suite);
}

function steps(suite: SuiteName, type: Type, context: Context): object {
  const kid = 'k-2_B';
  const plaintext = Buffer.from('{"apiKey":"sk_test_1"}');
  const salt = Uint8Array.from({ length: 16 }, (_, index) => 0x40 + index);
  const nonce = Uint8Array.from({ length: NONCE_LENGTHS[suite] }, (_, index) => 0x80 + index);
  const made = sealWith({ suite, key: key(kid), kid, type, context }, salt, nonce, plaintext);
  const values = Object.fromEntries(Object.entries(made).map(([name, bytes]) => [name, hex(bytes)]));
  return { suite, kid, type, context, salt: hex(salt), nonce: hex(nonce), plaintext: hex(plaintext), ...values };
}

function write(name: string, vectors: () => readonly object[]): void {
  const file = new URL(`${name}.json`, folder);
  if (existsSync(file)) return;
  const document = { source: SOURCE, licence: 'MIT', keys: KEYS, vectors: vectors() };
  writeFileSync(file, `${JSON.stringify(document, null, 1)}\n`, { flag: 'wx' });
}

/** In the format of `sha256sum`. */
function writeSums(): void {
  const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
  const sums = files.sort().map((file) => {
    const digest = createHash('sha256')
      .update(readFileSync(new URL(file, folder)))
      .digest('hex');
    return `${digest}  ${file}\n`;
  });
  writeFileSync(new URL('SHA256SUMS', folder), sums.join(''));
}
