import type { Knex } from 'knex';
import { asRow, asRows } from '../internal/rows.ts';
import { type Timestamp, toMillis } from '../internal/time.ts';
import type { Located } from '../locator.ts';
import type { Keyset } from '../pagination.ts';
import type { SecretVersionInfo } from '../secret.ts';
import { requireLiving } from './find.ts';
import { edited, type SecretRow } from './rows.ts';
import type { Scope } from './scope.ts';

interface VersionListRow {
  readonly version: number;
  readonly created_at: Timestamp;
  readonly created_by: string;
  readonly destroyed_at: Timestamp | null;
}

/** Newest first; one more than the limit, for `pageOf`. @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_INTEGRITY` */
export async function listVersions(
  scope: Scope,
  db: Knex,
  at: Located,
  { limit, after }: Keyset,
): Promise<{ readonly secret: SecretRow; readonly versions: readonly SecretVersionInfo[] }> {
  const secret = await unmovedSecret(scope, db, at);
  const query = versionsOf(scope, db, secret)
    .where('version', '<=', secret.current_version)
    .orderBy('version', 'desc')
    .limit(limit + 1);
  if (after !== undefined) query.where('version', '<', Number(after));
  const rows = asRows<VersionListRow>(await query.select('version', 'created_at', 'created_by', 'destroyed_at'));
  const versions = rows.map((row) => ({
    version: row.version,
    createdAt: new Date(toMillis(row.created_at)),
    createdBy: row.created_by,
    destroyedAt: row.destroyed_at === null ? null : new Date(toMillis(row.destroyed_at)),
    current: row.version === secret.current_version,
  }));
  return { secret, versions };
}

/**
 * The living secret, with no version above its current one: the pointer never goes back, so there is one only where a
 * whole older row was put in its place, or where a save came in between, which has moved the pointer.
 */
async function unmovedSecret(scope: Scope, db: Knex, at: Located): Promise<SecretRow> {
  let secret = await requireLiving(scope, db, at);
  for (;;) {
    const newer: unknown = await versionsOf(scope, db, secret)
      .where('version', '>', secret.current_version)
      .first('version');
    if (asRow(newer) === undefined) return secret;
    const again = await requireLiving(scope, db, { id: secret.id });
    if (again.current_version <= secret.current_version) throw edited(scope, secret);
    secret = again;
  }
}

function versionsOf(scope: Scope, db: Knex, secret: SecretRow): Knex.QueryBuilder {
  return db(scope.tables.versions).where({ tenant_id: scope.tenantId, secret_id: secret.id });
}
