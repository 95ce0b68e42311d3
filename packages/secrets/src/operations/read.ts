import type { Knex } from 'knex';
import { SecretsError } from '../errors.ts';
import { asRow, asRows } from '../internal/rows.ts';
import { type Timestamp, toMillis } from '../internal/time.ts';
import { openVersion } from '../keys/data-key.ts';
import { KEK_COLUMNS, type TenantKeyRow } from '../keys/tenant-keys.ts';
import type { Keyset } from '../pagination.ts';
import { makeSecret, type Secret, type SecretInfo, type SecretVersionInfo } from '../secret.ts';
import { edited, infoOf, notFound, type SecretRow, secretColumns, verifyAbsence, verifyBindings } from './rows.ts';
import type { Scope } from './scope.ts';

interface VersionRow {
  readonly version: number | null;
  readonly wrapped_dek: Buffer | null;
  readonly ciphertext: Buffer | null;
  /** Whether there is a version above the current one. */
  readonly newer: boolean | number;
}

interface VersionListRow {
  readonly version: number;
  readonly created_at: Timestamp;
  readonly created_by: string;
}

/**
 * Reads and decrypts one version in one query: secret, version and the tenant key's state together.
 * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_EXPIRED`, `ERR_SECRETS_INTEGRITY`,
 * `ERR_SECRETS_KEY_UNAVAILABLE`
 */
export async function getSecret(scope: Scope, db: Knex, name: string, version: number | undefined): Promise<Secret> {
  const { secrets, versions, tenantKeys } = scope.tables;
  const result: unknown = await db({ s: secrets })
    .leftJoin({ v: versions }, (on) => {
      on.on('v.tenant_id', 's.tenant_id').andOn('v.secret_id', 's.id');
      if (version === undefined) on.andOn('v.version', 's.current_version');
      else on.andOnVal('v.version', version);
    })
    .leftJoin({ k: tenantKeys }, (on) => {
      on.on('k.tenant_id', 'v.tenant_id').andOn('k.kek_id', 'v.kek_id');
    })
    .where({ 's.tenant_id': scope.tenantId, 's.name': name })
    .whereRaw('not s.is_deleted')
    .first(
      ...secretColumns(scope, db, 's'),
      'v.version',
      'v.wrapped_dek',
      'v.ciphertext',
      newerVersion(scope, db),
      ...KEK_COLUMNS.map((column) => `k.${column}`),
    );
  const row = asRow<SecretRow & VersionRow & TenantKeyRow>(result);
  if (row === undefined) {
    await verifyAbsence(scope, db, name, []);
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
  const kek = await scope.tenantKeys.unwrap(db, row);
  await verifyBindings(scope, db, [row], [kek]);
  if (row.expires_at !== null && toMillis(row.expires_at) <= Date.now()) {
    throw new SecretsError('ERR_SECRETS_EXPIRED', { context: { tenantId: scope.tenantId, secretId: row.id } });
  }
  if (row.wrapped_dek === null || row.ciphertext === null) throw edited(scope, row);
  const { type, value } = openVersion(
    kek,
    { tenantId: scope.tenantId, secretId: row.id, version: row.version },
    { wrappedDek: row.wrapped_dek, ciphertext: row.ciphertext },
  );
  return makeSecret(infoOf(scope, row), row.version, type, value);
}

/** The secret of a name without its value, its pointers checked; `undefined` if there is none. */
export async function findSecret(scope: Scope, db: Knex, name: string): Promise<SecretRow | undefined> {
  const row = asRow<SecretRow>(
    await db(scope.tables.secrets)
      .where({ tenant_id: scope.tenantId, name })
      .whereRaw('not is_deleted')
      .first(...secretColumns(scope, db)),
  );
  if (row === undefined) await verifyAbsence(scope, db, name, []);
  else await verifyBindings(scope, db, [row], []);
  return row;
}

/** In order of names; one more than the limit, for `pageOf`. Pointers are checked. @throws SecretsError `ERR_SECRETS_INTEGRITY` */
export async function listSecrets(scope: Scope, db: Knex, { limit, after }: Keyset): Promise<readonly SecretInfo[]> {
  const query = db(scope.tables.secrets)
    .where({ tenant_id: scope.tenantId })
    .whereRaw('not is_deleted')
    .orderBy('name')
    .limit(limit + 1)
    .select(...secretColumns(scope, db));
  if (after !== undefined) query.where('name', '>', after);
  const rows = asRows<SecretRow>(await query);
  await verifyBindings(scope, db, rows, []);
  return rows.map((row) => infoOf(scope, row));
}

/** Newest first. @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_INTEGRITY` */
export async function listVersions(
  scope: Scope,
  db: Knex,
  name: string,
): Promise<{ readonly secret: SecretRow; readonly versions: readonly SecretVersionInfo[] }> {
  const secret = await findSecret(scope, db, name);
  if (secret === undefined) throw notFound(scope);
  const rows = asRows<VersionListRow>(
    await db(scope.tables.versions)
      .where({ tenant_id: scope.tenantId, secret_id: secret.id })
      .orderBy('version', 'desc')
      .select('version', 'created_at', 'created_by'),
  );
  if (rows.some(({ version }) => version > secret.current_version)) throw edited(scope, secret);
  const versions = rows.map((row) => ({
    version: row.version,
    createdAt: new Date(toMillis(row.created_at)),
    createdBy: row.created_by,
    current: row.version === secret.current_version,
  }));
  return { secret, versions };
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
