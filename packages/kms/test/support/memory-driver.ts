import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign as signWith,
} from 'node:crypto';
import { createKeyring, EnvelopeError, generateKeyBase64, type KeyWrapper } from '@keywright/envelope';
import {
  type DriverCreateKey,
  type KmsCapabilities,
  type KmsDriver,
  KmsError,
  type KmsKeyRef,
  SIGN_ALGORITHMS,
  SIGN_ALGS,
  type SignAlg,
} from '@keywright/kms';

const RSA_BITS = 3072;

export interface MemoryKey {
  readonly tenantId: string;
  readonly keyId: string;
  readonly alg: SignAlg;
  readonly privateKey: KeyObject;
}

/** What {@link memoryDriver} keeps. */
export interface Memory {
  readonly keys: Map<string, MemoryKey>;
  readonly wrapping: Map<string, KeyWrapper>;
  /** Calls that reached the driver. */
  calls: number;
}

export const MEMORY_CAPABILITIES: KmsCapabilities = Object.freeze({
  algs: Object.freeze(Object.fromEntries(SIGN_ALGS.map((alg) => [alg, { create: true, import: true }]))),
  defaultAlg: 'ES256',
  deleteKey: 'immediate',
  listKeys: true,
  exportKey: true,
  wrapKey: true,
});

export function newMemory(): Memory {
  return { keys: new Map(), wrapping: new Map(), calls: 0 };
}

/** A backend in this process that can do all that the contract has. */
export function memoryDriver(memory: Memory = newMemory()): KmsDriver {
  const { keys, wrapping } = memory;
  const find = ({ tenantId, externalId, alg }: KmsKeyRef): KeyObject => {
    memory.calls++;
    const key = keys.get(externalId);
    if (key?.tenantId !== tenantId) throw new KmsError('ERR_KMS_KEY_NOT_FOUND');
    if (key.alg !== alg) throw new KmsError('ERR_KMS_KEY_NOT_USABLE');
    return key.privateKey;
  };
  const wrapper = (externalId: string): KeyWrapper => {
    memory.calls++;
    const key = wrapping.get(externalId);
    if (key === undefined) throw new KmsError('ERR_KMS_KEY_NOT_FOUND');
    return key;
  };
  const keep = ({ tenantId, keyId, alg, name }: DriverCreateKey, privateKey: KeyObject) => {
    memory.calls++;
    keys.set(name, { tenantId, keyId, alg, privateKey });
    return { externalId: name, externalVersion: '1', publicKey: publicOf(privateKey) };
  };
  return {
    type: 'memory',
    reach: 'remote',
    capabilities: MEMORY_CAPABILITIES,
    async createKey(input) {
      return keep(input, makeKey(input.alg));
    },
    async importKey({ privateJwk, ...input }) {
      return keep(input, createPrivateKey({ format: 'jwk', key: { ...privateJwk } }));
    },
    async getPublicKey(key) {
      return publicOf(find(key));
    },
    async sign(key, data) {
      return signRaw(key.alg, find(key), data);
    },
    async deleteKey({ tenantId, externalId }) {
      memory.calls++;
      if (keys.get(externalId)?.tenantId === tenantId) keys.delete(externalId);
    },
    async listKeys({ tenantId, cursor, limit }) {
      memory.calls++;
      const all = [...keys].filter(([, key]) => tenantId === undefined || key.tenantId === tenantId);
      const from = cursor === undefined ? 0 : Number(cursor);
      const page = all.slice(from, from + limit);
      return {
        keys: page.map(([name, key]) => ({ externalId: name, name, tenantId: key.tenantId, keyId: key.keyId })),
        cursor: from + limit < all.length ? String(from + limit) : undefined,
      };
    },
    async exportKey(key) {
      return find(key).export({ format: 'jwk' }) as never;
    },
    async createWrappingKey({ name }) {
      memory.calls++;
      wrapping.set(name, createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' }));
      return { externalId: name };
    },
    async wrapKey({ externalId }, key, context) {
      const prefixed = Buffer.concat([Buffer.of(1), key]);
      return (await wrapper(externalId).wrapKey(prefixed, { context })).wrapped;
    },
    async unwrapKey({ externalId }, wrapped, context) {
      const key = wrapper(externalId);
      try {
        return Uint8Array.from((await key.unwrapKey({ kid: 'v1', wrapped }, { context })).subarray(1));
      } catch (cause) {
        throw new EnvelopeError('ERR_ENVELOPE_DECRYPT', { cause });
      }
    },
    async probe() {
      memory.calls++;
    },
    async close() {},
  };
}

/** A raw signature, as JOSE has it. */
export function signRaw(alg: SignAlg, key: KeyObject, data: Uint8Array): Uint8Array {
  const algorithm = SIGN_ALGORITHMS[alg];
  if (algorithm.kind === 'eddsa') return signWith(null, data, key);
  if (algorithm.kind === 'ecdsa') return signWith(algorithm.hash, data, { key, dsaEncoding: 'ieee-p1363' });
  const { hash, saltLength } = algorithm;
  if (algorithm.kind === 'rsa-pkcs1') return signWith(hash, data, key);
  return signWith(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
}

export function makeKey(alg: SignAlg): KeyObject {
  const algorithm = SIGN_ALGORITHMS[alg];
  if (algorithm.kind === 'eddsa') return generateKeyPairSync('ed25519').privateKey;
  if (algorithm.kind === 'ecdsa') return generateKeyPairSync('ec', { namedCurve: algorithm.crv }).privateKey;
  return generateKeyPairSync('rsa', { modulusLength: RSA_BITS }).privateKey;
}

export function publicOf(key: KeyObject): JsonWebKey {
  return createPublicKey(key).export({ format: 'jwk' });
}
