import { hash } from 'node:crypto';
import { invalidArgument } from '../../arguments.ts';
import { KmsError } from '../../errors.ts';
import type { KmsKeyRef, WrappingKeyRef } from '../../provider.ts';
import type { VaultSettings } from './options.ts';

/** Where a key is in Vault. */
export interface Place {
  readonly mount: string;
  /** Name of the key in the mount. */
  readonly key: string;
}

const NAME = /^[0-9a-f]{32}$/;
const WRAPPING_KEY =
  /^(?<mount>(?:(?!\.{1,2}\/)[A-Za-z0-9._-]{1,64}\/){0,7}(?!\.{1,2}\/)[A-Za-z0-9._-]{1,64})\/(?<key>(?!\.{1,2}$)[A-Za-z0-9._-]{1,128})$/;

/**
 * Where keys are. Text of a tenant becomes neither path nor name, only its hash does: in the mount's path, or in the
 * key's name where all tenants share a mount, so that a key is found under no other tenant.
 */
export class Places {
  readonly #prefix: string;
  readonly #shared: string | undefined;

  constructor({ mount, mountPrefix }: VaultSettings) {
    this.#prefix = mountPrefix;
    this.#shared = mount;
  }

  /** @param name 32 hexadecimal digits */
  of(tenantId: string, name: string): Place {
    return { mount: this.mountOf(tenantId), key: `${this.keyPrefixOf(tenantId)}${name}` };
  }

  /** @throws KmsError `ERR_KMS_KEY_NOT_FOUND` for an id that this provider has given to no key */
  ofRef({ tenantId, externalId }: KmsKeyRef): Place {
    if (NAME.test(externalId)) return this.of(tenantId, externalId);
    throw new KmsError('ERR_KMS_KEY_NOT_FOUND', { context: { expected: 'an id that Vault keys of this kind have' } });
  }

  mountOf(tenantId: string): string {
    return this.#shared ?? `${this.#prefix}/${digestOf(tenantId)}`;
  }

  keyPrefixOf(tenantId: string): string {
    return this.#shared === undefined ? '' : `${digestOf(tenantId)}-`;
  }

  /** The name that a key was made with; `undefined` if it is not one of this tenant's. */
  nameOf(tenantId: string, key: string): string | undefined {
    const prefix = this.keyPrefixOf(tenantId);
    const name = key.slice(prefix.length);
    return key.startsWith(prefix) && NAME.test(name) ? name : undefined;
  }

  /** Of a key that is to wrap others: not among those of tenants. */
  ofWrappingKey(name: string): Place {
    return { mount: this.#shared ?? `${this.#prefix}-wrapping`, key: `wrapping-${name}` };
  }

  /** @throws KmsError `ERR_KMS_INVALID_ARGUMENT` */
  ofWrappingRef({ externalId }: WrappingKeyRef): Place {
    const { mount, key } = WRAPPING_KEY.exec(externalId)?.groups ?? {};
    if (mount !== undefined && key !== undefined) return { mount, key };
    throw invalidArgument(
      'wrappingKey.externalId',
      '<mount>/<name of the key>',
      `string of length ${externalId.length}`,
    );
  }
}

function digestOf(tenantId: string): string {
  return hash('sha256', tenantId, 'hex').slice(0, 32);
}
