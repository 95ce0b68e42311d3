import { defineProvider } from '../../define-provider.ts';
import type { KmsProvider } from '../../provider.ts';
import { HttpDriver } from './driver.ts';
import { checkHttpOptions, type HttpProviderOptions } from './options.ts';

/**
 * Keys of a service of the host's own, which speaks the contract in the README. Connects to nothing by itself.
 *
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { httpProvider } from '@keywright/kms';
 *
 * export const remote = httpProvider({
 *   id: 'remote',
 *   baseUrl: 'https://kms.example.com/v1',
 *   apiKey: process.env.KMS_API_KEY,
 *   algs: ['ES256', 'EdDSA'],
 * });
 * ```
 */
export function httpProvider(options: HttpProviderOptions): KmsProvider {
  return defineProvider(new HttpDriver(checkHttpOptions(options)), options);
}
