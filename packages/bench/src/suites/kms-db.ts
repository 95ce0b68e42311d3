import { generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { createKeyring } from '@keywright/envelope';
import { dbProvider, type KmsProvider, migrateKmsTables, type PrivateJwk, type SignAlg } from '@keywright/kms';
import createKnex from 'knex';
import { Fixtures } from '../fixtures.ts';
import type { Case, Suite } from '../suite.ts';

const BARE = 'bare crypto.sign';
const BYTES = 256;

/** 0.8 of the bare call's signatures in the same time. */
const BUDGET = 1.25;

type Keys = { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
type SignBare = (data: Uint8Array, key: KeyObject) => Uint8Array | Promise<Uint8Array>;

interface Row {
  readonly alg: SignAlg;
  readonly maxRatio?: number;
  generate(): Keys;
  /** As the provider does it: elliptic curves on this thread, RSA on the pool. */
  readonly bare: SignBare;
  readonly check: (data: Uint8Array, key: KeyObject, signature: Uint8Array) => boolean;
}

const ecdsa = (alg: SignAlg, namedCurve: string, hash: string, maxRatio?: number): Row => ({
  alg,
  ...(maxRatio === undefined ? {} : { maxRatio }),
  generate: () => generateKeyPairSync('ec', { namedCurve }),
  bare: (data, key) => sign(hash, data, { key, dsaEncoding: 'ieee-p1363' }),
  check: (data, key, signature) => verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature),
});

const ROWS: readonly Row[] = [
  ecdsa('ES256', 'P-256', 'sha256', BUDGET),
  ecdsa('ES384', 'P-384', 'sha384'),
  {
    alg: 'EdDSA',
    generate: () => generateKeyPairSync('ed25519'),
    bare: (data, key) => sign(null, data, key),
    check: (data, key, signature) => verify(null, data, key, signature),
  },
  {
    alg: 'RS256',
    generate: () => generateKeyPairSync('rsa', { modulusLength: 3072 }),
    bare: (data, key) => {
      const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
      sign('sha256', data, key, (error, signature) => (error ? reject(error) : resolve(signature)));
      return promise;
    },
    check: (data, key, signature) => verify('sha256', data, key, signature),
  },
];

const about = `One signature of ${BYTES} bytes, one after the other, with a key that is in memory.

- **${BARE}**, the baseline: \`node:crypto\` with a \`KeyObject\` at hand: on this thread for elliptic curves, on the thread
  pool for RSA, as the provider does it.
- **keywright**: \`provider.sign(key, data)\` of the \`db\` provider as it comes: arguments and answer checked, the key
  found in memory, its row looked up again once a second (SQLite, in memory).`;

/** Software keys against the signature alone. */
export const kmsDb: Suite = {
  name: 'kms-db',
  title: 'KMS: signing with software keys',
  about,
  operation: 'signature',
  async cases() {
    const provider = await openProvider();
    return await Promise.all(ROWS.map((row, index) => caseOf(provider, row, index)));
  },
  async close() {
    await Promise.all(opened.splice(0).map((close) => close()));
  },
};

/** What ends each provider that was opened. */
const opened: (() => Promise<void>)[] = [];

async function openProvider(): Promise<KmsProvider> {
  const knex = createKnex({ client: 'better-sqlite3', connection: { filename: ':memory:' }, useNullAsDefault: true });
  await migrateKmsTables({ knex });
  const root = createKeyring({ keys: { v1: new Fixtures(1).bytes(32) }, activeKid: 'v1' });
  const provider = dbProvider({ id: 'db', knex, root });
  opened.push(async () => {
    await provider.close();
    await knex.destroy();
  });
  return provider;
}

async function caseOf(
  provider: KmsProvider,
  { alg, maxRatio, generate, bare, check }: Row,
  index: number,
): Promise<Case> {
  const { privateKey, publicKey } = generate();
  const privateJwk = privateKey.export({ format: 'jwk' }) as unknown as PrivateJwk;
  const key = await provider.importKey({ tenantId: 'acme', keyId: alg, alg, privateJwk });
  const data = new Fixtures(index).bytes(BYTES);
  const restore = (signature: unknown): boolean => check(data, publicKey, signature as Uint8Array);
  return {
    name: alg,
    contenders: [
      { name: BARE, role: 'baseline', expected: true, run: () => bare(data, privateKey), restore },
      {
        name: 'keywright',
        role: 'subject',
        ...(maxRatio === undefined ? {} : { maxRatio }),
        expected: true,
        run: () => provider.sign(key, data),
        restore,
      },
    ],
  };
}
