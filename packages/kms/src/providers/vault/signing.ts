import { hash } from 'node:crypto';
import { SIGN_ALGORITHMS, type SignAlg } from '../../algorithms.ts';
import type { DriverCall } from '../../driver.ts';
import type { KmsKeyRef } from '../../provider.ts';
import { dataOf, type VaultClient } from './client.ts';
import { signMembersOf } from './key-types.ts';
import { type TransitKeys, versionOf } from './keys.ts';
import { invalidResponse } from './refusal.ts';

const SIGNATURE = /^vault:v(?<version>[1-9][0-9]{0,8}):(?<signature>[A-Za-z0-9+/_-]{1,2048}={0,2})$/;

/** Signs with the pinned version of a key. But for Ed25519, which hashes twice itself, only a hash travels. */
export async function transitSign(
  client: VaultClient,
  keys: TransitKeys,
  key: KmsKeyRef,
  data: Uint8Array,
  call: DriverCall,
): Promise<Uint8Array> {
  const version = versionOf(key);
  const place = await keys.expectKnown(key, call);
  const body = { input: inputOf(key.alg, data), key_version: Number(version), ...signMembersOf(key.alg) };
  const answer = await client.ask({ method: 'POST', path: `${place.mount}/sign/${place.key}`, body }, call);
  const { signature } = dataOf(answer);
  const groups = typeof signature === 'string' ? SIGNATURE.exec(signature)?.groups : undefined;
  if (groups?.version !== version) throw invalidResponse(answer, `a signature by version ${version}`);
  // Both alphabets of base64 are read alike: Transit answers with that of JWS for ECDSA alone.
  return Buffer.from(groups.signature ?? '', 'base64');
}

function inputOf(alg: SignAlg, data: Uint8Array): string {
  const algorithm = SIGN_ALGORITHMS[alg];
  if (algorithm.kind !== 'eddsa') return hash(algorithm.hash, data, 'base64');
  const { buffer, byteOffset, byteLength } = data;
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}
