import { constants, createPrivateKey, createPublicKey, type KeyObject, publicEncrypt, randomBytes } from 'node:crypto';
import { aesKwpWrap } from '@keywright/envelope/aes-kwp';
import QuickLRU from 'quick-lru';
import type { SignAlg } from '../../algorithms.ts';
import { invalidArgument } from '../../arguments.ts';
import type { DriverCall, DriverCreateKey, DriverKey } from '../../driver.ts';
import type { JsonAnswer } from '../../internal/json-http.ts';
import type { PrivateJwk } from '../../jwk.ts';
import { dataOf, type VaultClient } from './client.ts';
import { Flights } from './flights.ts';
import { rsaTypeOf, transitTypeOf } from './key-types.ts';
import type { TransitKeys } from './keys.ts';
import type { Places } from './places.ts';
import { invalidResponse, refusalOf } from './refusal.ts';

/** A mount's first wrapping key takes Vault seconds to make. */
const FLIGHT_MS = 30_000;
const KEPT_MOUNTS = 1_000;
const KEPT_MS = 300_000;
const WRAPPING_BITS = 4096;

/**
 * Takes key pairs over by BYOK: the private key travels under a key of this one call, which travels under the mount's
 * own. Neither this process' logs nor Vault's audit ever see it.
 */
export class TransitImport {
  readonly #client: VaultClient;
  readonly #keys: TransitKeys;
  readonly #places: Places;
  readonly #flights = new Flights<KeyObject>(FLIGHT_MS);
  readonly #wrapping = new QuickLRU<string, KeyObject>({ maxSize: KEPT_MOUNTS, maxAge: KEPT_MS });

  constructor(client: VaultClient, keys: TransitKeys, places: Places) {
    this.#client = client;
    this.#keys = keys;
    this.#places = places;
  }

  async import(
    { tenantId, name, alg, privateJwk }: DriverCreateKey & { readonly privateJwk: PrivateJwk },
    call: DriverCall,
  ): Promise<DriverKey> {
    const key = createPrivateKey({ format: 'jwk', key: { ...privateJwk } });
    const type = typeOf(alg, key);
    const place = this.#places.of(tenantId, name);
    await this.#keys.expectAbsent(place, call);
    const wrappingKey = await this.#wrappingKey(place.mount, call);
    const body = {
      ciphertext: wrapPrivateKey(wrappingKey, key),
      hash_function: 'SHA256',
      type,
      derived: false,
      exportable: false,
      allow_plaintext_backup: false,
      allow_rotation: false,
    };
    const path = `${place.mount}/keys/${place.key}/import`;
    const answer = await this.#client.ask({ method: 'POST', path, body, delivery: 'at-most-once' }, call);
    if (answer.status >= 300) {
      // It may be that of a mount that was made anew.
      this.#wrapping.delete(place.mount);
      throw refusalOf(answer);
    }
    return this.#keys.made(await this.#keys.reread(place, call), alg, place, name);
  }

  close(): void {
    this.#flights.close();
  }

  async #wrappingKey(mount: string, call: DriverCall): Promise<KeyObject> {
    const kept = this.#wrapping.get(mount);
    if (kept !== undefined) return kept;
    return await this.#flights.join(mount, call.signal, async (signal) => {
      const answer = await this.#client.ask({ method: 'GET', path: `${mount}/wrapping_key` }, { ...call, signal });
      const read = wrappingKeyIn(answer);
      this.#wrapping.set(mount, read);
      return read;
    });
  }
}

/** RSA-OAEP of an AES-256 key, then what that wraps (RFC 5649) of the key as PKCS #8. */
function wrapPrivateKey(wrappingKey: KeyObject, key: KeyObject): string {
  const ephemeral = randomBytes(32);
  const pkcs8 = key.export({ format: 'der', type: 'pkcs8' });
  try {
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    const wrapped = publicEncrypt({ key: wrappingKey, padding, oaepHash: 'sha256' }, ephemeral);
    return Buffer.concat([wrapped, aesKwpWrap(ephemeral, pkcs8)]).toString('base64');
  } finally {
    ephemeral.fill(0);
    pkcs8.fill(0);
  }
}

function wrappingKeyIn(answer: JsonAnswer): KeyObject {
  const { public_key: publicKey } = dataOf(answer);
  if (typeof publicKey === 'string') {
    const key = readPem(publicKey);
    if (key?.asymmetricKeyType === 'rsa' && key.asymmetricKeyDetails?.modulusLength === WRAPPING_BITS) return key;
  }
  throw invalidResponse(answer, `an RSA key of ${WRAPPING_BITS} bits`);
}

function readPem(pem: string): KeyObject | undefined {
  try {
    return createPublicKey({ key: pem, format: 'pem' });
  } catch {
    return undefined;
  }
}

function typeOf(alg: SignAlg, { asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string {
  if (asymmetricKeyType !== 'rsa') return transitTypeOf(alg);
  const bits = asymmetricKeyDetails?.modulusLength ?? 0;
  const type = rsaTypeOf(bits);
  if (type !== undefined) return type;
  throw invalidArgument('privateJwk', 'an RSA key of 2048, 3072 or 4096 bits', `${bits} bits`);
}
