import { defineProvider, type KmsProvider } from '@keywright/kms';
import { Pkcs11Driver } from './driver.ts';
import { checkOptions, type Pkcs11ProviderOptions } from './options.ts';

/**
 * Keys in an HSM or another token, by PKCS #11: made in it, never out of it. Loads the library and connects with the first
 * call.
 *
 * Calls do not block the event loop while the token signs; opening a session, the login and the search for a key do.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { pkcs11Provider } from '@keywright/kms-pkcs11';
 *
 * export const hsm = pkcs11Provider({
 *   id: 'hsm',
 *   library: '/usr/lib/softhsm/libsofthsm2.so',
 *   slot: 'production',
 *   pin: process.env.HSM_PIN ?? '',
 * });
 * ```
 */
export function pkcs11Provider(options: Pkcs11ProviderOptions): KmsProvider {
  const driver = new Pkcs11Driver(checkOptions(options));
  const { id, timeoutMs, publicKeyTtlMs } = options;
  return defineProvider(driver, { id, timeoutMs, publicKeyTtlMs });
}
