import type { Knex } from 'knex';
import type { Filters } from '../filters.ts';
import { asRow, asRows } from '../internal/rows.ts';
import {
  type NameKeyset,
  type Numbered,
  type NumberedPage,
  nameKey,
  numberedPage,
  type Page,
  type Paging,
  pageOf,
} from '../pagination.ts';
import type { SecretInfo } from '../secret.ts';
import { infoOf, type SecretRow, secretColumns, verifyBindings } from './rows.ts';
import type { Scope } from './scope.ts';

/** What is listed. */
export interface Selection {
  readonly filters: Filters;
  /** Part of the name, in any case; `undefined` for all. */
  readonly text?: string | undefined;
}

/** A page of secrets in order of their names, pointers checked. @throws SecretsError `ERR_SECRETS_INTEGRITY` */
export async function listPage(
  scope: Scope,
  db: Knex,
  selection: Selection,
  paging: Paging,
): Promise<Page<SecretInfo> | NumberedPage<SecretInfo>> {
  if (!('page' in paging)) return pageOf(await listSecrets(scope, db, selection, paging), paging, nameKey);
  const { items, total } = await listNumbered(scope, db, selection, paging);
  return numberedPage(items, paging, total);
}

/** One more than the limit, for `pageOf`. */
async function listSecrets(
  scope: Scope,
  db: Knex,
  selection: Selection,
  { limit, after }: NameKeyset,
): Promise<readonly SecretInfo[]> {
  const query = selected(scope, db, selection).limit(limit + 1);
  // Living secrets have names of their own, and an index that ends there.
  if (after !== undefined && selection.filters.deleted === 'exclude') query.where('name', '>', after.name);
  else if (after !== undefined) query.whereRaw('(name, id) > (?, ?)', [after.name, after.id]);
  return await ordered(scope, db, selection, query);
}

/** With the number of all. */
async function listNumbered(
  scope: Scope,
  db: Knex,
  selection: Selection,
  { page, perPage }: Numbered,
): Promise<{ readonly items: readonly SecretInfo[]; readonly total: number }> {
  const counted = asRow<{ total: number | string }>(
    await selected(scope, db, selection).first(db.raw('count(*) as ??', ['total'])),
  );
  const query = selected(scope, db, selection)
    .limit(perPage)
    .offset((page - 1) * perPage);
  return { items: await ordered(scope, db, selection, query), total: Number(counted?.total ?? 0) };
}

async function ordered(
  scope: Scope,
  db: Knex,
  { filters }: Selection,
  query: Knex.QueryBuilder,
): Promise<readonly SecretInfo[]> {
  query.orderBy(filters.deleted === 'exclude' ? ['name'] : ['name', 'id']);
  const rows = asRows<SecretRow>(await query.select(...secretColumns(scope, db)));
  await verifyBindings(scope, db, rows, [], filters.deleted === 'exclude' ? 'refuse' : 'skip-destroyed');
  return rows.map((row) => infoOf(scope, row));
}

function selected(scope: Scope, db: Knex, { filters, text }: Selection): Knex.QueryBuilder {
  const { conditions } = scope.connections.dialect;
  const query = db(scope.tables.secrets).where({ tenant_id: scope.tenantId });
  if (filters.deleted === 'exclude') query.whereRaw('not is_deleted');
  if (filters.deleted === 'only') query.whereRaw('is_deleted');
  if (filters.authType !== undefined) query.where({ auth_type: filters.authType });
  if (filters.expired === true) query.where('expires_at', '<=', new Date());
  if (filters.expired === false) {
    const now = new Date();
    query.where((either) => either.whereNull('expires_at').orWhere('expires_at', '>', now));
  }
  if (text !== undefined) query.whereRaw(...conditions.nameContains(text));
  if (filters.tags.length > 0) query.whereRaw(...conditions.hasTags(filters.tags));
  if (Object.keys(filters.metadata).length > 0) query.whereRaw(...conditions.metadataContains(filters.metadata));
  return query;
}
