export type { Cryptoki, Pkcs11Binding } from './cryptoki.ts';
export type { Pkcs11ProviderOptions } from './options.ts';
export { pkcs11Provider } from './provider.ts';
export { pkcs11ProviderType } from './provider-type.ts';
