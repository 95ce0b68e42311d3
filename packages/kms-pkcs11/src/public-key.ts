import type { JsonWebKey } from 'node:crypto';
import { KmsError, SIGN_ALGORITHMS, type SignAlg } from '@keywright/kms';
import { CKA } from './constants.ts';
import type { Handle } from './cryptoki.ts';
import type { Session } from './session.ts';

const OCTET_STRING = 0x04;
const BIT_STRING = 0x03;

/** The public key of an object, as the token holds it. @throws KmsError `ERR_KMS_INVALID_RESPONSE` */
export function readPublicKey(session: Session, object: Handle, alg: SignAlg): JsonWebKey {
  const algorithm = SIGN_ALGORITHMS[alg];
  if (algorithm.kty === 'RSA') {
    const n = session.attribute(object, CKA.MODULUS);
    return { kty: 'RSA', n: base64url(withoutZeros(n)), e: base64url(session.attribute(object, CKA.PUBLIC_EXPONENT)) };
  }
  const point = session.attribute(object, CKA.EC_POINT);
  if (algorithm.kty === 'OKP') {
    const x = ofLength(point, 32);
    if (x !== undefined) return { kty: 'OKP', crv: algorithm.crv, x: base64url(x) };
  } else {
    const { size, crv } = algorithm;
    const bytes = ofLength(point, 1 + 2 * size);
    if (bytes?.[0] === 0x04) {
      const x = base64url(bytes.subarray(1, 1 + size));
      return { kty: 'EC', crv, x, y: base64url(bytes.subarray(1 + size)) };
    }
  }
  throw new KmsError('ERR_KMS_INVALID_RESPONSE', {
    context: { expected: `a point for ${alg}`, received: `${point.byteLength} bytes` },
  });
}

/**
 * A point of this many bytes: by the standard within an OCTET STRING, while some tokens give it bare and some in a BIT
 * STRING. The length tells them apart.
 */
function ofLength(value: Buffer, length: number): Buffer | undefined {
  if (value.byteLength === length) return value;
  const header = length < 0x80 ? [length] : [0x81, length];
  if (startsWith(value, [OCTET_STRING, ...header]) && value.byteLength === 1 + header.length + length) {
    return value.subarray(1 + header.length);
  }
  const longer = length + 1 < 0x80 ? [length + 1] : [0x81, length + 1];
  if (startsWith(value, [BIT_STRING, ...longer, 0]) && value.byteLength === 2 + longer.length + length) {
    return value.subarray(2 + longer.length);
  }
  return undefined;
}

function startsWith(value: Buffer, bytes: readonly number[]): boolean {
  return bytes.every((byte, index) => value[index] === byte);
}

function withoutZeros(integer: Buffer): Buffer {
  let start = 0;
  while (start < integer.byteLength - 1 && integer[start] === 0) start++;
  return integer.subarray(start);
}

function base64url(bytes: Buffer): string {
  return bytes.toString('base64url');
}
