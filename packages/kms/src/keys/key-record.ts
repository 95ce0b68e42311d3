import type { JsonWebKey } from 'node:crypto';
import { isSignAlg, type SignAlg } from '../algorithms.ts';
import { KmsError } from '../errors.ts';
import { publicJwkOf } from '../jwk.ts';
import type { KmsKey, KmsKeyRef } from '../provider.ts';
import { asDate, asJson } from '../tables/rows.ts';

/** What the table says of a key whatever state it is in. Holds nothing secret. */
export interface KeyFacts {
  readonly tenantId: string;
  readonly keyId: string;
  readonly providerId: string;
  readonly alg: SignAlg;
  readonly description: string | undefined;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A key that signs. */
export interface ActiveKey extends KmsKey, KeyFacts {
  readonly status: 'active';
}

/** A key that is being made, or whose making ended nobody knows how: `reconcile()` clears it away. */
export interface CreatingKey extends KeyFacts {
  readonly status: 'creating';
}

/** A key that no longer signs here and that its backend may still hold. */
export interface DeletingKey extends KeyFacts {
  readonly status: 'deleting';
  /** How often the backend has failed to delete it. */
  readonly attempts: number;
  /** Code of its last failure. */
  readonly lastError: string | undefined;
}

/** A key as the table has it. */
export type KeyRecord = ActiveKey | CreatingKey | DeletingKey;

export type KeyStatus = KeyRecord['status'];

export const KEY_STATUSES: readonly KeyStatus[] = ['creating', 'active', 'deleting'];

/** A row of the table of keys. */
export interface KeyRow {
  readonly tenant_id: string;
  readonly key_id: string;
  readonly provider_id: string;
  readonly name: string;
  readonly external_id: string | null;
  readonly external_version: string | null;
  readonly alg: string;
  readonly public_jwk: unknown;
  readonly description: string | null;
  readonly status: string;
  readonly attempts: number;
  readonly last_error: string | null;
  readonly created_at: unknown;
  readonly updated_at: unknown;
}

/** What the columns take of a backend's own ids: what a backend answers is no text to trust. */
export const EXTERNAL_ID: RegExp = /^[^\p{Cc}]{1,512}$/u;
export const EXTERNAL_VERSION: RegExp = /^[^\p{Cc}]{1,128}$/u;

/** Columns that say where a key is. */
export const REF_COLUMNS = [
  'tenant_id',
  'key_id',
  'provider_id',
  'name',
  'external_id',
  'external_version',
  'alg',
  'status',
] as const;

export type RefRow = Pick<KeyRow, (typeof REF_COLUMNS)[number]>;

/** @throws KmsError `ERR_KMS_INTEGRITY` */
export function recordOf(row: KeyRow): KeyRecord {
  const facts = {
    tenantId: row.tenant_id,
    keyId: row.key_id,
    providerId: row.provider_id,
    alg: algOf(row),
    description: row.description ?? undefined,
    createdAt: asDate(row.created_at),
    updatedAt: asDate(row.updated_at),
  };
  switch (row.status) {
    case 'active':
      return Object.freeze({ ...facts, ...refOf(row), publicJwk: publicJwkIn(row), status: row.status });
    case 'creating':
      return Object.freeze({ ...facts, status: row.status });
    case 'deleting': {
      const { attempts, last_error: lastError } = row;
      return Object.freeze({ ...facts, status: row.status, attempts, lastError: lastError ?? undefined });
    }
    default:
      throw damaged(row, 'status');
  }
}

/** Where a key is. @throws KmsError `ERR_KMS_INTEGRITY` */
export function refOf(row: RefRow): KmsKeyRef {
  if (row.external_id === null) throw damaged(row, 'external_id');
  return {
    tenantId: row.tenant_id,
    keyId: row.key_id,
    providerId: row.provider_id,
    externalId: row.external_id,
    externalVersion: row.external_version,
    alg: algOf(row),
  };
}

function algOf(row: RefRow): SignAlg {
  if (isSignAlg(row.alg)) return row.alg;
  throw damaged(row, 'alg');
}

function publicJwkIn(row: KeyRow): KmsKey['publicJwk'] {
  try {
    return publicJwkOf(algOf(row), asJson(row.public_jwk) as JsonWebKey);
  } catch {
    throw damaged(row, 'public_jwk');
  }
}

function damaged({ tenant_id: tenantId, key_id: keyId }: RefRow, field: string): KmsError {
  return new KmsError('ERR_KMS_INTEGRITY', { context: { tenantId, keyId, field } });
}
