import { openStream, type StreamSuite, sealStream } from './independent-stream.ts';

const KID = 'v1';
const CONTEXT = { tenant: 'acme', id: '42' };
const CHUNK = 1024;
const SUITES: readonly StreamSuite[] = ['A256GCM', 'XC20P', 'XS20P'];
const PREFIX_BYTES = { A256GCM: 7, XC20P: 19, XS20P: 19 } as const;
const DECRYPT = 'ERR_ENVELOPE_DECRYPT';
const MALFORMED = 'ERR_ENVELOPE_MALFORMED';
const UNSUPPORTED = 'ERR_ENVELOPE_UNSUPPORTED_VERSION';
const NOT_ENCRYPTED = 'ERR_ENVELOPE_NOT_ENCRYPTED';

type Case = readonly [what: string, envelope: Uint8Array, code: string, context?: Readonly<Record<string, string>>];

/** Streams that open: no chunk, one and more, around the chunk size. */
export function streamVectors(key: Uint8Array): object[] {
  return SUITES.flatMap((suite) =>
    [0, 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 100].map((length) => {
      const plaintext = pattern(length);
      const envelope = sealStream(key, KID, suite, CONTEXT, plaintext, CHUNK);
      return { context: CONTEXT, plaintext: hex(plaintext), envelope: hex(envelope) };
    }),
  );
}

/** Streams to refuse. What a reader gives before it refuses has to be a beginning of the plaintext. */
export function streamErrorVectors(key: Uint8Array): object[] {
  const cases = [...headers(key), ...SUITES.flatMap((suite) => chunks(key, suite))];
  return [
    ...cases.map(([what, envelope, code, context = CONTEXT]) => ({ what, context, envelope: hex(envelope), code })),
    ...SUITES.slice(1).map((suite) => ({
      what: `${suite}, by a reader that was not given it`,
      context: CONTEXT,
      envelope: hex(sealStream(key, KID, suite, CONTEXT, pattern(1), CHUNK)),
      code: 'ERR_KEYRING_SUITE_MISSING',
      reader: { suites: ['A256GCM'] },
    })),
  ];
}

function headers(key: Uint8Array): Case[] {
  const good = sealStream(key, KID, 'A256GCM', CONTEXT, pattern(10), CHUNK);
  const chunkSize = (bytes: number): Uint8Array => {
    const copy = Uint8Array.from(good);
    new DataView(copy.buffer).setUint32(5, bytes, true);
    return copy;
  };
  const kid = (text: string): Uint8Array =>
    Uint8Array.from([...good.slice(0, 9), text.length, ...Buffer.from(text), ...good.slice(10 + KID.length)]);
  return [
    ['nothing', new Uint8Array(0), NOT_ENCRYPTED],
    ['another magic', set(good, 0, 0x4c), NOT_ENCRYPTED],
    ['a bytes envelope', Uint8Array.from([0x4b, 0x57, 2, ...good.slice(4)]), NOT_ENCRYPTED],
    ['the magic cut short', good.slice(0, 2), NOT_ENCRYPTED],
    ['the magic only', good.slice(0, 3), UNSUPPORTED],
    ['an earlier version', set(good, 3, 1), UNSUPPORTED],
    ['a later version', set(good, 3, 3), UNSUPPORTED],
    ['a suite of a later release', set(good, 4, 9), UNSUPPORTED],
    ['no suite', good.slice(0, 4), MALFORMED],
    ['a chunk size of 0', chunkSize(0), MALFORMED],
    ['a chunk size of 1023', chunkSize(1023), MALFORMED],
    ['a chunk size of 1048577', chunkSize(1_048_577), MALFORMED],
    ['a chunk size of 2^32 - 1', chunkSize(0xffff_ffff), MALFORMED],
    ['an empty kid', set(good, 9, 0), MALFORMED],
    ['a kid of 65 bytes', set(good, 9, 65), MALFORMED],
    ['a kid with a dot', kid('v.'), MALFORMED],
    ['a kid cut short', good.slice(0, 11), MALFORMED],
    ['an unknown kid', kid('v9'), 'ERR_KEYRING_KID_UNKNOWN'],
    ['the kid of another key', kid('k-2_B'), DECRYPT],
    ['another chunk size', chunkSize(2048), DECRYPT],
    ['a header without its commitment', good.slice(0, 12 + 16 + 7), DECRYPT],
    ['a header without a chunk', good.slice(0, 12 + 16 + 7 + 32), DECRYPT],
    ['a chunk shorter than a tag', good.slice(0, 12 + 16 + 7 + 32 + 15), DECRYPT],
  ];
}

function chunks(key: Uint8Array, suite: StreamSuite): Case[] {
  const plaintext = pattern(2 * CHUNK + 10);
  const seal = (text: Uint8Array, emptyLast = false): Uint8Array =>
    sealStream(key, KID, suite, CONTEXT, text, CHUNK, { emptyLast });
  const good = seal(plaintext);
  if (openStream(key, KID, CONTEXT, good).length !== plaintext.length) throw new Error('not a stream');
  const at = 12 + 16 + PREFIX_BYTES[suite] + 32;
  const size = CHUNK + 16;
  const head = good.slice(0, at);
  const [first, second, last] = [
    good.slice(at, at + size),
    good.slice(at + size, at + 2 * size),
    good.slice(at + 2 * size),
  ];
  const other = seal(plaintext);
  const joined = (...parts: Uint8Array[]): Uint8Array => Buffer.concat(parts);
  const all: Case[] = [
    ['another context', good, DECRYPT, { ...CONTEXT, tenant: 'globex' }],
    ['a bit of the salt flipped', flip(good, 12), DECRYPT],
    ['a bit of the prefix flipped', flip(good, at - 33), DECRYPT],
    ['a bit of the commitment flipped', flip(good, at - 1), DECRYPT],
    ['a bit of the first chunk flipped', flip(good, at), DECRYPT],
    ['a bit of the last byte flipped', flip(good, good.length - 1), DECRYPT],
    ['cut after the first chunk', joined(head, first), DECRYPT],
    ['cut after the second chunk', joined(head, first, second), DECRYPT],
    ['without its last byte', good.slice(0, -1), DECRYPT],
    ['with one more byte', joined(good, new Uint8Array(1)), DECRYPT],
    ['chunks exchanged', joined(head, second, first, last), DECRYPT],
    ['a chunk left out', joined(head, first, last), DECRYPT],
    ['a chunk repeated', joined(head, first, first, second, last), DECRYPT],
    ['the first chunk left out', joined(head, second, last), DECRYPT],
    ['a chunk of another stream', joined(head, first, other.slice(at + size, at + 2 * size), last), DECRYPT],
    ['the header of another stream', joined(other.slice(0, at), first, second, last), DECRYPT],
    ['two streams joined', joined(good, other), DECRYPT],
    ['an empty chunk at the end', seal(pattern(CHUNK), true), DECRYPT],
  ];
  const chosen = suite === 'A256GCM' ? all : all.filter((_, index) => [0, 1, 3, 5, 6, 10, 17].includes(index));
  return chosen.map(([what, envelope, code, context]) =>
    context === undefined ? [`${suite}: ${what}`, envelope, code] : [`${suite}: ${what}`, envelope, code, context],
  );
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 0xff);
}

function flip(bytes: Uint8Array, at: number): Uint8Array {
  return set(bytes, at, (bytes[at] as number) ^ 1);
}

function set(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = value;
  return copy;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
