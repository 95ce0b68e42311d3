import { encryptV1, encryptV2, encryptV2Bytes, encryptV2Text, type SuiteName, sealWith } from './independent.ts';

/** What a reader has to refuse, and the code to refuse it with. */
export interface ErrorVector {
  readonly what: string;
  readonly form: 'object' | 'text' | 'bytes';
  readonly context: Readonly<Record<string, string>>;
  /** Bytes as hex. */
  readonly envelope: unknown;
  readonly code: string;
  /** How the reader is set up, where it is not one of all keys and suites that takes version 1. */
  readonly reader?: { readonly suites?: readonly string[]; readonly v1?: 'reject' };
}

const CONTEXT = { tenant: 'acme', id: '42' };
const KID = 'v1';
const SUITES: readonly SuiteName[] = ['A256GCM', 'XC20P', 'XS20P'];
const DECRYPT = 'ERR_ENVELOPE_DECRYPT';
const MALFORMED = 'ERR_ENVELOPE_MALFORMED';
const UNSUPPORTED = 'ERR_ENVELOPE_UNSUPPORTED_VERSION';
const NOT_ENCRYPTED = 'ERR_ENVELOPE_NOT_ENCRYPTED';
const KID_UNKNOWN = 'ERR_KEYRING_KID_UNKNOWN';
const VERSION_REFUSED = 'ERR_ENVELOPE_VERSION_REFUSED';
const SUITE_MISSING = 'ERR_KEYRING_SUITE_MISSING';

type Case = readonly [what: string, envelope: unknown, code: string, context?: Readonly<Record<string, string>>];

export function errorVectors(key: Uint8Array): ErrorVector[] {
  const v1 = encryptV1(key, KID, 'x');
  return [
    ...named('object', objects(key)),
    ...named('text', tokens(key)),
    ...named('bytes', blobs(key)),
    ...named('object', [['version 1, by a reader that refuses it', v1, VERSION_REFUSED]], { v1: 'reject' }),
    ...SUITES.slice(1).flatMap((suite) => suiteMissing(key, suite)),
  ];
}

function suiteMissing(key: Uint8Array, suite: SuiteName): ErrorVector[] {
  const reader = { suites: ['A256GCM'] };
  const what = `${suite}, by a reader that was not given it`;
  return [
    ...named('object', [[what, encryptV2(key, KID, CONTEXT, 'x', suite), SUITE_MISSING]], reader),
    ...named('text', [[what, encryptV2Text(key, KID, CONTEXT, 'x', suite), SUITE_MISSING]], reader),
    ...named('bytes', [[what, hexOf(blob(key, suite)), SUITE_MISSING]], reader),
  ];
}

function named(form: ErrorVector['form'], cases: readonly Case[], reader?: ErrorVector['reader']): ErrorVector[] {
  return cases.map(([what, envelope, code, context = CONTEXT]) =>
    reader === undefined ? { what, form, context, envelope, code } : { what, form, context, envelope, code, reader },
  );
}

function objects(key: Uint8Array): Case[] {
  const good = encryptV2(key, KID, CONTEXT, 'text');
  const { kid: _kid, ...withoutKid } = good;
  const { iv: _iv, ...withoutIv } = good;
  const { ct: _ct, ...withoutCt } = good;
  const suited = encryptV2(key, KID, CONTEXT, 'text', 'XC20P');
  const { alg: _alg, ...withoutAlg } = suited;
  return [
    ['null', null, NOT_ENCRYPTED],
    ['a number', 2, NOT_ENCRYPTED],
    ['text', 'kw2', NOT_ENCRYPTED],
    ['the JSON text of an envelope', JSON.stringify(good), NOT_ENCRYPTED],
    ['an array', [good], NOT_ENCRYPTED],
    ['an object without __enc', { kid: KID, iv: good.iv, ct: good.ct }, NOT_ENCRYPTED],
    ['version 0', { ...good, __enc: 0 }, UNSUPPORTED],
    ['version 3', { ...good, __enc: 3 }, UNSUPPORTED],
    ['the version as text', { ...good, __enc: '2' }, UNSUPPORTED],
    ['the version null', { ...good, __enc: null }, UNSUPPORTED],
    ['a suite of a later release', { ...good, alg: 'XC99P' }, UNSUPPORTED],
    ['a suite in other case', { ...suited, alg: 'xc20p' }, UNSUPPORTED],
    ['the default suite named', { ...good, alg: 'A256GCM' }, MALFORMED],
    ['a suite that is null', { ...good, alg: null }, MALFORMED],
    ['a suite in version 1', { ...encryptV1(key, KID, 'x'), alg: 'XC20P' }, MALFORMED],
    ['no kid', withoutKid, MALFORMED],
    ['no iv', withoutIv, MALFORMED],
    ['no ct', withoutCt, MALFORMED],
    ['a kid that is a number', { ...good, kid: 1 }, MALFORMED],
    ['an iv that is null', { ...good, iv: null }, MALFORMED],
    ['a ct that is an array', { ...good, ct: [good.ct] }, MALFORMED],
    ['another member', { ...good, note: 'rides along' }, MALFORMED],
    ['an empty kid', { ...good, kid: '' }, MALFORMED],
    ['a kid of 65 characters', { ...good, kid: 'v'.repeat(65) }, MALFORMED],
    ['a kid with a line end', { ...good, kid: 'v1\n' }, MALFORMED],
    ['a kid with a dot', { ...good, kid: 'v1.' }, MALFORMED],
    ['an unknown kid', { ...good, kid: 'v9' }, KID_UNKNOWN],
    ['a kid in other case', { ...good, kid: 'V1' }, KID_UNKNOWN],
    ['a kid that objects have as a member', { ...good, kid: 'constructor' }, KID_UNKNOWN],
    ['the kid of another key', { ...good, kid: 'k-2_B' }, DECRYPT],
    ['the suite left out', withoutAlg, DECRYPT],
    ['another suite named', { ...suited, alg: 'XS20P' }, DECRYPT],
    ['a suite named that it was not made with', { ...good, alg: 'XC20P' }, DECRYPT],
    ['version 2 read as 1', { ...good, __enc: 1 }, DECRYPT],
    ['version 1 read as 2', { ...encryptV1(key, KID, 'x'), __enc: 2 }, DECRYPT],
    ['an empty iv', { ...good, iv: '' }, DECRYPT],
    ['an empty ct', { ...good, ct: '' }, DECRYPT],
    ['the iv of another message', { ...good, iv: encryptV2(key, KID, CONTEXT, 'text').iv }, DECRYPT],
    ...SUITES.flatMap((suite) => changedObjects(key, suite)),
    ['a text token', tokenAsObject(key), DECRYPT],
    ['a plaintext that is not JSON', sealedObject(key, Buffer.from('{apiKey:1}')), DECRYPT],
    ['a plaintext that is NaN', sealedObject(key, Buffer.from('NaN')), DECRYPT],
    ['a plaintext with a byte order mark', sealedObject(key, Buffer.from('\ufeff"x"')), DECRYPT],
    ['a plaintext that is not UTF-8', sealedObject(key, Buffer.from([0x22, 0xff, 0x22])), DECRYPT],
    ['an empty plaintext', sealedObject(key, Buffer.alloc(0)), DECRYPT],
  ];
}

function changedObjects(key: Uint8Array, suite: SuiteName): Case[] {
  const good = encryptV2(key, KID, CONTEXT, 'text', suite);
  const [iv, ct] = [Buffer.from(good.iv, 'base64'), Buffer.from(good.ct, 'base64')];
  const withIv = (bytes: Uint8Array): object => ({ ...good, iv: Buffer.from(bytes).toString('base64') });
  const withCt = (bytes: Uint8Array): object => ({ ...good, ct: Buffer.from(bytes).toString('base64') });
  // 'text' and its quotes are 6 bytes and the last group of ct holds 54 = 18 * 3 bytes: one more byte leaves spare bits.
  const spare = encryptV2(key, KID, CONTEXT, 'texts', suite);
  return [
    [`${suite}: another context`, good, DECRYPT, { ...CONTEXT, tenant: 'globex' }],
    [`${suite}: a pair too few`, good, DECRYPT, { tenant: 'acme' }],
    [`${suite}: a pair too many`, good, DECRYPT, { ...CONTEXT, more: '' }],
    [`${suite}: no context`, good, DECRYPT, {}],
    [`${suite}: values exchanged`, good, DECRYPT, { tenant: '42', id: 'acme' }],
    [`${suite}: a bit of the salt flipped`, withIv(flip(iv, 0)), DECRYPT],
    [`${suite}: a bit of the nonce flipped`, withIv(flip(iv, iv.length - 1)), DECRYPT],
    [`${suite}: a bit of the commitment flipped`, withCt(flip(ct, 0)), DECRYPT],
    [`${suite}: a bit of the first byte after the commitment flipped`, withCt(flip(ct, 32)), DECRYPT],
    [`${suite}: a bit of the last byte flipped`, withCt(flip(ct, ct.length - 1)), DECRYPT],
    [`${suite}: an iv one byte short`, withIv(iv.subarray(0, -1)), DECRYPT],
    [`${suite}: an iv one byte long`, withIv(Buffer.concat([iv, Buffer.alloc(1)])), DECRYPT],
    [`${suite}: a ct without its last byte`, withCt(ct.subarray(0, -1)), DECRYPT],
    [`${suite}: a ct of 47 bytes`, withCt(ct.subarray(0, 47)), DECRYPT],
    [`${suite}: a ct with one more byte`, withCt(Buffer.concat([ct, Buffer.alloc(1)])), DECRYPT],
    [`${suite}: base64 in the URL alphabet`, withCtText(good, urlAlphabet(good.ct)), DECRYPT],
    [`${suite}: base64 with a line end`, withCtText(good, `${good.ct}\n`), DECRYPT],
    [`${suite}: base64 with a blank inside`, withCtText(good, `${good.ct.slice(0, 4)} ${good.ct.slice(4)}`), DECRYPT],
    [`${suite}: base64 without padding`, withCtText(spare, spare.ct.replace(/=+$/, '')), DECRYPT],
    [`${suite}: base64 with spare bits set`, withCtText(spare, withSpareBits(spare.ct)), DECRYPT],
  ];
}

function tokens(key: Uint8Array): Case[] {
  const good = encryptV2Text(key, KID, CONTEXT, 'text');
  const [, , , iv = '', ct = ''] = good.split('.');
  const token = (...parts: string[]): string => parts.join('.');
  return [
    ['nothing', '', NOT_ENCRYPTED],
    ['plain text', 'sk_test_1', NOT_ENCRYPTED],
    ['the marker without its dot', 'kw2', NOT_ENCRYPTED],
    ['the marker in capitals', good.replace('kw2', 'KW2'), NOT_ENCRYPTED],
    ['a blank in front', ` ${good}`, NOT_ENCRYPTED],
    ['a later version', good.replace('kw2', 'kw3'), UNSUPPORTED],
    ['a much later version', good.replace('kw2', 'kw10'), UNSUPPORTED],
    ['a suite of a later release', good.replace('A256GCM', 'XC99P'), UNSUPPORTED],
    ['only the marker', 'kw2.', MALFORMED],
    ['no kid', 'kw2.A256GCM', MALFORMED],
    ['no iv', 'kw2.A256GCM.v1', MALFORMED],
    ['no ct', token('kw2', 'A256GCM', KID, iv), MALFORMED],
    ['an empty suite', token('kw2', '', KID, iv, ct), MALFORMED],
    ['a suite in other case', good.replace('A256GCM', 'a256gcm'), MALFORMED],
    ['an empty kid', token('kw2', 'A256GCM', '', iv, ct), MALFORMED],
    ['a kid of 65 characters', token('kw2', 'A256GCM', 'v'.repeat(65), iv, ct), MALFORMED],
    ['a kid with a slash', token('kw2', 'A256GCM', 'v/1', iv, ct), MALFORMED],
    ['an unknown kid', token('kw2', 'A256GCM', 'v9', iv, ct), KID_UNKNOWN],
    ['a kid that objects have as a member', token('kw2', 'A256GCM', '__proto__', iv, ct), KID_UNKNOWN],
    ['the kid of another key', token('kw2', 'A256GCM', 'k-2_B', iv, ct), DECRYPT],
    ['an empty iv', token('kw2', 'A256GCM', KID, '', ct), DECRYPT],
    ['an empty ct', token('kw2', 'A256GCM', KID, iv, ''), DECRYPT],
    ['a part too many', `${good}.x`, DECRYPT],
    ['a line end', `${good}\n`, DECRYPT],
    ['padding', `${good}=`, DECRYPT],
    ['an object envelope', objectAsToken(key), DECRYPT],
    ...SUITES.flatMap((suite) => changedTokens(key, suite)),
    ['a plaintext that is not UTF-8', sealedToken(key, Buffer.from([0xc3, 0x28])), DECRYPT],
    ['a plaintext with an encoded surrogate', sealedToken(key, Buffer.from([0xed, 0xa0, 0x80])), DECRYPT],
  ];
}

function changedTokens(key: Uint8Array, suite: SuiteName): Case[] {
  const good = encryptV2Text(key, KID, CONTEXT, 'text', suite);
  const [, , , ivText = '', ctText = ''] = good.split('.');
  const [iv, ct] = [Buffer.from(ivText, 'base64url'), Buffer.from(ctText, 'base64url')];
  const token = (ivBytes: Buffer, ctBytes: Buffer): string =>
    ['kw2', suite, KID, ivBytes.toString('base64url'), ctBytes.toString('base64url')].join('.');
  const renamed = suite === 'XC20P' ? 'XS20P' : 'XC20P';
  const spare = encryptV2Text(key, KID, CONTEXT, 'texts', suite);
  return [
    [`${suite}: another context`, good, DECRYPT, { ...CONTEXT, tenant: 'globex' }],
    [`${suite}: another suite named`, good.replace(suite, renamed), DECRYPT],
    [`${suite}: a bit of the salt flipped`, token(flip(iv, 0), ct), DECRYPT],
    [`${suite}: a bit of the nonce flipped`, token(flip(iv, iv.length - 1), ct), DECRYPT],
    [`${suite}: a bit of the commitment flipped`, token(iv, flip(ct, 31)), DECRYPT],
    [`${suite}: a bit of the last byte flipped`, token(iv, flip(ct, ct.length - 1)), DECRYPT],
    [`${suite}: a ct without its last byte`, token(iv, ct.subarray(0, -1)), DECRYPT],
    [`${suite}: an iv one byte long`, token(Buffer.concat([iv, Buffer.alloc(1)]), ct), DECRYPT],
    [`${suite}: base64url with spare bits set`, withSpareBits(spare), DECRYPT],
    [`${suite}: the standard alphabet`, standardAlphabet(key, suite), DECRYPT],
  ];
}

function blobs(key: Uint8Array): Case[] {
  const good = blob(key, 'A256GCM');
  const other = Buffer.concat([good.subarray(0, 4), Buffer.from([5]), Buffer.from('k-2_B'), good.subarray(7)]);
  const renamed = Buffer.from(good);
  renamed.write('v9', 5);
  return [
    ['nothing', '', NOT_ENCRYPTED],
    ['another magic', hexOf(flip(good, 0)), NOT_ENCRYPTED],
    ['the first letter only', '4b', NOT_ENCRYPTED],
    ['the magic only', '4b57', UNSUPPORTED],
    ['a later version', hexOf(set(good, 2, 3)), UNSUPPORTED],
    ['suite 0', hexOf(set(good, 3, 0)), UNSUPPORTED],
    ['a suite of a later release', hexOf(set(good, 3, 4)), UNSUPPORTED],
    ['no suite', '4b5702', MALFORMED],
    ['no kid', '4b570201', MALFORMED],
    ['an empty kid', hexOf(set(good, 4, 0)), MALFORMED],
    ['a kid longer than the rest', '4b5702010961', MALFORMED],
    ['a kid with a byte outside its alphabet', hexOf(set(good, 5, 0xc3)), MALFORMED],
    ['a kid of 65 bytes', hexOf(Buffer.concat([set(good, 4, 65).subarray(0, 5), Buffer.alloc(200, 'v')])), MALFORMED],
    ['an unknown kid', hexOf(renamed), KID_UNKNOWN],
    ['the kid of another key', hexOf(other), DECRYPT],
    ['nothing after the kid', hexOf(good.subarray(0, 7)), DECRYPT],
    ...SUITES.flatMap((suite) => changedBlobs(key, suite)),
  ];
}

function changedBlobs(key: Uint8Array, suite: SuiteName): Case[] {
  const good = blob(key, suite);
  const nonceLength = suite === 'A256GCM' ? 12 : 24;
  const ctAt = 7 + 16 + nonceLength;
  return [
    [`${suite}: another context`, hexOf(good), DECRYPT, { ...CONTEXT, tenant: 'globex' }],
    [`${suite}: another suite named`, hexOf(set(good, 3, suite === 'XC20P' ? 3 : 2)), DECRYPT],
    [`${suite}: a bit of the salt flipped`, hexOf(flip(good, 7)), DECRYPT],
    [`${suite}: a bit of the nonce flipped`, hexOf(flip(good, ctAt - 1)), DECRYPT],
    [`${suite}: a bit of the commitment flipped`, hexOf(flip(good, ctAt)), DECRYPT],
    [`${suite}: a bit of the last byte flipped`, hexOf(flip(good, good.length - 1)), DECRYPT],
    [`${suite}: cut before the tag is whole`, hexOf(good.subarray(0, ctAt + 47)), DECRYPT],
    [`${suite}: one more byte`, hexOf(Buffer.concat([good, Buffer.alloc(1)])), DECRYPT],
  ];
}

function blob(key: Uint8Array, suite: SuiteName): Buffer {
  return Buffer.from(encryptV2Bytes(key, KID, CONTEXT, Buffer.from('bytes'), suite));
}

/** An envelope that verifies, and holds what no writer puts in. */
function sealedObject(key: Uint8Array, plaintext: Uint8Array): object {
  const { iv, ct } = sealed(key, 'json', plaintext);
  return { __enc: 2, kid: KID, iv: iv.toString('base64'), ct: ct.toString('base64') };
}

function sealedToken(key: Uint8Array, plaintext: Uint8Array): string {
  const { iv, ct } = sealed(key, 'text', plaintext);
  return ['kw2', 'A256GCM', KID, iv.toString('base64url'), ct.toString('base64url')].join('.');
}

function tokenAsObject(key: Uint8Array): object {
  const [, , kid, iv = '', ct = ''] = encryptV2Text(key, KID, CONTEXT, '"x"').split('.');
  const standard = (text: string): string => Buffer.from(text, 'base64url').toString('base64');
  return { __enc: 2, kid, iv: standard(iv), ct: standard(ct) };
}

function objectAsToken(key: Uint8Array): string {
  const { kid, iv, ct } = encryptV2(key, KID, CONTEXT, 'x');
  const url = (text: string): string => Buffer.from(text, 'base64').toString('base64url');
  return ['kw2', 'A256GCM', kid, url(iv), url(ct)].join('.');
}

function sealed(key: Uint8Array, type: 'json' | 'text', plaintext: Uint8Array): { iv: Buffer; ct: Buffer } {
  const [salt, nonce] = [Buffer.alloc(16, 7), crypto.getRandomValues(new Uint8Array(12))];
  const { iv, ct } = sealWith({ suite: 'A256GCM', key, kid: KID, type, context: CONTEXT }, salt, nonce, plaintext);
  return { iv: Buffer.from(iv), ct: Buffer.from(ct) };
}

function withCtText(envelope: object, ct: string): object {
  return { ...envelope, ct };
}

/** The same bytes in the other alphabet; a text that has neither `+` nor `/` gets its first character changed to `-`. */
function urlAlphabet(text: string): string {
  const changed = text.replaceAll('+', '-').replaceAll('/', '_');
  return changed === text ? `-${text.slice(1)}` : changed;
}

/** A token whose ct has a character that only the standard alphabet has. */
function standardAlphabet(key: Uint8Array, suite: SuiteName): string {
  for (;;) {
    const token = encryptV2Text(key, KID, CONTEXT, 'a text of some length', suite);
    const [ct = ''] = token.split('.').slice(-1);
    if (/[-_]/.test(ct)) {
      return token.slice(0, -ct.length) + ct.replaceAll('-', '+').replaceAll('_', '/');
    }
  }
}

/** Sets a bit of the last character that belongs to no byte. */
function withSpareBits(text: string): string {
  const padding = /=*$/.exec(text)?.[0] ?? '';
  const at = text.length - padding.length - 1;
  return text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) + 1) + padding;
}

function flip(bytes: Buffer, at: number): Buffer {
  return set(bytes, at, (bytes[at] as number) ^ 1);
}

function set(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = value;
  return copy;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
