import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { Connections } from '../connections.ts';
import { type PreparedText, prepare, send } from '../dialects/statement.ts';
import { Coalescer } from '../internal/coalescer.ts';
import { wasRefused } from '../internal/statement-error.ts';
import type { Tables } from '../tables.ts';
import type { AuditLog } from './audit-log.ts';
import type { AuditEvent } from './event.ts';
import type { NewAuditRow } from './row.ts';

export interface AuditWriterParts {
  readonly connections: Connections;
  readonly tables: Tables;
  readonly audit: AuditLog;
  /** Whether connections keep prepared statements. */
  readonly preparedStatements: boolean;
}

/** Where rows are committed: on the host's pool, or on the pool beside callers' transactions. */
type Place = 'pool' | 'beside';

/**
 * Writes audit rows that are committed whatever becomes of the caller's transaction. Those that wait at the same time go
 * out as one statement, whoever they are of.
 */
export class AuditWriter {
  readonly #parts: AuditWriterParts;
  readonly #prepared: PreparedText | undefined;
  readonly #rows: Readonly<Record<Place, Coalescer<NewAuditRow, undefined>>>;

  constructor(parts: AuditWriterParts) {
    this.#parts = parts;
    const { connections, tables, preparedStatements } = parts;
    const { statements } = connections.dialect;
    const options = { named: preparedStatements, isolated: connections.isolated };
    this.#prepared = statements === undefined ? undefined : prepare(statements.audit(tables), tables, options);
    this.#rows = { pool: this.#coalescer('pool'), beside: this.#coalescer('beside') };
  }

  /** One row, committed when this has ended; on SQLite, with the caller's transaction. */
  async commit(trx: Knex.Transaction | undefined, event: AuditEvent): Promise<void> {
    const { connections, audit } = this.#parts;
    const inside = connections.callersTransaction(trx);
    if (inside !== undefined && !connections.dialect.concurrentWriters) await audit.record(inside, event);
    else await this.#rows[inside === undefined ? 'pool' : 'beside'].run(audit.rowOf(event));
  }

  #coalescer(place: Place): Coalescer<NewAuditRow, undefined> {
    const { connections, tables } = this.#parts;
    const write = async (db: Knex, rows: readonly NewAuditRow[]): Promise<void> => {
      if (this.#prepared !== undefined) {
        await send(db, this.#prepared, valuesOf(rows));
        return;
      }
      // A database in this process answers at once: a loop of reads would leave no turn to timers and to other work.
      await nextTurn();
      await db(tables.auditLog).insert(rows);
    };
    return new Coalescer<NewAuditRow, undefined>({
      // Of the two connections beside callers' transactions one is enough: more rows share a statement and a commit.
      inFlight: place === 'beside' ? 1 : 2,
      orderOf: connections.isolated ? (row) => row.tenant_id : undefined,
      send: async (rows) => {
        if (place === 'pool') await write(connections.raw(undefined), rows);
        else await connections.besideTransactions((db) => write(db, rows));
        return rows.map(() => undefined);
      },
      mayRetry: wasRefused,
    });
  }
}

/** In the order of the statement's parameters. */
function valuesOf(rows: readonly NewAuditRow[]): readonly unknown[] {
  const column = <Name extends keyof NewAuditRow>(name: Name): NewAuditRow[Name][] => rows.map((row) => row[name]);
  return [
    column('tenant_id'),
    column('id'),
    rows.map(({ at }) => at.toISOString()),
    column('actor'),
    column('action'),
    column('secret_id'),
    column('secret_name'),
    column('version'),
    column('outcome'),
    column('context'),
    column('payload'),
    column('salt'),
    column('payload_hash'),
    column('mac'),
  ];
}
