import { setTimeout } from 'node:timers/promises';
import type { Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import { checkTenantId, checkText, invalidArgument, kindOf, readOptions } from '../arguments.ts';
import type { Connections } from '../connections.ts';
import { outermost } from '../internal/callers-transaction.ts';
import { databaseError } from '../internal/database-error.ts';
import type { Tables } from '../tables.ts';
import { Announcer } from './announcer.ts';
import { Bell } from './bell.ts';
import type { ChangeFilter } from './change.ts';
import { startOf } from './cursor.ts';
import { type Followed, follow } from './follow.ts';
import { type ListenOptions, Notifier } from './notifier.ts';
import { postgresSource } from './postgres-source.ts';
import { insertChanges, type NewChange } from './record.ts';
import type { ChangePage, ChangeSource, Start } from './source.ts';
import { sqliteSource } from './sqlite-source.ts';
import { type TrimOptions, trimChanges } from './trim.ts';
import { type ChangeWatch, Watch, type WatchOptions } from './watch.ts';

/** Options of the feed, where `changeFeed` is not just `true`. */
export interface ChangeFeedOptions {
  /** How long a change is kept after it was committed, at least, in milliseconds; from 1 minute. @default 86_400_000 */
  readonly keepMs?: number | undefined;
}

/** What a change feed works with. */
export interface FeedEnvironment {
  readonly connections: Connections;
  readonly tables: Tables;
  readonly logger: Logger | undefined;
  readonly options: ChangeFeedOptions;
  readonly listen: ListenOptions | undefined;
  ready(): Promise<void>;
}

/** Told of this process's own changes: when they are made, and again when they are committed or undone. */
export type OwnChangeListener = (change: NewChange) => void;

const DEFAULT_KEEP_MS = 86_400_000;
const MIN_KEEP_MS = 60_000;
const DEFAULT_POLL_MS = 1_000;
const CLOSE_MS = 1_000;
const MAX_NAMES = 1_000;
// Trimming waits for its turn in 24ths of the time that changes are kept, up to an hour.
const TRIM_EVERY = 24;
const MAX_TRIM_PAUSE_MS = 3_600_000;
// Another process is at it, or this one serves tenants only.
const LEFT_TO_OTHERS: ReadonlySet<string> = new Set(['ERR_SECRETS_LEASE_HELD', 'ERR_SECRETS_RLS_BLIND']);

/** The feed of committed changes: its rows are written here, and watched from here. */
export class ChangeFeed {
  readonly #env: FeedEnvironment;
  readonly #source: ChangeSource<unknown>;
  readonly #bell = new Bell();
  readonly #announcer: Announcer;
  readonly #notifier: Notifier | undefined;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<OwnChangeListener>();
  readonly #keepMs: number;
  #trimAt = 0;
  #trimming: Promise<void> | undefined;

  /** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` for `listen` where there is nothing to listen to */
  constructor(env: FeedEnvironment) {
    const { connections, tables, listen, logger } = env;
    const onPostgres = connections.dialect.name === 'postgres';
    if (listen !== undefined && !onPostgres) throw invalidArgument('listen', 'nothing but on PostgreSQL', 'an object');
    this.#env = env;
    this.#keepMs = env.options.keepMs ?? DEFAULT_KEEP_MS;
    this.#source = (onPostgres ? postgresSource(tables) : sqliteSource(tables)) as ChangeSource<unknown>;
    this.#notifier =
      listen === undefined ? undefined : new Notifier(connections.raw(undefined), tables, listen, this.#bell, logger);
    this.#announcer = new Announcer(() => {
      this.#bell.ring();
      this.#notifier?.open();
      void this.#notifier?.notify();
    });
  }

  /** Adds changes to the feed, in the transaction that makes them. */
  async record(trx: Knex, changes: readonly NewChange[]): Promise<void> {
    await insertChanges(trx, this.#env.tables, changes);
    for (const change of changes) this.recorded(trx, change);
  }

  /** To be told when a change's row was written by a statement of its own: in this transaction, or committed already. */
  recorded(db: Knex, change: NewChange): void {
    for (const listener of this.#listeners) listener(change);
    const committed = (): void => {
      for (const listener of this.#listeners) listener(change);
      if (!this.#closing.signal.aborted) this.#announcer.changed();
    };
    if (db.isTransaction) (outermost(db) as Knex.Transaction).executionPromise?.then(committed, committed);
    else committed();
  }

  onOwnChange(listener: OwnChangeListener): void {
    this.#listeners.add(listener);
  }

  /** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
  watch(options: WatchOptions | undefined): ChangeWatch {
    if (this.#env.connections.raw(undefined).isTransaction) {
      throw invalidArgument('knex', 'a knex instance that is no transaction, to watch on', 'a transaction');
    }
    const { filter, pollMs, signal, from } = readOptions(options, 'options', (given) => ({
      filter: Object.freeze({
        tenantId: given.tenantId === undefined ? undefined : checkTenantId(given.tenantId),
        names: given.names === undefined ? undefined : checkNames(given.names),
      }),
      pollMs: checkPollMs(given.pollMs),
      signal: checkSignal(given.signal),
      from: startOf(this.#source, given.from),
    }));
    this.#notifier?.open();
    const signals = [this.#closing.signal, ...(signal === undefined ? [] : [signal])];
    return new Watch(this.#source, this.#followOptions(filter, { pollMs, from, signal: AbortSignal.any(signals) }));
  }

  /** Every tenant's changes, for a reader inside the store: an empty poll is told too, and nothing keeps the process. */
  followAll(pollMs: number): AsyncGenerator<Followed<unknown>, void> {
    this.#notifier?.open();
    const filter = { tenantId: undefined, names: undefined };
    const how = { pollMs, from: 'now', signal: this.#closing.signal } as const;
    return follow({ ...this.#followOptions(filter, how), ref: false });
  }

  /** @throws SecretsError `ERR_SECRETS_LEASE_HELD`, `ERR_SECRETS_LEASE_LOST`, `ERR_SECRETS_ABORTED`, `ERR_SECRETS_RLS_BLIND` */
  async trim(options: TrimOptions | undefined): Promise<number> {
    const { keepMs, signal } = readOptions(options, 'options', (given) => ({
      keepMs: given.keepMs === undefined ? this.#keepMs : checkKeepMs(given.keepMs, 0),
      signal: checkSignal(given.signal),
    }));
    await this.#env.ready();
    const { connections, tables } = this.#env;
    const knex = await connections.sweeping();
    return await trimChanges({ knex, dialect: connections.dialect, tables }, this.#source, keepMs, signal);
  }

  /** Ends every watch. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#announcer.close();
    // Trimming ends with its batch, unless the host's pool was destroyed before: then its connection never comes. Nor
    // does that for notifications, from a server that does not answer.
    const waited = setTimeout(CLOSE_MS, undefined, { ref: false });
    await Promise.race([Promise.all([this.#notifier?.close(), this.#trimming]), waited]);
  }

  #followOptions(
    filter: ChangeFilter,
    how: { readonly pollMs: number; readonly from: Start<unknown>; readonly signal: AbortSignal },
  ) {
    const read = (from: Start<unknown>): Promise<ChangePage<unknown>> => this.#read(from, filter);
    return { ...how, bell: this.#bell, ref: true, logger: this.#env.logger, read };
  }

  async #read(from: Start<unknown>, filter: ChangeFilter): Promise<ChangePage<unknown>> {
    await this.#env.ready();
    const { connections } = this.#env;
    const { tenantId } = filter;
    this.#trimNowAndThen();
    if (tenantId === undefined) return await this.#source.read(await connections.sweeping('lately'), from, filter);
    return await connections.read(undefined, tenantId, (db) => this.#source.read(db, from, filter));
  }

  /** Whoever watches keeps the table small; of many, the one that holds the lease. */
  #trimNowAndThen(): void {
    const now = performance.now();
    if (now < this.#trimAt) return;
    // Processes that were started together need not ask together.
    this.#trimAt = now + Math.min(MAX_TRIM_PAUSE_MS, this.#keepMs / TRIM_EVERY) * (0.75 + Math.random() / 2);
    this.#trimming = this.trim({ signal: this.#closing.signal }).then(
      () => undefined,
      (error: unknown) => {
        const { code } = databaseError(error, 'trimChanges');
        if (LEFT_TO_OTHERS.has(code) || this.#closing.signal.aborted) return;
        this.#env.logger?.warn(`The change feed could not be trimmed: ${code}.`);
      },
    );
  }
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkChangeFeed(given: boolean | ChangeFeedOptions | undefined): ChangeFeedOptions | undefined {
  if (given === undefined || given === false) return undefined;
  if (given !== true && typeof given !== 'object')
    throw invalidArgument('changeFeed', 'a boolean or an object', kindOf(given));
  const keepMs = given === true ? undefined : readOptions(given ?? null, 'changeFeed', (options) => options.keepMs);
  return Object.freeze({ keepMs: keepMs === undefined ? DEFAULT_KEEP_MS : checkKeepMs(keepMs, MIN_KEEP_MS) });
}

function checkKeepMs(keepMs: unknown, least: number): number {
  if (Number.isSafeInteger(keepMs) && (keepMs as number) >= least) return keepMs as number;
  throw invalidArgument('keepMs', `an integer from ${least}`, typeof keepMs);
}

function checkNames(names: unknown): readonly string[] {
  if (!Array.isArray(names) || names.length === 0 || names.length > MAX_NAMES) {
    const received = Array.isArray(names) ? `${names.length} names` : kindOf(names);
    throw invalidArgument('names', `an array of 1 to ${MAX_NAMES} names`, received);
  }
  return Object.freeze(names.map((name) => checkText(name, 'names')));
}

function checkPollMs(pollMs: unknown): number {
  if (pollMs === undefined) return DEFAULT_POLL_MS;
  if (Number.isSafeInteger(pollMs) && (pollMs as number) >= 10 && (pollMs as number) <= 3_600_000) {
    return pollMs as number;
  }
  throw invalidArgument('pollMs', 'an integer from 10 to 3,600,000', typeof pollMs);
}

function checkSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw invalidArgument('signal', 'an AbortSignal', kindOf(signal));
}
