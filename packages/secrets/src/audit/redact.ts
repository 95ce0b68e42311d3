import type { Knex } from 'knex';
import { validate as isUuid } from 'uuid';
import { checkTenantId, checkText, invalidArgument, kindOf, readOptions } from '../arguments.ts';
import { atomically } from '../internal/transactions.ts';
import type { AuditEnvironment } from './environment.ts';
import { type RedactionTarget, redactionContext } from './redactions.ts';
import { lockTree } from './tree/state.ts';

/** Whose requests are erased: of some rows, of every row about a secret so far, or of every row before a time. */
export type RedactOptions = {
  readonly tenantId: string;
  /** Who erases, for the audit rows of the erasure. */
  readonly actor: string;
} & (
  | { readonly rowIds: readonly string[] }
  | { readonly secretId: string }
  /** Not in the future. */
  | { readonly before: Date }
);

/** What was erased. */
export interface AuditRedaction {
  /** Rows that had a request and have none now. */
  readonly redacted: number;
}

interface CheckedRedaction {
  readonly tenantId: string;
  readonly actor: string;
  readonly target: RedactionTarget;
}

const MAX_ROWS = 10_000;
// Ids that one audit row names.
const ROWS_PER_RECORD = 100;

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkRedaction(options: RedactOptions): CheckedRedaction {
  return readOptions(options as Partial<Record<string, unknown>> | undefined, 'options', (given) => ({
    tenantId: given.tenantId === '$system' ? '$system' : checkTenantId(given.tenantId),
    actor: checkText(given.actor, 'actor'),
    target: checkTarget(given),
  }));
}

/** Erases payloads and salts, and writes the rows that tell of it, in one transaction. */
export async function redactRows(
  env: AuditEnvironment,
  { tenantId, actor, target }: CheckedRedaction,
): Promise<AuditRedaction> {
  return await atomically(env.knex, env.dialect, env.tables, async (trx) => {
    await lockTree(trx, env.tables); // the sealer updates the same rows in another order
    const redacted = await erase(env, trx, tenantId, target);
    for (const part of records(target)) {
      await env.audit.record(trx, {
        tenantId,
        actor,
        action: 'audit.redact',
        outcome: 'success',
        context: { ...redactionContext(part), redacted },
      });
    }
    return { redacted };
  });
}

async function erase(env: AuditEnvironment, trx: Knex, tenantId: string, target: RedactionTarget): Promise<number> {
  const all = trx(env.tables.auditLog).where({ tenant_id: tenantId }).whereNotNull('payload');
  const set = { payload: null, salt: null };
  if ('before' in target) return await all.where('at', '<', new Date(target.before)).update(set);
  if ('secretId' in target) {
    return await all.where({ secret_id: target.secretId }).where('at', '<=', new Date(target.until)).update(set);
  }
  let redacted = 0;
  for (const { rowIds } of parts(target.rowIds)) redacted += await all.clone().whereIn('id', rowIds).update(set);
  return redacted;
}

function records(target: RedactionTarget): readonly RedactionTarget[] {
  return 'rowIds' in target ? parts(target.rowIds) : [target];
}

function parts(rowIds: readonly string[]): readonly { readonly rowIds: readonly string[] }[] {
  return Array.from({ length: Math.ceil(rowIds.length / ROWS_PER_RECORD) }, (_, index) => ({
    rowIds: rowIds.slice(index * ROWS_PER_RECORD, (index + 1) * ROWS_PER_RECORD),
  }));
}

function checkTarget(given: Partial<Record<string, unknown>>): RedactionTarget {
  const { rowIds, secretId, before } = given;
  const received = [rowIds, secretId, before].filter((one) => one !== undefined);
  if (received.length !== 1) throw invalidArgument('options', 'one of rowIds, secretId and before', 'none or several');
  if (secretId !== undefined) return { secretId: checkId(secretId, 'secretId'), until: Date.now() };
  if (before !== undefined) {
    const time = before instanceof Date ? before.getTime() : Number.NaN;
    if (!(time <= Date.now())) throw invalidArgument('before', 'a Date that is not in the future', kindOf(before));
    return { before: time };
  }
  if (!Array.isArray(rowIds) || rowIds.length === 0 || rowIds.length > MAX_ROWS) {
    throw invalidArgument('rowIds', `1 to ${MAX_ROWS} ids`, kindOf(rowIds));
  }
  return { rowIds: [...new Set(rowIds.map((id: unknown) => checkId(id, 'rowIds')))] };
}

function checkId(id: unknown, argument: string): string {
  if (isUuid(id)) return (id as string).toLowerCase();
  throw invalidArgument(argument, 'an id', kindOf(id));
}
