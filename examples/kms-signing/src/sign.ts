import { createKmsKeys, createKmsRegistry, KmsError, type KmsProvider, publicJwks, signJws } from '@keywright/kms';
import { compactVerify, createLocalJWKSet, errors, type JSONWebKeySet } from 'jose';
import type { Knex } from 'knex';

/** What the example found. */
export interface Signed {
  readonly provider: string;
  readonly jws: string;
  readonly jwks: JSONWebKeySet;
  /** What `jose` read in the JWS, by the public key alone. */
  readonly verified: unknown;
  /** Codes of what was refused, in the order of the example. */
  readonly refusals: readonly string[];
}

/** Makes a key of the same id for two tenants, signs with one of them, has it verified, and deletes it. */
export async function signForTenants(knex: Knex, provider: KmsProvider): Promise<Signed> {
  const registry = createKmsRegistry({ providers: [provider] });
  const keys = createKmsKeys({ knex, registry });
  await keys.migrate();
  const [acme, globex] = [keys.tenant('acme'), keys.tenant('globex')];
  const key = await acme.create({ keyId: 'statements', alg: 'ES256' });
  const other = await globex.create({ keyId: 'statements', alg: 'ES256' });

  const payload = JSON.stringify({ sub: 'acme', balance: 42 });
  const jws = await signJws(acme, key, payload, { header: { typ: 'JWT' } });

  // Whoever verifies needs the public keys and nothing of ours.
  const jwks = publicJwks([key]) as unknown as JSONWebKeySet;
  const verified = await compactVerify(jws, createLocalJWKSet(jwks));

  const refusals = [
    await refusal(compactVerify(jws, createLocalJWKSet(publicJwks([other]) as unknown as JSONWebKeySet))),
    await refusal(globex.sign(key, Buffer.from('as acme'))),
    await acme.delete(key.keyId).then(() => refusal(acme.sign(key.keyId, Buffer.from('too late')))),
  ];
  await globex.delete(other.keyId);
  const read: unknown = JSON.parse(Buffer.from(verified.payload).toString());
  return { provider: provider.type, jws, jwks, verified: read, refusals };
}

async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof KmsError || error instanceof errors.JOSEError) return error.code;
    throw error;
  }
  throw new Error('This had to be refused.');
}
