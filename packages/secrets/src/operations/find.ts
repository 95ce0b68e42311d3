import type { Keyring } from '@keywright/envelope';
import type { Knex } from 'knex';
import { asRow } from '../internal/rows.ts';
import type { Located } from '../locator.ts';
import { notFound, type SecretRow, secretColumns, verifyAbsence, verifyBindings } from './rows.ts';
import type { Scope } from './scope.ts';

/** How a secret is looked for. */
export interface FindOptions {
  /** Lock its row against other writers until the transaction ends. */
  readonly lock?: boolean | undefined;
  /** Tenant keys that need not be read again. */
  readonly atHand?: readonly Keyring[] | undefined;
  /** As for `verifyBindings`. @default 'refuse' */
  readonly destroyed?: 'refuse' | 'skip-destroyed' | undefined;
}

/**
 * The living secret that is meant, its pointers checked; `undefined` if there is none.
 * @throws SecretsError `ERR_SECRETS_INTEGRITY`
 */
export async function findLiving(
  scope: Scope,
  db: Knex,
  at: Located,
  { lock = false, atHand = [], destroyed = 'refuse' }: FindOptions = {},
): Promise<SecretRow | undefined> {
  const query = db(scope.tables.secrets).where({ tenant_id: scope.tenantId, ...whereOf(at) });
  if (at.id === undefined) query.whereRaw('not is_deleted');
  if (lock) query.forUpdate();
  const row = asRow<SecretRow>(await query.first(...secretColumns(scope, db)));
  if (row === undefined) {
    if (at.name !== undefined) await verifyAbsence(scope, db, at.name, atHand);
    return undefined;
  }
  await verifyBindings(scope, db, [row], atHand, row.is_deleted ? 'skip-destroyed' : destroyed);
  return row.is_deleted ? undefined : row;
}

/** As {@link findLiving}. @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_INTEGRITY` */
export async function requireLiving(scope: Scope, db: Knex, at: Located, options?: FindOptions): Promise<SecretRow> {
  const row = await findLiving(scope, db, at, options);
  if (row === undefined) throw notFound(scope);
  return row;
}

/** The deleted secret that is meant, locked: by id, or the one of a name that was made last. Its pointers are not checked. */
export async function findDeleted(scope: Scope, trx: Knex, at: Located): Promise<SecretRow | undefined> {
  return asRow<SecretRow>(
    await trx(scope.tables.secrets)
      .where({ tenant_id: scope.tenantId, ...whereOf(at) })
      .whereRaw('is_deleted')
      .orderBy('id', 'desc')
      .forUpdate()
      .first(...secretColumns(scope, trx)),
  );
}

function whereOf(at: Located): { readonly id: string } | { readonly name: string } {
  return at.id === undefined ? { name: at.name } : { id: at.id };
}
