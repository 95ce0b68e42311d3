import type { EncryptionContext } from '@keywright/envelope';
import type { SignAlg } from '../../algorithms.ts';

/** Where a software key lives, and what it signs with. */
export interface KeyAddress {
  readonly tenantId: string;
  readonly providerId: string;
  readonly externalId: string;
  readonly alg: SignAlg;
}

/**
 * Every encryption context of software keys. Each says what a ciphertext is and where it lives, so that a row moved to
 * another tenant, provider, key or algorithm does not open.
 */
export const contexts = {
  /** Of the private key, under its data key. */
  key: ({ tenantId, providerId, externalId }: KeyAddress): EncryptionContext => ({
    key: externalId,
    kind: 'kms-key',
    provider: providerId,
    tenant: tenantId,
  }),

  /** Of the data key, under the root key. */
  dataKey: ({ tenantId, providerId, externalId, alg }: KeyAddress): EncryptionContext => ({
    alg,
    key: externalId,
    kind: 'kms-key-dek',
    provider: providerId,
    tenant: tenantId,
  }),
} as const;
