import type { JsonWebKey } from 'node:crypto';
import type { EncryptionContext, Logger } from '@keywright/envelope';
import { SIGN_ALGS } from '../../algorithms.ts';
import type { KmsCapabilities } from '../../capabilities.ts';
import type { DriverCall, DriverCreateKey, DriverKey, KmsDriver } from '../../driver.ts';
import type { PrivateJwk } from '../../jwk.ts';
import type { BackendKeyPage, KmsKeyRef, WrappingKeyRef } from '../../provider.ts';
import { VaultClient } from './client.ts';
import { TransitImport } from './import.ts';
import { TransitKeys } from './keys.ts';
import { listTransitKeys } from './list.ts';
import { Mounts } from './mounts.ts';
import type { VaultSettings } from './options.ts';
import { Places } from './places.ts';
import { transitSign } from './signing.ts';
import { TransitWrapping } from './wrapping.ts';

export const VAULT_CAPABILITIES: KmsCapabilities = Object.freeze({
  algs: Object.freeze(Object.fromEntries(SIGN_ALGS.map((alg) => [alg, Object.freeze({ create: true, import: true })]))),
  defaultAlg: 'ES256',
  deleteKey: 'immediate',
  listKeys: true,
  exportKey: false,
  wrapKey: true,
});

/** Keys of Transit secrets engines of HashiCorp Vault or OpenBao. */
export class VaultDriver implements KmsDriver {
  readonly type = 'vault';
  readonly reach = 'remote';
  readonly capabilities: KmsCapabilities = VAULT_CAPABILITIES;
  readonly #client: VaultClient;
  readonly #places: Places;
  readonly #mounts: Mounts;
  readonly #keys: TransitKeys;
  readonly #import: TransitImport;
  readonly #wrapping: TransitWrapping;

  constructor(settings: VaultSettings, logger?: Logger | undefined) {
    this.#client = new VaultClient(settings, logger);
    this.#places = new Places(settings);
    this.#mounts = new Mounts(this.#client);
    this.#keys = new TransitKeys(this.#client, this.#mounts, this.#places);
    this.#import = new TransitImport(this.#client, this.#keys, this.#places);
    this.#wrapping = new TransitWrapping(this.#client, this.#keys, this.#places);
  }

  createKey(input: DriverCreateKey, call: DriverCall): Promise<DriverKey> {
    return this.#keys.create(input, call);
  }

  importKey(input: DriverCreateKey & { readonly privateJwk: PrivateJwk }, call: DriverCall): Promise<DriverKey> {
    return this.#import.import(input, call);
  }

  getPublicKey(key: KmsKeyRef, call: DriverCall): Promise<JsonWebKey> {
    return this.#keys.publicKey(key, call);
  }

  sign(key: KmsKeyRef, data: Uint8Array, call: DriverCall): Promise<Uint8Array> {
    return transitSign(this.#client, this.#keys, key, data, call);
  }

  deleteKey(key: KmsKeyRef, call: DriverCall): Promise<void> {
    return this.#keys.delete(key, call);
  }

  listKeys(
    page: { readonly tenantId: string | undefined; readonly cursor: string | undefined; readonly limit: number },
    call: DriverCall,
  ): Promise<BackendKeyPage> {
    return listTransitKeys(this.#client, this.#places, page, call);
  }

  createWrappingKey(input: { readonly name: string }, call: DriverCall): Promise<WrappingKeyRef> {
    return this.#wrapping.create(input, call);
  }

  wrapKey(ref: WrappingKeyRef, key: Uint8Array, context: EncryptionContext, call: DriverCall): Promise<Uint8Array> {
    return this.#wrapping.wrap(ref, key, context, call);
  }

  unwrapKey(
    ref: WrappingKeyRef,
    wrapped: Uint8Array,
    context: EncryptionContext,
    call: DriverCall,
  ): Promise<Uint8Array> {
    return this.#wrapping.unwrap(ref, wrapped, context, call);
  }

  probe(call: DriverCall): Promise<void> {
    return this.#client.probe(call);
  }

  async close(): Promise<void> {
    this.#mounts.close();
    this.#import.close();
    await this.#client.close();
  }
}
