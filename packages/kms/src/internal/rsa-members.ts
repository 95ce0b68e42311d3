import type { JsonWebKey } from 'node:crypto';

/**
 * Whether the members of a private RSA key belong together. OpenSSL signs with the primes and never looks at `d`; a
 * backend may do the opposite, and would sign with another key.
 */
export function isWholeRsaKey({ n, e, d, p, q, dp, dq, qi }: JsonWebKey): boolean {
  const [N, E, D, P, Q] = [integer(n), integer(e), integer(d), integer(p), integer(q)];
  if (P < 2n || Q < 2n || P * Q !== N) return false;
  return (
    (D * E) % (P - 1n) === 1n &&
    (D * E) % (Q - 1n) === 1n &&
    integer(dp) === D % (P - 1n) &&
    integer(dq) === D % (Q - 1n) &&
    (integer(qi) * Q) % P === 1n
  );
}

function integer(member: string | undefined): bigint {
  return BigInt(`0x${Buffer.from(member ?? '', 'base64url').toString('hex') || '0'}`);
}
