import type { Knex } from 'knex';
import { SecretsError } from '../../errors.ts';
import { asRow } from '../../internal/rows.ts';
import { KEK_COLUMNS, type TenantKeyRow } from '../../keys/tenant-keys.ts';
import type { Located } from '../../locator.ts';
import type { Secret } from '../../secret.ts';
import { edited, isExpired, notFound, type SecretRow, secretColumns, verifyAbsence, verifyBindings } from '../rows.ts';
import type { Scope } from '../scope.ts';
import type { FoundRow } from './found-row.ts';
import { decryptRow } from './open-row.ts';

interface StoredRow extends SecretRow, Omit<TenantKeyRow, 'kek_id'> {
  readonly kek_id: string | null;
  readonly version: number | null;
  readonly wrapped_dek: Buffer | null;
  readonly ciphertext: Buffer | null;
  readonly destroyed_at: unknown;
  /** Whether there is a version above the current one. */
  readonly newer: boolean | number;
}

/**
 * Reads and decrypts one version in one query, or says why not: whatever is missing, was changed or is over.
 * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_EXPIRED`, `ERR_SECRETS_VERSION_DESTROYED`,
 * `ERR_SECRETS_INTEGRITY`, `ERR_SECRETS_KEY_UNAVAILABLE`
 */
export async function getSecret(scope: Scope, db: Knex, at: Located, version: number | undefined): Promise<Secret> {
  const row = await findVersion(scope, db, at, version);
  if (row === undefined) {
    if (at.name !== undefined) await verifyAbsence(scope, db, at.name, []);
    throw notFound(scope);
  }
  if (row.is_deleted) {
    await verifyBindings(scope, db, [row], [], 'skip-destroyed');
    throw notFound(scope);
  }
  // The pointer never goes back: a whole older row was put in its place.
  if (row.newer) throw edited(scope, row);
  if (row.version === null || row.kek_id === null) {
    await verifyBindings(scope, db, [row], []);
    // The current version is always there; an older one may have been purged or never have been.
    if (version !== undefined && version !== row.current_version) throw notFound(scope);
    throw edited(scope, row);
  }
  const context = { tenantId: scope.tenantId, secretId: row.id };
  const kek = await scope.tenantKeys.unwrap(db, row as TenantKeyRow);
  await verifyBindings(scope, db, [row], [kek]);
  if (isExpired(row)) throw new SecretsError('ERR_SECRETS_EXPIRED', { context });
  if (row.destroyed_at !== null) {
    throw new SecretsError('ERR_SECRETS_VERSION_DESTROYED', { context: { ...context, version: row.version } });
  }
  if (row.wrapped_dek === null || row.ciphertext === null) throw edited(scope, row);
  return decryptRow(scope, kek, row as FoundRow);
}

async function findVersion(
  scope: Scope,
  db: Knex,
  at: Located,
  version: number | undefined,
): Promise<StoredRow | undefined> {
  const { secrets, versions, tenantKeys } = scope.tables;
  const query = db({ s: secrets })
    .leftJoin({ v: versions }, (on) => {
      on.on('v.tenant_id', 's.tenant_id').andOn('v.secret_id', 's.id');
      if (version === undefined) on.andOn('v.version', 's.current_version');
      else on.andOnVal('v.version', version);
    })
    .leftJoin({ k: tenantKeys }, (on) => {
      on.on('k.tenant_id', 'v.tenant_id').andOn('k.kek_id', 'v.kek_id');
    })
    .where({ 's.tenant_id': scope.tenantId });
  if (at.id === undefined) query.where({ 's.name': at.name }).whereRaw('not s.is_deleted');
  else query.where({ 's.id': at.id });
  return asRow<StoredRow>(
    await query.first(
      ...secretColumns(scope, db, 's'),
      'v.version',
      'v.wrapped_dek',
      'v.ciphertext',
      'v.destroyed_at',
      newerVersion(scope, db),
      ...KEK_COLUMNS.map((column) => `k.${column}`),
    ),
  );
}

function newerVersion(scope: Scope, db: Knex): Knex.Raw {
  const { versions } = scope.tables;
  return db.raw('exists (select 1 from ?? where ?? = ?? and ?? = ?? and ?? > ??) as ??', [
    { n: versions },
    'n.tenant_id',
    's.tenant_id',
    'n.secret_id',
    's.id',
    'n.version',
    's.current_version',
    'newer',
  ] as never);
}
