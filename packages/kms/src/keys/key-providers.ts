import { isKeywrightError } from '@keywright/envelope';
import { KmsError } from '../errors.ts';
import type { KmsProvider } from '../provider.ts';

/** Where the providers of keys come from: a registry, or anything of its shape. */
export interface KeyProviders {
  /**
   * The provider of this id, or the default one. Never another than asked for.
   * @throws KmsError `ERR_KMS_PROVIDER_UNKNOWN`
   */
  provider(id?: string): KmsProvider;
  /** All of them: `reconcile()` looks at those too that have no key in the table. */
  readonly providers?: readonly Pick<KmsProvider, 'id'>[] | undefined;
}

/** The provider that made a key, and no other. @throws KmsError `ERR_KMS_PROVIDER_UNKNOWN` */
export function providerOf(providers: KeyProviders, id: string | undefined): KmsProvider {
  let found: KmsProvider | undefined;
  let cause: unknown;
  try {
    found = providers.provider(id);
  } catch (error) {
    if (isKeywrightError(error) && error.code !== 'ERR_KMS_PROVIDER_UNKNOWN') throw error;
    cause = error;
  }
  // A host's own registry may fall back to a default.
  if (found !== undefined && (id === undefined || found.id === id)) return found;
  const context = id === undefined ? {} : { provider: id };
  throw new KmsError('ERR_KMS_PROVIDER_UNKNOWN', { context, cause });
}
