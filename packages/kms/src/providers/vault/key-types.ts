import { SIGN_ALGORITHMS, type SignAlg } from '../../algorithms.ts';

/** How Transit names the type of the keys that are made for an algorithm. */
export function transitTypeOf(alg: SignAlg): string {
  const algorithm = SIGN_ALGORITHMS[alg];
  if (algorithm.kind === 'ecdsa') return `ecdsa-p${algorithm.crv.slice(2)}`;
  return algorithm.kind === 'eddsa' ? 'ed25519' : 'rsa-3072';
}

/** Whether a key of a Transit type signs by an algorithm. RSA keys that were imported may have another length. */
export function isTypeOf(alg: SignAlg, type: unknown): boolean {
  return SIGN_ALGORITHMS[alg].kty === 'RSA' ? isRsaType(type) : type === transitTypeOf(alg);
}

/** The Transit type of an RSA key with a modulus of so many bits, if there is one. */
export function rsaTypeOf(bits: number): string | undefined {
  const type = `rsa-${bits}`;
  return isRsaType(type) ? type : undefined;
}

function isRsaType(type: unknown): boolean {
  return type === 'rsa-2048' || type === 'rsa-3072' || type === 'rsa-4096';
}

/** Members of a sign request that say how: the hash is taken here, so that only it travels. */
export function signMembersOf(alg: SignAlg): Readonly<Record<string, unknown>> {
  const algorithm = SIGN_ALGORITHMS[alg];
  if (algorithm.kind === 'eddsa') return {};
  const hashed = { prehashed: true, hash_algorithm: `sha2-${algorithm.hash.slice(3)}` };
  if (algorithm.kind === 'ecdsa') return { ...hashed, marshaling_algorithm: 'jws' };
  if (algorithm.kind === 'rsa-pkcs1') return { ...hashed, signature_algorithm: 'pkcs1v15' };
  // Transit's own choice would be the longest salt that fits; JWA ties it to the hash (RFC 7518, 3.5).
  return { ...hashed, signature_algorithm: 'pss', salt_length: 'hash' };
}
