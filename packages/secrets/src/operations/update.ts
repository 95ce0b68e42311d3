import type { Knex } from 'knex';
import { SecretsError } from '../errors.ts';
import type { Located } from '../locator.ts';
import { checkCondition } from './conditions.ts';
import { requireLiving } from './find.ts';
import { planChange, type WriteInput, type WritePlan } from './plan.ts';
import { infoOf, type SecretRow } from './rows.ts';
import { activeKek, type Scope } from './scope.ts';
import { write } from './write.ts';

/** A change of a secret that exists: which, under what condition, and what it becomes. */
export interface Update {
  readonly at: Located;
  readonly expected: number | undefined;
  /**
   * The change, given the secret as it is, in a transaction that holds its row. Asked for again when the database undoes
   * the transaction; a plaintext is wiped each time.
   */
  input(trx: Knex, row: SecretRow): Promise<WriteInput>;
}

/**
 * Changes a secret that exists, its row locked meanwhile.
 *
 * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_VERSION_CONFLICT`, `ERR_SECRETS_CAS_REQUIRED`,
 * `ERR_SECRETS_EXPIRED`, `ERR_SECRETS_INTEGRITY`
 */
export async function updateSecret(scope: Scope, trx: Knex, { at, expected, input }: Update): Promise<WritePlan> {
  const kek = await activeKek(scope, trx, 'find');
  const row = await requireLiving(scope, trx, at, { lock: true, atHand: [kek] });
  checkCondition(scope, row, expected);
  const given = await input(trx, row);
  try {
    const plan = planChange(scope, kek, row, given, () => infoOf(scope, row).metadata);
    if (await write(scope, trx, plan)) return plan;
    // Only where the lock was not one: the transaction has to start over.
    throw new SecretsError('ERR_SECRETS_DATABASE', { context: { tenantId: scope.tenantId }, retryable: true });
  } finally {
    given.plaintext?.fill(0);
  }
}
