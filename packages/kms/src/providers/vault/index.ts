export type { VaultAuth } from './auth.ts';
export type { VaultProviderOptions } from './options.ts';
export { vaultProvider } from './provider.ts';
export { vaultProviderType } from './type.ts';
