import { type EncryptionContext, EnvelopeError } from '@keywright/envelope';
import type { DriverCall } from '../../driver.ts';
import { KmsError } from '../../errors.ts';
import type { JsonAnswer } from '../../internal/json-http.ts';
import type { WrappingKeyRef } from '../../provider.ts';
import { contextBytes } from '../../wrapping/context.ts';
import { dataOf, type VaultClient, warningsOf } from './client.ts';
import { pathOf, type TransitKeys } from './keys.ts';
import type { Places } from './places.ts';
import { invalidResponse, refusalOf, textOf } from './refusal.ts';

const TYPE = 'aes256-gcm96';
const CIPHERTEXT = /^vault:v[1-9][0-9]{0,8}:[A-Za-z0-9+/]{1,131072}={0,2}$/;
const BASE64 = /^[A-Za-z0-9+/]{0,131072}={0,2}$/;
const TAMPERED = /^(?:invalid ciphertext|cipher: message authentication failed|failed to decrypt)|illegal base64/m;

/** Keys under a Transit key of AES-256-GCM. Ciphertexts name the version of the key, so it may be rotated. */
export class TransitWrapping {
  readonly #client: VaultClient;
  readonly #keys: TransitKeys;
  readonly #places: Places;

  constructor(client: VaultClient, keys: TransitKeys, places: Places) {
    this.#client = client;
    this.#keys = keys;
    this.#places = places;
  }

  async create({ name }: { readonly name: string }, call: DriverCall): Promise<WrappingKeyRef> {
    const place = this.#places.ofWrappingKey(name);
    await this.#keys.expectAbsent(place, call);
    const body = { type: TYPE, derived: false, exportable: false, allow_plaintext_backup: false };
    const path = pathOf(place);
    const made = await this.#client.ask({ method: 'POST', path, body, delivery: 'at-most-once' }, call);
    if (made.status >= 300) throw refusalOf(made);
    const answer = made.status === 204 ? await this.#keys.reread(place, call) : made;
    const { type, derived, exportable } = dataOf(answer);
    if (type !== TYPE || derived !== false || exportable !== false) throw invalidResponse(answer, `a key of ${TYPE}`);
    return { externalId: `${place.mount}/${place.key}` };
  }

  async wrap(ref: WrappingKeyRef, key: Uint8Array, context: EncryptionContext, call: DriverCall): Promise<Uint8Array> {
    const place = this.#places.ofWrappingRef(ref);
    const body = {
      plaintext: base64Of(key),
      associated_data: contextBytes(context).toString('base64'),
      // Transit makes a key that it does not have, of this type, unless it is one that cannot encrypt: then it refuses.
      // Of a key that it has, the type is its own. So nothing is ever wrapped by a key that nobody made.
      type: 'ecdsa-p256',
    };
    const answer = await this.#client.ask({ method: 'POST', path: `${place.mount}/encrypt/${place.key}`, body }, call);
    if (answer.status === 400 && /key type ecdsa-p256 not supported for this operation/.test(textOf(answer))) {
      throw new KmsError('ERR_KMS_KEY_NOT_FOUND', { context: { status: answer.status } });
    }
    const { ciphertext } = dataOf(answer);
    if (typeof ciphertext !== 'string' || !CIPHERTEXT.test(ciphertext)) throw invalidResponse(answer, 'a ciphertext');
    expectBound(answer);
    return Buffer.from(ciphertext, 'latin1');
  }

  async unwrap(
    ref: WrappingKeyRef,
    wrapped: Uint8Array,
    context: EncryptionContext,
    call: DriverCall,
  ): Promise<Uint8Array> {
    const place = this.#places.ofWrappingRef(ref);
    const associated_data = contextBytes(context).toString('base64');
    const ciphertext = Buffer.from(wrapped).toString('latin1');
    if (!CIPHERTEXT.test(ciphertext)) throw new EnvelopeError('ERR_ENVELOPE_DECRYPT');
    const body = { ciphertext, associated_data };
    const answer = await this.#client.ask({ method: 'POST', path: `${place.mount}/decrypt/${place.key}`, body }, call);
    if (answer.status === 400 && TAMPERED.test(textOf(answer))) throw new EnvelopeError('ERR_ENVELOPE_DECRYPT');
    const { plaintext } = dataOf(answer);
    if (typeof plaintext !== 'string' || !BASE64.test(plaintext)) throw invalidResponse(answer, 'a plaintext');
    expectBound(answer);
    return Buffer.from(plaintext, 'base64');
  }
}

/** Servers of before 2022 know no associated data, say so in a warning, and bind the ciphertext to nothing. */
function expectBound(answer: JsonAnswer): void {
  if (!warningsOf(answer).some((warning) => warning.includes('associated_data'))) return;
  throw new KmsError('ERR_KMS_UNSUPPORTED', { context: { expected: 'a Vault that knows associated_data' } });
}

function base64Of({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}
