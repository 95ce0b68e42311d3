export { SIGN_ALGORITHMS, SIGN_ALGS, type SignAlg, type SignAlgorithm } from './algorithms.ts';
export {
  type AlgCapabilities,
  type KmsCapabilities,
  type KmsCapabilitySummary,
  summarize,
} from './capabilities.ts';
export { defineProvider, type ProviderOptions } from './define-provider.ts';
export type { DriverCall, DriverCreateKey, DriverKey, KmsDriver } from './driver.ts';
export { KmsError, type KmsErrorCode, type KmsErrorOptions } from './errors.ts';
export { type PrivateJwk, type PublicJwk, publicJwkOf, thumbprint } from './jwk.ts';
export type {
  BackendKey,
  BackendKeyPage,
  CallOptions,
  CreateKeyInput,
  ImportKeyInput,
  KmsHealth,
  KmsKey,
  KmsKeyRef,
  KmsProvider,
  ListKeysOptions,
  WrappingKeyRef,
} from './provider.ts';
export type { KmsProviderType, ProviderEntry, ProviderSchema, ProviderServices } from './provider-type.ts';
export { verifySignature } from './verify.ts';
