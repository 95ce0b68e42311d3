import { hash } from 'node:crypto';
import { type KmsCapabilities, SIGN_ALGORITHMS, SIGN_ALGS, type SignAlg } from '@keywright/kms';
import { CKA, CKG, CKK, CKM, PARAMS } from './constants.ts';
import type { Attribute, Cryptoki, Handle, KeySizes, Mechanism } from './cryptoki.ts';

/** What the token can do. */
export interface Mechanisms {
  has(mechanism: number): boolean;
  /** Key sizes of those that the algorithms here use. */
  sizes(mechanism: number): KeySizes | undefined;
}

/** Modulus of RSA keys that are made, in bits. */
export const RSA_BITS = 3072;
const MAX_RSA_BYTES = 1024;

/** How a token signs for an algorithm: with what, what it is given, and how long the answer can be. */
export interface Signing {
  readonly mechanism: Mechanism;
  readonly input: (data: Uint8Array) => Buffer;
  readonly signatureBytes: number;
}

/** How a key pair for an algorithm is told from others, and made. */
export interface KeyForm {
  /** Curve, or kind of key: what tells it from other forms. */
  readonly name: string;
  readonly keyType: number;
  readonly generation: number;
  /** CKA_EC_PARAMS of a NIST curve; Ed25519's differ by token. */
  readonly curve: Buffer | undefined;
  readonly bits: number;
}

const CURVES: Readonly<Record<string, Buffer>> = {
  'P-256': Buffer.from('06082a8648ce3d030107', 'hex'),
  'P-384': Buffer.from('06052b81040022', 'hex'),
  'P-521': Buffer.from('06052b81040023', 'hex'),
};
const CURVE_BITS: Readonly<Record<string, number>> = { 'P-256': 256, 'P-384': 384, 'P-521': 521 };

/** DigestInfo up to the digest (RFC 8017, 9.2). */
const DIGEST_INFO = {
  sha256: Buffer.from('3031300d060960864801650304020105000420', 'hex'),
  sha384: Buffer.from('3041300d060960864801650304020205000430', 'hex'),
  sha512: Buffer.from('3051300d060960864801650304020305000440', 'hex'),
} as const;

const HASHED = {
  sha256: {
    hash: CKM.SHA256,
    mgf: CKG.MGF1_SHA256,
    ecdsa: CKM.ECDSA_SHA256,
    pkcs: CKM.SHA256_RSA_PKCS,
    pss: CKM.SHA256_RSA_PKCS_PSS,
  },
  sha384: {
    hash: CKM.SHA384,
    mgf: CKG.MGF1_SHA384,
    ecdsa: CKM.ECDSA_SHA384,
    pkcs: CKM.SHA384_RSA_PKCS,
    pss: CKM.SHA384_RSA_PKCS_PSS,
  },
  sha512: {
    hash: CKM.SHA512,
    mgf: CKG.MGF1_SHA512,
    ecdsa: CKM.ECDSA_SHA512,
    pkcs: CKM.SHA512_RSA_PKCS,
    pss: CKM.SHA512_RSA_PKCS_PSS,
  },
} as const;

/**
 * Ways to sign for an algorithm, the best first: on a digest that is made here, so that data of any length is one short
 * message to the token; else with the token's own hash.
 */
const WAYS: Readonly<Record<SignAlg, readonly Signing[]>> = Object.freeze(
  Object.fromEntries(SIGN_ALGS.map((alg) => [alg, waysOf(alg)])) as unknown as Record<SignAlg, readonly Signing[]>,
);

function waysOf(alg: SignAlg): readonly Signing[] {
  const algorithm = SIGN_ALGORITHMS[alg];
  if (algorithm.kind === 'eddsa') {
    return [{ mechanism: { mechanism: CKM.EDDSA }, input: copyOf, signatureBytes: 64 }];
  }
  const { hash: name } = algorithm;
  const own = HASHED[name];
  const digest = (data: Uint8Array): Buffer => hash(name, data, 'buffer');
  if (algorithm.kind === 'ecdsa') {
    const signatureBytes = 2 * algorithm.size;
    return [
      { mechanism: { mechanism: CKM.ECDSA }, input: digest, signatureBytes },
      { mechanism: { mechanism: own.ecdsa }, input: copyOf, signatureBytes },
    ];
  }
  const signatureBytes = MAX_RSA_BYTES;
  if (algorithm.kind === 'rsa-pkcs1') {
    const info = (data: Uint8Array): Buffer => Buffer.concat([DIGEST_INFO[name], digest(data)]);
    return [
      { mechanism: { mechanism: CKM.RSA_PKCS }, input: info, signatureBytes },
      { mechanism: { mechanism: own.pkcs }, input: copyOf, signatureBytes },
    ];
  }
  const parameter = { type: PARAMS.RSA_PSS, hashAlg: own.hash, mgf: own.mgf, saltLen: algorithm.saltLength };
  return [
    { mechanism: { mechanism: CKM.RSA_PKCS_PSS, parameter }, input: digest, signatureBytes },
    { mechanism: { mechanism: own.pss, parameter }, input: copyOf, signatureBytes },
  ];
}

/** How this token signs for an algorithm; `undefined` if it does not. */
export function signingOf(alg: SignAlg, mechanisms: Mechanisms): Signing | undefined {
  const { bits } = formOf(alg);
  return WAYS[alg].find(({ mechanism: { mechanism } }) => {
    if (!mechanisms.has(mechanism)) return false;
    const sizes = mechanisms.sizes(mechanism);
    return SIGN_ALGORITHMS[alg].kind !== 'ecdsa' || sizes === undefined || isWithin(bits, sizes);
  });
}

/** How this token signs, by algorithm: looked up for every signature. */
export function signingsOf(mechanisms: Mechanisms): Signings {
  return Object.freeze(Object.fromEntries(SIGN_ALGS.map((alg) => [alg, signingOf(alg, mechanisms)])));
}

export type Signings = Readonly<Partial<Record<SignAlg, Signing>>>;

export function formOf(alg: SignAlg): KeyForm {
  return FORMS[alg];
}

const FORMS = Object.freeze(
  Object.fromEntries(SIGN_ALGS.map((alg) => [alg, makeForm(alg)])) as unknown as Record<SignAlg, KeyForm>,
);

function makeForm(alg: SignAlg): KeyForm {
  const algorithm = SIGN_ALGORITHMS[alg];
  if (algorithm.kind === 'ecdsa') {
    const { crv } = algorithm;
    const [curve, bits] = [CURVES[crv] as Buffer, CURVE_BITS[crv] as number];
    return { name: crv, keyType: CKK.EC, generation: CKM.EC_KEY_PAIR_GEN, curve, bits };
  }
  const curve = undefined;
  if (algorithm.kind === 'eddsa') {
    const { crv: name } = algorithm;
    return { name, keyType: CKK.EC_EDWARDS, generation: CKM.EC_EDWARDS_KEY_PAIR_GEN, curve, bits: 255 };
  }
  return { name: 'RSA', keyType: CKK.RSA, generation: CKM.RSA_PKCS_KEY_PAIR_GEN, curve, bits: RSA_BITS };
}

/** What the token, once met, can do; before that, what tokens can do. */
export function capabilitiesOf(mechanisms: Mechanisms | undefined, readOnly: boolean): KmsCapabilities {
  const algs: Partial<Record<SignAlg, { readonly create: boolean; readonly import: false }>> = {};
  for (const alg of SIGN_ALGS) {
    if (mechanisms !== undefined && signingOf(alg, mechanisms) === undefined) continue;
    const create = !readOnly && (mechanisms === undefined || canGenerate(alg, mechanisms));
    algs[alg] = Object.freeze({ create, import: false });
  }
  return Object.freeze({
    algs: Object.freeze(algs),
    defaultAlg: algs.ES256 === undefined ? (SIGN_ALGS.find((alg) => algs[alg]) ?? 'ES256') : 'ES256',
    deleteKey: readOnly ? 'never' : 'immediate',
    listKeys: true,
    exportKey: false,
    wrapKey: mechanisms === undefined || canWrap(mechanisms),
  });
}

export function canGenerate(alg: SignAlg, mechanisms: Mechanisms): boolean {
  const { generation, bits } = formOf(alg);
  const sizes = mechanisms.sizes(generation);
  return mechanisms.has(generation) && (alg === 'EdDSA' || sizes === undefined || isWithin(bits, sizes));
}

export function canWrap(mechanisms: Mechanisms): boolean {
  return mechanisms.has(CKM.AES_GCM) || mechanisms.has(CKM.AES_KEY_WRAP_KWP) || mechanisms.has(CKM.AES_KEY_WRAP_PAD);
}

const SIZED = [CKM.EC_KEY_PAIR_GEN, CKM.ECDSA, CKM.ECDSA_SHA256, CKM.ECDSA_SHA384, CKM.ECDSA_SHA512];

export function readMechanisms(cryptoki: Cryptoki, slot: Handle): Mechanisms {
  const list = new Set(cryptoki.C_GetMechanismList(slot));
  const sizes = new Map<number, KeySizes>();
  for (const mechanism of [...SIZED, CKM.RSA_PKCS_KEY_PAIR_GEN]) {
    if (list.has(mechanism)) sizes.set(mechanism, cryptoki.C_GetMechanismInfo(slot, mechanism));
  }
  return { has: (mechanism) => list.has(mechanism), sizes: (mechanism) => sizes.get(mechanism) };
}

/** Attributes of a key pair's public half that say which key is made. */
export function shapeOf(form: KeyForm, edwardsParameters: Buffer): readonly Attribute[] {
  if (form.keyType === CKK.RSA) {
    return [
      { type: CKA.MODULUS_BITS, value: RSA_BITS },
      { type: CKA.PUBLIC_EXPONENT, value: Buffer.of(1, 0, 1) },
    ];
  }
  return [{ type: CKA.EC_PARAMS, value: form.curve ?? edwardsParameters }];
}

/** Some tokens answer nothing for both ends: no limits that they know of. */
function isWithin(bits: number, { minKeySize, maxKeySize }: KeySizes): boolean {
  return maxKeySize === 0 || (bits >= minKeySize && bits <= maxKeySize);
}

/** The caller may change its data while the token reads it. And a pointer to no bytes has to be a pointer. */
function copyOf(data: Uint8Array): Buffer {
  const copy = Buffer.alloc(data.byteLength + 1);
  copy.set(data);
  return copy.subarray(0, data.byteLength);
}
