import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type JsonWebKey,
  type KeyObject,
  sign,
} from 'node:crypto';
import { promisify } from 'node:util';

const generate = promisify(generateKeyPair) as (type: string, options: object) => Promise<{ privateKey: KeyObject }>;

const CURVES: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

/** Private keys of a remote KMS, in its memory. Shares no code with what is tested. */
export class RemoteKeys {
  readonly #keys = new Map<string, { readonly alg: string; readonly privateKey: KeyObject }>();

  get names(): readonly string[] {
    return [...this.#keys.keys()].sort();
  }

  has(kid: string): boolean {
    return this.#keys.has(kid);
  }

  async create(kid: string, alg: string): Promise<void> {
    const namedCurve = CURVES[alg];
    const { privateKey } =
      alg === 'EdDSA'
        ? await generate('ed25519', {})
        : namedCurve === undefined
          ? await generate('rsa', { modulusLength: 3072 })
          : await generate('ec', { namedCurve });
    this.#keys.set(kid, { alg, privateKey });
  }

  import(kid: string, alg: string, jwk: JsonWebKey): void {
    this.#keys.set(kid, { alg, privateKey: createPrivateKey({ format: 'jwk', key: jwk }) });
  }

  publicJwk(kid: string): JsonWebKey {
    return createPublicKey(this.#key(kid).privateKey).export({ format: 'jwk' });
  }

  /** r ‖ s for ECDSA. */
  sign(kid: string, data: Uint8Array): Buffer {
    const { alg, privateKey: key } = this.#key(kid);
    if (alg === 'EdDSA') return sign(null, data, key);
    const hash = `sha${alg.slice(2)}`;
    if (alg.startsWith('ES')) return sign(hash, data, { key, dsaEncoding: 'ieee-p1363' });
    if (alg.startsWith('RS')) return sign(hash, data, key);
    const saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
    return sign(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
  }

  algOf(kid: string): string {
    return this.#key(kid).alg;
  }

  delete(kid: string): boolean {
    return this.#keys.delete(kid);
  }

  /** Searched by tests for what must not be elsewhere. */
  privateJwk(kid: string): JsonWebKey {
    return this.#key(kid).privateKey.export({ format: 'jwk' });
  }

  #key(kid: string): { readonly alg: string; readonly privateKey: KeyObject } {
    const key = this.#keys.get(kid);
    if (key === undefined) throw new Error(`no key ${kid}`);
    return key;
  }
}
