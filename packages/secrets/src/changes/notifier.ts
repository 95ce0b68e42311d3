import { createHash } from 'node:crypto';
import type { Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import { invalidArgument, kindOf, readOptions } from '../arguments.ts';
import { databaseError } from '../internal/database-error.ts';
import { quoted, type Tables } from '../tables.ts';
import type { Bell } from './bell.ts';

/** PostgreSQL's notifications, so that a watch in another process need not wait for its next poll. */
export interface ListenOptions {
  /**
   * A connection to the same database, as `pg` takes it: a URL, or its options. It must lead to the server itself: a
   * pooler hands a session to others, and with it what the session listens to.
   */
  readonly connection: string | Readonly<Record<string, unknown>>;
}

/** What of a `pg` client is used. */
interface PgClient {
  readonly processID?: number | null;
  connect(): Promise<unknown>;
  query(sql: string, values?: readonly unknown[]): Promise<{ readonly rows: readonly Record<string, unknown>[] }>;
  end(): Promise<unknown>;
  on(event: string, heard: () => void): unknown;
  unref?(): void;
}

type PgClientClass = new (connection: unknown) => PgClient;

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;

// A server that does not answer, and a peer that is gone without a word, must be noticed at some time.
const PATIENCE = { connectionTimeoutMillis: 10_000, keepAlive: true, keepAliveInitialDelayMillis: 10_000 } as const;

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkListen(options: ListenOptions): ListenOptions {
  const connection: unknown = readOptions(options ?? null, 'listen', (given) => given.connection);
  if (typeof connection === 'string' && connection !== '') return Object.freeze({ connection });
  if (typeof connection === 'object' && connection !== null) return Object.freeze({ connection: { ...connection } });
  throw invalidArgument('listen.connection', 'a URL or the options of a pg client', kindOf(connection));
}

/**
 * Listens for changes of other processes and tells them of this one's, on one connection beside every pool. At most one
 * notification is sent in 50 ms, after the commits it is about and in a transaction of its own: one that is sent by a
 * transaction makes all such transactions commit one after the other. A notification that is lost costs a watch the rest
 * of its `pollMs` and nothing else, so nothing here ever throws.
 */
export class Notifier {
  readonly #connection: object;
  readonly #Client: PgClientClass;
  readonly #channel: string;
  readonly #bell: Bell;
  readonly #logger: Logger | undefined;
  #opening: Promise<PgClient | undefined> | undefined;
  #closed = false;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;
  #wanted = false;
  #notifying = false;

  /** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
  constructor(host: Knex, tables: Tables, { connection }: ListenOptions, bell: Bell, logger: Logger | undefined) {
    const driver = (host.client as { readonly driver?: { readonly Client?: unknown } }).driver;
    if (typeof driver?.Client !== 'function') {
      throw invalidArgument('listen', "nothing where knex's driver has no client of its own", 'an object');
    }
    this.#Client = driver.Client as PgClientClass;
    this.#connection = {
      ...PATIENCE,
      ...(typeof connection === 'string' ? { connectionString: connection } : connection),
    };
    if (!holds(() => new this.#Client(this.#connection))) {
      throw invalidArgument('listen.connection', 'a URL or the options of a pg client', 'what pg refuses');
    }
    this.#channel = channelOf(tables);
    this.#bell = bell;
    this.#logger = logger;
  }

  /** Connects, and stays connected until it is closed. */
  open(): void {
    if (this.#closed || this.#opening !== undefined || this.#retry !== undefined) return;
    this.#opening = this.#connect().catch((error: unknown) => {
      this.#again(error);
      return undefined;
    });
  }

  /** Tells the other processes, if it is connected by then. Of those that wait for an answer, one is sent. */
  async notify(): Promise<void> {
    this.#wanted = true;
    if (this.#notifying) return;
    this.#notifying = true;
    try {
      while (this.#wanted) {
        this.#wanted = false;
        const client = await this.#opening;
        await client?.query('select pg_notify($1, $2)', [this.#channel, '']);
      }
    } catch {
      // The connection is gone: its own handler sees to it.
    } finally {
      this.#notifying = false;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    const client = await this.#opening;
    this.#opening = undefined;
    if (client !== undefined) await ended(client);
  }

  async #connect(): Promise<PgClient | undefined> {
    const client = new this.#Client(this.#connection);
    let lost = false;
    const lose = (reason?: unknown): void => {
      if (lost) return;
      lost = true;
      void ended(client);
      this.#again(reason);
    };
    try {
      client.on('error', lose);
      client.on('end', lose);
      client.on('notification', () => this.#bell.ring());
      await client.connect();
      client.unref?.();
      if (!(await isDirect(client))) {
        this.#logger?.error('The connection of listen goes through a pooler and is not used: changes are polled for.');
        this.#closed = true;
        await client.end();
        return undefined;
      }
      await client.query(`listen ${quoted(this.#channel)}`);
      this.#failures = 0;
      this.#bell.ring(); // whatever was announced before
      return client;
    } catch (error) {
      lose(error);
      return undefined;
    }
  }

  #again(error: unknown): void {
    if (this.#closed) return;
    this.#opening = undefined;
    if (this.#failures++ === 0) {
      const { code } = databaseError(error, 'listen');
      this.#logger?.warn(`The connection of listen was lost: ${code}. Changes are polled for until it is back.`);
    }
    const ms = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.open();
    }, ms).unref();
  }
}

function holds(attempt: () => unknown): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
}

/** Its connection may be gone already. */
async function ended(client: PgClient): Promise<void> {
  await client.end().catch(() => undefined);
}

/** A pooler answers the start of a session itself, and makes up the id of the process behind it. */
async function isDirect(client: PgClient): Promise<boolean> {
  const { rows } = await client.query('select pg_backend_pid() as pid');
  return client.processID === undefined || Number(rows[0]?.pid) === Number(client.processID);
}

/** One channel for each place that a store's tables can have in a database. */
function channelOf(tables: Tables): string {
  return `keywright_${createHash('sha256').update(tables.changes).digest('hex').slice(0, 16)}`;
}
