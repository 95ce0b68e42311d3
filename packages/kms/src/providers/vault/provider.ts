import { defineProvider } from '../../define-provider.ts';
import type { KmsProvider } from '../../provider.ts';
import { VaultDriver } from './driver.ts';
import { checkVaultOptions, type VaultProviderOptions } from './options.ts';

/**
 * Keys of the Transit engine of HashiCorp Vault or OpenBao. They never leave it. Connects to nothing by itself; a tenant's
 * mount is made when its first key is.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { vaultProvider } from '@keywright/kms';
 *
 * export const vault = vaultProvider({
 *   id: 'vault',
 *   vaultUrl: 'https://vault.example.com:8200',
 *   auth: { kubernetes: { role: 'signing' } },
 * });
 * ```
 */
export function vaultProvider(options: VaultProviderOptions): KmsProvider {
  const settings = checkVaultOptions(options);
  return defineProvider(new VaultDriver(settings, options.logger), options);
}
