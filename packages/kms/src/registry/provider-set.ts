import { inspect } from 'node:util';
import { checkProviderId, invalidArgument, kindOf } from '../arguments.ts';
import { summarize } from '../capabilities.ts';
import { KmsError } from '../errors.ts';
import type { KmsHealth, KmsProvider } from '../provider.ts';
import { closeAll } from './close.ts';
import { healthOf } from './health.ts';
import { readOverlay } from './overlay.ts';
import type {
  HealthOptions,
  KmsConfigEcho,
  KmsProviders,
  KmsRegistry,
  ProviderDescription,
  TenantOverlay,
} from './registry.ts';

/** A provider, and what is said of it. */
export interface DescribedProvider {
  readonly provider: KmsProvider;
  readonly description: string | undefined;
}

/** Providers by their ids, one of them the default. */
class ProviderSet implements KmsProviders {
  readonly #members: ReadonlyMap<string, DescribedProvider>;
  readonly #providers: readonly KmsProvider[];
  readonly #defaultProvider: string;

  constructor(members: readonly DescribedProvider[], defaultProvider: string) {
    this.#members = new Map(members.map((member) => [member.provider.id, member]));
    this.#providers = Object.freeze(members.map(({ provider }) => provider));
    this.#defaultProvider = defaultProvider;
    // Not a method: isolated declarations have no computed names.
    Object.defineProperty(this, inspect.custom, { value: () => this.shown() });
  }

  get defaultProvider(): string {
    return this.#defaultProvider;
  }

  get providers(): readonly KmsProvider[] {
    return this.#providers;
  }

  provider(id: string = this.#defaultProvider): KmsProvider {
    if (typeof id !== 'string') throw invalidArgument('id', 'the id of a provider', kindOf(id));
    const member = this.#members.get(id);
    if (member !== undefined) return member.provider;
    throw new KmsError('ERR_KMS_PROVIDER_UNKNOWN', { context: isProviderId(id) ? { provider: id } : {} });
  }

  describe(): readonly ProviderDescription[] {
    return [...this.#members.values()].map(({ provider, description }) => {
      const { id, type, capabilities } = provider;
      return Object.freeze({ id, type, description, capabilities, ...summarize(capabilities) });
    });
  }

  async health(options?: HealthOptions): Promise<readonly KmsHealth[]> {
    return await healthOf(this.#providers, options);
  }

  /** Those of these ids, in the order of the configuration. */
  protected choose(ids: ReadonlySet<string>, defaultProvider: string): ProviderSet {
    const members = [...this.#members.values()].filter(({ provider }) => ids.has(provider.id));
    return new ProviderSet(members, defaultProvider);
  }

  /** What inspection shows. Ids and types: the providers' own members are theirs to show. */
  protected shown(): object {
    const providers = this.#providers.map(({ id, type }) => ({ id, type }));
    return { defaultProvider: this.#defaultProvider, providers };
  }
}

/** All providers of a service. Of its configuration it keeps what can be shown. */
export class ConfiguredRegistry extends ProviderSet implements KmsRegistry {
  readonly #echo: KmsConfigEcho;
  #closed: Promise<void> | undefined;

  constructor(members: readonly DescribedProvider[], echo: KmsConfigEcho) {
    super(members, echo.defaultProvider);
    this.#echo = echo;
  }

  forTenant(overlay?: TenantOverlay): KmsProviders {
    const configured = this.providers.map(({ id }) => id);
    const { ids, defaultProvider } = readOverlay(overlay, configured, this.defaultProvider);
    return this.choose(ids, defaultProvider);
  }

  echo(): KmsConfigEcho {
    return this.#echo;
  }

  toJSON(): KmsConfigEcho {
    return this.#echo;
  }

  close(): Promise<void> {
    this.#closed ??= closeAll(this.providers);
    return this.#closed;
  }

  protected override shown(): object {
    return this.#echo;
  }
}

function isProviderId(id: string): boolean {
  try {
    return checkProviderId(id) === id;
  } catch {
    return false;
  }
}
