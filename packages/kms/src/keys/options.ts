import type { Knex } from 'knex';
import type { SignAlg } from '../algorithms.ts';
import {
  checkAlg,
  checkInteger,
  checkKeyId,
  checkProviderId,
  invalidArgument,
  kindOf,
  readOptions,
} from '../arguments.ts';
import { KmsError } from '../errors.ts';
import { checkCallOptions } from '../internal/calls.ts';
import type { PrivateJwk } from '../jwk.ts';
import type { CallOptions } from '../provider.ts';
import { randomKeyId } from './key-id.ts';
import { KEY_STATUSES, type KeyStatus } from './key-record.ts';
import { CREATE_LIMIT_MS } from './within-limit.ts';

/** What {@link TenantKeys.create} is asked for. */
export interface NewKey {
  /**
   * Unique among the tenant's keys: what `kid` will name.
   * @default a UUIDv7
   */
  readonly keyId?: string | undefined;
  /** @default the provider's `defaultAlg` */
  readonly alg?: SignAlg | undefined;
  /** Id of the provider that makes it. @default the registry's default provider */
  readonly provider?: string | undefined;
  /** At most 1024 characters, for people. */
  readonly description?: string | undefined;
}

/** What {@link TenantKeys.import} takes over. */
export interface ImportedKey extends NewKey {
  readonly privateJwk: PrivateJwk;
}

/** Options of reads. */
export interface ReadOptions {
  /** A transaction of the caller's to read in. @default a connection of the pool */
  readonly trx?: Knex.Transaction | undefined;
}

export interface ListKeyRecordsOptions extends ReadOptions {
  /** Only keys of this provider. @default those of all */
  readonly provider?: string | undefined;
  /** Only keys in this state. @default those in any */
  readonly status?: KeyStatus | undefined;
  /** @default 100; at most 1000 */
  readonly limit?: number | undefined;
  /** What the page before returned. @default from the first */
  readonly cursor?: string | undefined;
}

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;
const MAX_DESCRIPTION = 1_024;

export interface CheckedNewKey {
  readonly keyId: string;
  readonly alg: SignAlg | undefined;
  readonly provider: string | undefined;
  readonly description: string | undefined;
}

export function checkNewKey(input: NewKey | undefined): CheckedNewKey {
  return readOptions(input, 'input', ({ keyId, alg, provider, description }) => ({
    keyId: keyId === undefined ? randomKeyId() : checkKeyId(keyId),
    alg: alg === undefined ? undefined : checkAlg(alg),
    provider: provider === undefined ? undefined : checkProviderId(provider, 'provider'),
    description: description === undefined ? undefined : checkDescription(description),
  }));
}

/** Limits of making a key: until when it counts as being made is recorded, so that must be known. */
export function checkCreateOptions(options: CallOptions | undefined): CallOptions {
  if (options === undefined) return {};
  const { signal, timeoutMs } = checkCallOptions(options);
  if (timeoutMs !== undefined) checkInteger(timeoutMs, 'timeoutMs', 1, CREATE_LIMIT_MS);
  refuseAborted(signal, 'create');
  return { signal, timeoutMs };
}

export function checkOptions(options: CallOptions | undefined, operation: string): CallOptions {
  if (options === undefined) return {};
  const checked = checkCallOptions(options);
  refuseAborted(checked.signal, operation);
  return checked;
}

export function refuseAborted(signal: AbortSignal | undefined, operation: string): void {
  if (signal?.aborted === true) throw new KmsError('ERR_KMS_ABORTED', { context: { operation } });
}

export function readTrx(options: ReadOptions | undefined): Knex.Transaction | undefined {
  return options === undefined ? undefined : readOptions(options, 'options', ({ trx }) => trx);
}

export function checkListOptions(options: ListKeyRecordsOptions | undefined): {
  readonly provider: string | undefined;
  readonly status: KeyStatus | undefined;
  readonly limit: number;
  readonly after: string | undefined;
  readonly trx: Knex.Transaction | undefined;
} {
  return readOptions(options, 'options', ({ provider, status, limit, cursor, trx }) => ({
    provider: provider === undefined ? undefined : checkProviderId(provider, 'provider'),
    status: status === undefined ? undefined : checkStatus(status),
    limit: checkInteger(limit ?? DEFAULT_LIMIT, 'limit', 1, MAX_LIMIT),
    after: cursor === undefined ? undefined : readCursor(cursor),
    trx,
  }));
}

export function cursorOf(keyId: string): string {
  return Buffer.from(keyId).toString('base64url');
}

function readCursor(cursor: unknown): string {
  if (typeof cursor !== 'string' || cursor.length > 256) {
    throw invalidArgument('cursor', 'what the page before returned', kindOf(cursor));
  }
  return checkKeyId(Buffer.from(cursor, 'base64url').toString('latin1'), 'cursor');
}

function checkStatus(status: unknown): KeyStatus {
  const known = KEY_STATUSES.find((one) => one === status);
  if (known !== undefined) return known;
  throw invalidArgument('status', KEY_STATUSES.join(', '), kindOf(status));
}

function checkDescription(description: unknown): string {
  const expected = `at most ${MAX_DESCRIPTION} characters, without the character NUL`;
  if (typeof description !== 'string') throw invalidArgument('description', expected, kindOf(description));
  if (description.length > MAX_DESCRIPTION || description.includes('\0') || !description.isWellFormed()) {
    throw invalidArgument('description', expected, `another string of length ${description.length}`);
  }
  return description;
}
