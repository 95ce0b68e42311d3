import type { Knex } from 'knex';
import { validate as isUuid } from 'uuid';
import { checkText, invalidArgument, kindOf, readOptions } from '../arguments.ts';
import { asRows } from '../internal/rows.ts';
import { type Keyset, keysetById, type ListOptions } from '../pagination.ts';
import type { Tables } from '../tables.ts';
import type { AuditAction } from './event.ts';
import { AUDIT_COLUMNS, type AuditRow } from './row.ts';

/** Which entries of a tenant's log; all that are given must hold. */
export interface AuditLogOptions extends ListOptions {
  /** A cursor goes on in the order it was made in. @default 'newest' */
  readonly order?: 'newest' | 'oldest' | undefined;
  /** The secret's name at the time. */
  readonly secret?: string | undefined;
  readonly secretId?: string | undefined;
  readonly action?: AuditAction | undefined;
  readonly actor?: string | undefined;
  readonly outcome?: 'success' | 'refused' | undefined;
  /** Written at this time or later. */
  readonly since?: Date | undefined;
  /** Written before this time. */
  readonly until?: Date | undefined;
}

/** A checked question to the log. */
export interface AuditQuery extends Keyset {
  readonly order: 'asc' | 'desc';
  readonly equal: Readonly<Record<string, string>>;
  readonly since: Date | undefined;
  readonly until: Date | undefined;
}

// An id begins with the time it was made at, which is a moment before that of its row; clocks may be set back meanwhile.
const SLACK_MS = 60_000;
const ACTION = /^[a-z.-]{1,64}$/;

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function auditQuery(options: AuditLogOptions | undefined): AuditQuery {
  const keyset = keysetById(options);
  return readOptions(options, 'options', (given) => ({
    ...keyset,
    order: checkOrder(given.order),
    equal: Object.fromEntries(
      Object.entries({
        secret_name: given.secret === undefined ? undefined : checkText(given.secret, 'secret'),
        secret_id: checkSecretId(given.secretId),
        action: checkAction(given.action),
        actor: given.actor === undefined ? undefined : checkText(given.actor, 'actor'),
        outcome: checkOutcome(given.outcome),
      }).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
    since: checkDate(given.since, 'since'),
    until: checkDate(given.until, 'until'),
  }));
}

/** One row more than the limit, for `pageOf`. */
export async function findAuditRows(
  db: Knex,
  tables: Tables,
  tenantId: string,
  { limit, after, order, equal, since, until }: AuditQuery,
): Promise<readonly AuditRow[]> {
  const query = db(tables.auditLog)
    .where({ tenant_id: tenantId, ...equal })
    .orderBy('id', order)
    .limit(limit + 1);
  if (after !== undefined) query.where('id', order === 'desc' ? '<' : '>', after);
  // By the ids too: they are what the rows are in order of.
  if (since !== undefined) query.where('at', '>=', since).where('id', '>=', idAt(since.getTime() - SLACK_MS));
  if (until !== undefined) query.where('at', '<', until).where('id', '<', idAt(until.getTime() + SLACK_MS));
  return asRows<AuditRow>(await query.select(...AUDIT_COLUMNS));
}

/** The smallest UUIDv7 of a time. */
function idAt(time: number): string {
  const hex = Math.min(Math.max(time, 0), 2 ** 48 - 1)
    .toString(16)
    .padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}

function checkOrder(order: unknown): 'asc' | 'desc' {
  if (order === undefined || order === 'newest') return 'desc';
  if (order === 'oldest') return 'asc';
  throw invalidArgument('order', '"newest" or "oldest"', kindOf(order));
}

function checkSecretId(id: unknown): string | undefined {
  if (id === undefined) return undefined;
  if (isUuid(id)) return (id as string).toLowerCase();
  throw invalidArgument('secretId', 'the id of a secret', kindOf(id));
}

function checkAction(action: unknown): string | undefined {
  if (action === undefined) return undefined;
  if (typeof action === 'string' && ACTION.test(action)) return action;
  throw invalidArgument('action', 'an action, such as secret.get', kindOf(action));
}

function checkOutcome(outcome: unknown): string | undefined {
  if (outcome === undefined || outcome === 'success' || outcome === 'refused') return outcome;
  throw invalidArgument('outcome', '"success" or "refused"', kindOf(outcome));
}

function checkDate(date: unknown, argument: string): Date | undefined {
  if (date === undefined) return undefined;
  if (date instanceof Date && !Number.isNaN(date.getTime())) return new Date(date);
  throw invalidArgument(argument, 'a Date', kindOf(date));
}
