import type { KmsCapabilities, KmsCapabilitySummary } from '../capabilities.ts';
import type { KmsHealth, KmsProvider } from '../provider.ts';

/** What is told of a provider: nothing of it is secret. */
export interface ProviderDescription extends KmsCapabilitySummary {
  readonly id: string;
  readonly type: string;
  /** As it was written: placeholders in it are not resolved. */
  readonly description: string | undefined;
  readonly capabilities: KmsCapabilities;
}

export interface HealthOptions {
  /**
   * Longest that one provider is waited for, in milliseconds; at most 2^31 - 1.
   * @default 5_000
   */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait; what has not answered by then is reported as `ERR_KMS_ABORTED`. */
  readonly signal?: AbortSignal | undefined;
}

/** Providers that may be used: all that are configured, or those of one tenant. */
export interface KmsProviders {
  /** Id of the provider that makes keys where none is named. */
  readonly defaultProvider: string;
  /** In the order of the configuration. */
  readonly providers: readonly KmsProvider[];
  /**
   * The provider of this id. No other is tried: a key is used by the provider that made it.
   *
   * @param id @default `defaultProvider`
   * @throws KmsError `ERR_KMS_PROVIDER_UNKNOWN`, `ERR_KMS_INVALID_ARGUMENT`
   */
  provider(id?: string): KmsProvider;
  describe(): readonly ProviderDescription[];
  /**
   * Asks all of them at once. One that fails, throws or never answers is reported and hides no other.
   * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`, and nothing else
   */
  health(options?: HealthOptions): Promise<readonly KmsHealth[]>;
}

/** What a tenant's own configuration can say: which of the configured providers are its. */
export interface TenantOverlay {
  /** @default the registry's, if it is among `providers`; else the only one of them */
  readonly defaultProvider?: string | undefined;
  /**
   * Ids of the providers that the tenant may use.
   * @default all
   */
  readonly providers?: readonly string[] | undefined;
}

/** The configuration in use, with nothing in it that is secret. */
export interface KmsConfigEcho {
  readonly defaultProvider: string;
  /** A secret is `[redacted]`, a value from a placeholder or reference is that placeholder or reference. */
  readonly providers: readonly ProviderEcho[];
}

export interface ProviderEcho {
  readonly id: string;
  readonly type: string;
  readonly [member: string]: unknown;
}

/**
 * The providers of a service, made by {@link createKmsRegistry} or {@link loadKmsRegistry}. Inspecting it or turning it
 * into JSON shows what `echo()` does.
 */
export interface KmsRegistry extends KmsProviders {
  /**
   * The providers as a tenant sees them. Its overlay chooses among them and configures nothing: whatever else is in it
   * is refused by its path, so it may be a document that the tenant wrote.
   *
   * @throws KmsError `ERR_KMS_CONFIG`
   */
  forTenant(overlay?: TenantOverlay): KmsProviders;
  echo(): KmsConfigEcho;
  toJSON(): KmsConfigEcho;
  /**
   * Closes all providers, each whatever the others do.
   * @throws KmsError of the one that could not be closed; AggregateError of several
   */
  close(): Promise<void>;
}
