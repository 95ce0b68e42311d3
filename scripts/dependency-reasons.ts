/**
 * Why each published package has each of its direct dependencies and peers. One without a reason fails the check, and
 * so does a reason for what is no longer there.
 */
export const REASONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '@keywright/envelope': {
    '@aws-sdk/client-secrets-manager': 'only for keys from AWS Secrets Manager',
    '@aws-sdk/client-ssm': 'only for keys from the AWS Systems Manager Parameter Store',
    '@azure/identity': 'only for keys from Azure Key Vault: who asks for them',
    '@azure/keyvault-secrets': 'only for keys from Azure Key Vault',
    '@google-cloud/secret-manager': 'only for keys from Google Cloud Secret Manager',
    '@noble/ciphers': 'XChaCha20-Poly1305, and AES-GCM where there is no node:crypto; pure JavaScript',
    '@noble/hashes': 'HKDF, HMAC and SHA-2 where there is no node:crypto; pure JavaScript',
    buffer: 'Buffer where the runtime has none',
    'libsodium-wrappers': 'only for @keywright/envelope/libsodium: secretbox, and XChaCha20-Poly1305 as WebAssembly',
    'quick-lru': 'small LRU with eviction, holds derived message keys',
    vitest: 'only for @keywright/envelope/conformance, the tests for implementations of its interfaces',
  },
  '@keywright/kms-aws': {
    '@aws-sdk/client-kms': 'requests to AWS KMS, their signatures and the chain of credentials',
    '@keywright/envelope': 'AES key wrap for keys that are imported, and the error class',
    '@keywright/kms': 'the contract, and all that providers do alike',
  },
  '@keywright/secrets': {
    '@keywright/envelope': 'all encryption, the keyring and the error class',
    knex: 'the host application brings its own database connection and transactions',
    'quick-lru': 'small LRU with eviction, holds unwrapped tenant keys',
    '@opentelemetry/api': 'only for @keywright/secrets/opentelemetry: spans and metrics of the host',
    uuid: 'time-ordered ids (UUIDv7) of secrets, versions and audit rows',
    vitest: 'only for @keywright/secrets/conformance, the tests for a database that the store is to run on',
  },
  '@keywright/kms': {
    '@keywright/envelope': 'all encryption, the error class and the contract of what holds a root key',
    '@peculiar/x509': 'only for @keywright/kms/x509: certificates and requests signed by a provider',
    ajv: 'checks kms.json and what host types of providers add to it',
    knex: 'the host application brings its own database connection and transactions',
    oauth4webapi: 'client credentials of the http provider; certified, no dependencies',
    'p-retry': 'repeats calls of backends with growing, random pauses',
    'reflect-metadata': 'only for @keywright/kms/x509: what @peculiar/x509 wants to be there before it is loaded',
    'quick-lru': 'small LRU with expiry, holds public keys and unlocked keys',
    vitest: 'only for @keywright/kms/conformance, the tests for providers',
  },
  '@keywright/kms-pkcs11': {
    '@keywright/envelope': 'the error class and its codes for what does not unwrap',
    '@keywright/kms': 'the contract of providers, and all that they do alike',
    pkcs11js: 'the binding to the library of the HSM, compiled where it is installed; without it, calls say so',
  },
};
