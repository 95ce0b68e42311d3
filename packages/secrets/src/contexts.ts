import type { EncryptionContext } from '@keywright/envelope';

/**
 * Every encryption context of the store. Each says what a ciphertext is and where it lives, with ids that never change,
 * so that a row moved to another tenant, secret, version or key does not open.
 */
export const contexts = {
  tenantKek: (tenant: string, kek: string): EncryptionContext => ({ kek, kind: 'tenant-kek', tenant }),

  dek: (tenant: string, secret: string, version: number, kek: string): EncryptionContext => ({
    kek,
    kind: 'dek',
    secret,
    tenant,
    version: String(version),
  }),

  secretValue: (tenant: string, secret: string, version: number): EncryptionContext => ({
    kind: 'secret-value',
    secret,
    tenant,
    version: String(version),
  }),
} as const;
