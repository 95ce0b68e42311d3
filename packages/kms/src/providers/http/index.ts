export type { ClientCredentials, HttpProviderOptions } from './options.ts';
export { httpProvider } from './provider.ts';
export { httpProviderType } from './type.ts';
