import type { Keyring } from '@keywright/envelope';
import { v7 as uuidv7 } from 'uuid';
import type { Metadata } from '../arguments.ts';
import { type Attributes, MAX_TIME, UNCHANGED } from '../attributes.ts';
import { makeBinding } from '../binding.ts';
import type { ChangeKind } from '../changes/change.ts';
import { SecretsError } from '../errors.ts';
import { toMillis } from '../internal/time.ts';
import { type SealedVersion, sealVersion } from '../keys/data-key.ts';
import { type BoundRow, factsOf, isExpired, type SecretRow } from './rows.ts';
import type { Scope } from './scope.ts';

/** Checked input of a write. */
export interface WriteInput {
  readonly kind: ChangeKind;
  /** Encoded value of a new version; whoever made it wipes it. */
  readonly plaintext?: Buffer | undefined;
  readonly attributes?: Attributes | undefined;
  /** A new name. */
  readonly name?: string | undefined;
}

/** What of a secret a change is planned by. */
export type PlannedRow = BoundRow & Pick<SecretRow, 'max_versions' | 'created_at' | 'updated_at'>;

/** A write that was decided on: rows to be written if the secret is still as it was read. */
export interface WritePlan {
  readonly kind: ChangeKind;
  readonly id: string;
  readonly name: string;
  readonly previousName: string | undefined;
  readonly version: number;
  /** Binding of the row that was read; `undefined` for a secret that was not there. */
  readonly was: Buffer | undefined;
  /** How many versions that row says are kept. */
  readonly maxVersionsWas: number | null;
  /** Columns of the secret's row: all of a new one, those that change of another. */
  readonly columns: Readonly<Record<string, unknown>>;
  readonly kekId: string;
  /** The new version, where there is one. */
  readonly sealed: SealedVersion | undefined;
  /** Versions up to this one are removed; 0 for none. */
  readonly removeTo: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Plans the first version of a secret. */
export function planCreation(
  scope: Scope,
  kek: Keyring,
  name: string,
  input: WriteInput & { readonly plaintext: Buffer },
): WritePlan {
  const { attributes = UNCHANGED } = input;
  const id = uuidv7();
  const now = new Date();
  const { tenantId } = scope;
  const expiresAt = attributes.expiresAt ?? null;
  const facts = { tenantId, id, name, currentVersion: 1, expiresAt, isDeleted: false };
  return {
    kind: input.kind,
    id,
    name,
    previousName: undefined,
    version: 1,
    was: undefined,
    maxVersionsWas: null,
    columns: {
      tenant_id: tenantId,
      id,
      name,
      metadata: '{}',
      current_version: 1,
      binding: makeBinding(kek, facts),
      created_at: now,
      created_by: scope.actor,
      updated_at: now,
      ...attributeColumns(attributes, () => ({})),
    },
    kekId: kek.activeKid,
    sealed: sealVersion(kek, { tenantId, secretId: id, version: 1 }, input.plaintext),
    removeTo: 0,
    createdAt: now,
    updatedAt: now,
  };
}

/**
 * Plans a change of a secret. Whatever can be refused is refused here, before the first write: a caller may go on with
 * its transaction.
 *
 * @param metadata what the secret's is now, asked for where it is changed
 * @throws SecretsError `ERR_SECRETS_EXPIRED`, `ERR_SECRETS_INVALID_ARGUMENT` for metadata that grew too large
 */
export function planChange(
  scope: Scope,
  kek: Keyring,
  row: PlannedRow,
  input: WriteInput,
  metadata: () => Metadata,
): WritePlan {
  const { plaintext, attributes = UNCHANGED, name = row.name } = input;
  const { tenantId } = scope;
  // A new value that nobody could read helps nobody; that it may be read again has to be said.
  if (plaintext !== undefined && attributes.expiresAt === undefined) refuseExpired(scope, row);
  const version = row.current_version + (plaintext === undefined ? 0 : 1);
  const was = factsOf(scope, row);
  const expiresAt = attributes.expiresAt === undefined ? was.expiresAt : attributes.expiresAt;
  const updatedAt = notBefore(row);
  const kept = (attributes.maxVersions === undefined ? row.max_versions : attributes.maxVersions) ?? scope.maxVersions;
  return {
    kind: input.kind,
    id: row.id,
    name,
    previousName: name === row.name ? undefined : row.name,
    version,
    was: row.binding,
    maxVersionsWas: row.max_versions,
    columns: {
      ...(name === row.name ? {} : { name }),
      current_version: version,
      binding: makeBinding(kek, { ...was, name, currentVersion: version, expiresAt }),
      updated_at: updatedAt,
      ...attributeColumns(attributes, metadata),
    },
    kekId: kek.activeKid,
    sealed: plaintext === undefined ? undefined : sealVersion(kek, { tenantId, secretId: row.id, version }, plaintext),
    removeTo: plaintext === undefined || kept === undefined ? 0 : Math.max(0, version - kept),
    createdAt: new Date(toMillis(row.created_at)),
    updatedAt,
  };
}

/** @throws SecretsError `ERR_SECRETS_EXPIRED` */
export function refuseExpired(scope: Scope, row: Pick<SecretRow, 'id' | 'expires_at'>): void {
  if (!isExpired(row)) return;
  throw new SecretsError('ERR_SECRETS_EXPIRED', { context: { tenantId: scope.tenantId, secretId: row.id } });
}

/** The time, and not before the last change, whatever was done to the clock. What no change of ours can have said is none. */
export function notBefore(row: Pick<SecretRow, 'updated_at'>): Date {
  const now = Date.now();
  const last = toMillis(row.updated_at);
  return new Date(last > now && last <= MAX_TIME ? last : now);
}

function attributeColumns(attributes: Attributes, current: () => Metadata): Readonly<Record<string, unknown>> {
  const { metadata, authType, description, tags, expiresAt, casRequired, maxVersions } = attributes;
  const columns: Record<string, unknown> = {
    metadata: metadata?.(current()),
    auth_type: authType,
    description,
    tags,
    expires_at: typeof expiresAt === 'number' ? new Date(expiresAt) : expiresAt,
    cas_required: casRequired,
    max_versions: maxVersions,
  };
  return Object.fromEntries(Object.entries(columns).filter(([, value]) => value !== undefined));
}
