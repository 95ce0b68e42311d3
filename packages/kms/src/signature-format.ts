import { isUint8Array } from 'node:util/types';
import { SIGN_ALGORITHMS } from './algorithms.ts';
import { invalidArgument, kindOf } from './arguments.ts';
import { KmsError } from './errors.ts';

/** Algorithms whose signatures are a pair of integers, and so have two forms. */
export type EcdsaAlg = 'ES256' | 'ES384' | 'ES512';

const SEQUENCE = 0x30;
const INTEGER = 0x02;

/** Orders of the curves' groups (SEC 2): r and s are smaller. */
const ORDERS: Readonly<Record<EcdsaAlg, Buffer>> = {
  ES256: Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex'),
  ES384: Buffer.from(
    'ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973',
    'hex',
  ),
  ES512: Buffer.from(
    '01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409',
    'hex',
  ),
};

/**
 * r ‖ s, as JOSE and COSE have it (RFC 7518, 3.4), of a signature in DER, as X.509, AWS KMS and most libraries have it.
 * One signature has one DER encoding, and no other is taken: shortest lengths, positive integers without needless zeros,
 * both from 1 to the order of the curve less 1, nothing before, between or behind.
 *
 * @throws KmsError `ERR_KMS_SIGNATURE_MALFORMED`, `ERR_KMS_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { derToRaw, rawToDer } from '@keywright/kms';
 *
 * export const sameSignature = (der: Uint8Array): Uint8Array => rawToDer('ES256', derToRaw('ES256', der));
 * ```
 */
export function derToRaw(alg: EcdsaAlg, der: Uint8Array): Uint8Array {
  const { order, size } = formOf(alg);
  if (!isUint8Array(der)) throw invalidArgument('der', 'a Uint8Array', kindOf(der));
  const sequence = readElement(alg, der, 0, SEQUENCE);
  const r = readElement(alg, der, sequence.start, INTEGER);
  const s = readElement(alg, der, r.end, INTEGER);
  if (sequence.end !== der.length || s.end !== sequence.end) throw malformed(alg);
  const raw = new Uint8Array(2 * size);
  writeInteger(alg, der.subarray(r.start, r.end), raw.subarray(0, size), order);
  writeInteger(alg, der.subarray(s.start, s.end), raw.subarray(size), order);
  return raw;
}

/**
 * The one DER encoding of a signature r ‖ s.
 * @throws KmsError `ERR_KMS_SIGNATURE_MALFORMED` unless it has its length, and r and s are from 1 to the order less 1;
 * `ERR_KMS_INVALID_ARGUMENT`
 */
export function rawToDer(alg: EcdsaAlg, raw: Uint8Array): Uint8Array {
  const { order, size } = formOf(alg);
  if (!isUint8Array(raw)) throw invalidArgument('raw', 'a Uint8Array', kindOf(raw));
  if (raw.length !== 2 * size) throw malformed(alg);
  const r = integerOf(alg, raw.subarray(0, size), order);
  const s = integerOf(alg, raw.subarray(size), order);
  const length = r.length + s.length;
  // P-521 alone has more than fits the short form.
  const head = length < 0x80 ? [SEQUENCE, length] : [SEQUENCE, 0x81, length];
  return Uint8Array.from([...head, ...r, ...s]);
}

function formOf(alg: EcdsaAlg): { readonly order: Buffer; readonly size: number } {
  if (typeof alg !== 'string' || !Object.hasOwn(ORDERS, alg)) {
    throw invalidArgument('alg', 'ES256, ES384 or ES512', kindOf(alg));
  }
  return { order: ORDERS[alg], size: (SIGN_ALGORITHMS[alg] as { readonly size: number }).size };
}

/** Where the content of the element at `at` starts and ends. */
function readElement(alg: EcdsaAlg, der: Uint8Array, at: number, tag: number): { start: number; end: number } {
  const short = der[at + 1] ?? 0;
  const long = der[at + 2] ?? 0;
  // 0x81: one byte of length follows. No signature needs more, and a length below 0x80 has to do without.
  const isLong = short === 0x81 && long >= 0x80;
  if (der[at] !== tag || (short >= 0x80 && !isLong)) throw malformed(alg);
  const start = at + (isLong ? 3 : 2);
  const end = start + (isLong ? long : short);
  if (end > der.length) throw malformed(alg);
  return { start, end };
}

/** Writes the content of an INTEGER into as many bytes as a coordinate has. */
function writeInteger(alg: EcdsaAlg, content: Uint8Array, target: Uint8Array, order: Buffer): void {
  const [first = 0, second = 0] = content;
  const isNegative = first >= 0x80;
  const isPadded = first === 0;
  if (isNegative || (isPadded && second < 0x80)) throw malformed(alg);
  const digits = isPadded ? content.subarray(1) : content;
  if (digits.length > target.length) throw malformed(alg);
  target.set(digits, target.length - digits.length);
  checkRange(alg, target, order);
}

function integerOf(alg: EcdsaAlg, coordinate: Uint8Array, order: Buffer): readonly number[] {
  checkRange(alg, coordinate, order);
  const digits = coordinate.subarray(coordinate.findIndex((byte) => byte !== 0));
  const content = (digits[0] as number) >= 0x80 ? [0, ...digits] : [...digits];
  return [INTEGER, content.length, ...content];
}

function checkRange(alg: EcdsaAlg, coordinate: Uint8Array, order: Buffer): void {
  if (coordinate.every((byte) => byte === 0) || order.compare(coordinate) <= 0) throw malformed(alg);
}

function malformed(alg: EcdsaAlg): KmsError {
  return new KmsError('ERR_KMS_SIGNATURE_MALFORMED', { context: { alg } });
}
