import type { KeyWrapper, Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { TableOptions } from './tables.ts';

/** Options of {@link createSecretStore}. */
export interface SecretStoreOptions {
  /** The host's knex, on PostgreSQL (`pg`) or SQLite (`better-sqlite3`). A transaction is taken too. */
  readonly knex: Knex;
  /** Holder of the root key: a keyring, or a KMS whose key never leaves. */
  readonly root: KeyWrapper;
  /** Where the tables are. */
  readonly tables?: TableOptions;
  /**
   * Largest value, in bytes of its UTF-8 or binary form.
   * @default 1_048_576
   */
  readonly maxValueBytes?: number;
  /**
   * Tenant keys kept unwrapped in memory.
   * @default 1_000
   */
  readonly cachedKeys?: number;
  /**
   * How long a tenant key is kept unwrapped, in milliseconds.
   * @default 300_000
   */
  readonly cachedKeyTtlMs?: number;
  /**
   * How long a remote root key may take to wrap or unwrap one tenant key, in milliseconds.
   * @default 2_000
   */
  readonly rootTimeoutMs?: number;
  /**
   * Pool for audit rows that must be committed while the caller's transaction is open (PostgreSQL only). It must reach
   * the same database; the host closes it.
   * @default a pool of 2 connections made from the configuration of `knex` and shared by its stores, closed by
   * `store.close()`; where that has a `connectionPool` of the driver's, that one, which can then run dry
   */
  readonly auditKnex?: Knex;
  /** @default silence */
  readonly logger?: Logger;
}

/** Defaults of {@link SecretStoreOptions}. */
export const DEFAULTS: Readonly<Record<'maxValueBytes' | 'cachedKeys' | 'cachedKeyTtlMs' | 'rootTimeoutMs', number>> =
  Object.freeze({
    maxValueBytes: 1_048_576,
    cachedKeys: 1_000,
    cachedKeyTtlMs: 300_000,
    rootTimeoutMs: 2_000,
  });
