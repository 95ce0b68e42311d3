import type { JsonWebKey } from 'node:crypto';
import type { EncryptionContext } from '@keywright/envelope';
import {
  type BackendKeyPage,
  contextBytes,
  type DriverCall,
  type DriverCreateKey,
  type DriverKey,
  type KmsCapabilities,
  type KmsDriver,
  KmsError,
  type KmsKeyRef,
  type WrappingKeyRef,
} from '@keywright/kms';
import type { Connection } from './connection.ts';
import { destroyPair, generate, publicKeyOf, sign } from './key-pairs.ts';
import { TokenLink } from './link.ts';
import { listNames } from './list.ts';
import { capabilitiesOf } from './mechanisms.ts';
import { isName } from './objects.ts';
import type { Pkcs11Settings } from './options.ts';
import { generateWrappingKey, unwrap, wrap } from './wrapping.ts';

/** Keys in a token. `local`: the calls keep to their deadlines themselves, and are repeated after a loss, not by time. */
export class Pkcs11Driver implements KmsDriver {
  readonly type = 'pkcs11';
  readonly reach = 'local';
  readonly #link: TokenLink;
  readonly #readOnly: boolean;
  #capabilities: KmsCapabilities;
  #metWith: unknown;

  constructor(settings: Pkcs11Settings) {
    this.#link = new TokenLink(settings);
    this.#readOnly = settings.readOnly;
    this.#capabilities = capabilitiesOf(undefined, settings.readOnly);
  }

  get capabilities(): KmsCapabilities {
    const seen = this.#link.seen;
    if (seen !== undefined && seen !== this.#metWith) {
      this.#metWith = seen;
      this.#capabilities = capabilitiesOf(seen.mechanisms, this.#readOnly);
    }
    return this.#capabilities;
  }

  async createKey({ name, alg }: DriverCreateKey, call: DriverCall): Promise<DriverKey> {
    const publicKey = await this.#link.run(call, (session, turn) => generate(session, turn, name, alg));
    return { externalId: name, externalVersion: null, publicKey };
  }

  getPublicKey(key: KmsKeyRef, call: DriverCall): Promise<JsonWebKey> {
    return this.#link.run(call, async (session) => publicKeyOf(session, key));
  }

  // Not async: a promise more is a share of what the token takes.
  sign(key: KmsKeyRef, data: Uint8Array, call: DriverCall): Promise<Uint8Array> {
    if (!isName(key.externalId)) throw new KmsError('ERR_KMS_KEY_NOT_FOUND');
    const { seen } = this.#link;
    return seen === undefined ? this.#meetAndSign(key, data, call) : this.#sign(seen, key, data, call);
  }

  deleteKey(key: KmsKeyRef, call: DriverCall): Promise<void> {
    return this.#link.run(call, async (session) => destroyPair(session, key));
  }

  async listKeys(
    { cursor, limit }: { readonly cursor: string | undefined; readonly limit: number },
    call: DriverCall,
  ): Promise<BackendKeyPage> {
    const names = await this.#link.run(call, (session) => listNames(session));
    const rest = cursor === undefined ? names : names.filter((name) => name > cursor);
    const page = rest.slice(0, limit);
    const keys = page.map((name) => ({ externalId: name, name }));
    return { keys, cursor: rest.length > limit ? page.at(-1) : undefined };
  }

  async createWrappingKey({ name }: { readonly name: string }, call: DriverCall): Promise<WrappingKeyRef> {
    if (this.#readOnly) throw new KmsError('ERR_KMS_UNSUPPORTED');
    const externalId = await this.#link.run(call, (session, turn) => generateWrappingKey(session, turn, name));
    return { externalId };
  }

  async wrapKey(
    { externalId }: WrappingKeyRef,
    key: Uint8Array,
    context: EncryptionContext,
    call: DriverCall,
  ): Promise<Uint8Array> {
    const bound = contextBytes(context);
    const copy = Buffer.from(key);
    try {
      return await this.#link.run(call, (session, turn) => wrap(session, turn, externalId, copy, bound));
    } finally {
      copy.fill(0);
    }
  }

  async unwrapKey(
    { externalId }: WrappingKeyRef,
    wrapped: Uint8Array,
    context: EncryptionContext,
    call: DriverCall,
  ): Promise<Uint8Array> {
    const bound = contextBytes(context);
    const copy = Buffer.from(wrapped);
    return await this.#link.run(call, (session, turn) => unwrap(session, turn, externalId, copy, bound));
  }

  probe(call: DriverCall): Promise<void> {
    return this.#link.run(call, async (session) => session.assertWell());
  }

  close(): Promise<void> {
    return this.#link.close();
  }

  #sign({ signings }: Connection, key: KmsKeyRef, data: Uint8Array, call: DriverCall): Promise<Uint8Array> {
    const signing = signings[key.alg];
    if (signing === undefined) throw new KmsError('ERR_KMS_UNSUPPORTED');
    // Hashed before the call waits for its turn: the caller may change its data meanwhile.
    const input = signing.input(data);
    return this.#link.run(call, (session, turn) => sign(session, turn, key, input, signing));
  }

  /** What the data are to be turned into is known when the token has been met. */
  async #meetAndSign(key: KmsKeyRef, data: Uint8Array, call: DriverCall): Promise<Uint8Array> {
    const copy = Buffer.from(data);
    const met = await this.#link.run(call, async (session) => session.connection);
    return await this.#sign(met, key, copy, call);
  }
}
