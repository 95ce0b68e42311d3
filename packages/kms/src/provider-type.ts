import type { KeyWrapper, Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { KmsProvider } from './provider.ts';
import type { KmsTableOptions } from './tables/names.ts';

/** What the host gives to the providers that its configuration names. */
export interface ProviderServices {
  /** Database of the `db` provider's keys. */
  readonly knex?: Knex | undefined;
  /** Where the tables of this package are. @default unprefixed, in the connection's search path */
  readonly tables?: KmsTableOptions | undefined;
  /** Holder of the root key that the `db` provider's keys are under. */
  readonly root?: KeyWrapper | undefined;
  readonly logger?: Logger | undefined;
}

/** JSON Schema (draft 2020-12) of the members that a provider's entry has beside `id`, `type` and `description`. */
export interface ProviderSchema {
  readonly type: 'object';
  /** A member with `writeOnly: true` is a secret: echoes show that it is set, not what it is. */
  readonly properties: Readonly<Record<string, object>>;
  readonly required?: readonly string[];
  readonly [keyword: string]: unknown;
}

/**
 * A type of provider that `kms.json` can name. Third parties make theirs the same way; nothing of the family knows it.
 */
export interface KmsProviderType {
  readonly type: string;
  readonly schema: ProviderSchema;
  /**
   * Makes the provider of an entry that fits the schema, placeholders resolved. Connects to nothing: a backend that is
   * away is seen by `health()` and by the first call.
   * @throws KmsError `ERR_KMS_CONFIG`, `ERR_KMS_INVALID_ARGUMENT`
   */
  create(entry: ProviderEntry, services: ProviderServices): KmsProvider;
}

/** An entry of `providers` in `kms.json`. */
export interface ProviderEntry {
  readonly id: string;
  readonly type: string;
  readonly description?: string | undefined;
  readonly [member: string]: unknown;
}
