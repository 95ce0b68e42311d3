import type { Knex } from 'knex';
import type { AuditLog } from '../../audit/audit-log.ts';
import { type SqlMacs, sqlMacs } from '../../audit/sql-mac.ts';
import type { Connections } from '../../connections.ts';
import { bytesArray, plainArray, textArray } from '../../dialects/postgres/arrays.ts';
import { type GetForm, type GetKind, type PreparedText, prepare, send } from '../../dialects/statement.ts';
import { Coalescer } from '../../internal/coalescer.ts';
import { wasRefused } from '../../internal/statement-error.ts';
import type { Located } from '../../locator.ts';
import type { Tables } from '../../tables.ts';
import { measured } from '../../telemetry/observed.ts';
import type { Telemetry } from '../../telemetry/telemetry.ts';
import { answerOf, type FoundRow } from './found-row.ts';

const IN_FLIGHT = 2;
// Below it, what a statement costs by itself outweighs what is gained by working on two at once.
const DIVIDE_DOWN_TO = 16;

/** A secret that somebody asks for. */
export interface Asked {
  readonly tenantId: string;
  readonly actor: string;
  readonly at: Located;
  /** The current one if `undefined`. */
  readonly version: number | undefined;
  readonly request: Readonly<Record<string, string>> | undefined;
}

export interface SecretReaderParts {
  readonly connections: Connections;
  readonly tables: Tables;
  readonly audit: AuditLog;
  /** Whether reads outside of callers' transactions write their audit rows. */
  readonly auditReads: boolean;
  /** Whether connections keep prepared statements. */
  readonly preparedStatements: boolean;
  readonly telemetry: Telemetry | undefined;
}

/** Reads secrets in one statement, where the database has one for it. What it returns has not been checked. */
export class SecretReader {
  readonly #parts: SecretReaderParts;
  readonly #texts: Readonly<Record<GetForm, Readonly<Record<GetKind, PreparedText>>>> | undefined;
  readonly #gets: Coalescer<Asked, FoundRow | undefined>;

  constructor(parts: SecretReaderParts) {
    this.#parts = parts;
    const { connections, tables, auditReads, preparedStatements } = parts;
    const { statements } = connections.dialect;
    if (statements !== undefined) {
      const options = { named: preparedStatements, isolated: connections.isolated };
      const text = (kind: GetKind, form: GetForm): PreparedText =>
        prepare(statements.get(tables, kind, form), tables, options);
      const texts = (form: GetForm): Readonly<Record<GetKind, PreparedText>> => ({
        audited: text('audited', form),
        unaudited: text('unaudited', form),
      });
      this.#texts = { one: texts('one'), many: texts('many') };
    }
    this.#gets = new Coalescer<Asked, FoundRow | undefined>({
      inFlight: IN_FLIGHT,
      divideDownTo: DIVIDE_DOWN_TO,
      orderOf: connections.isolated ? ({ tenantId }) => tenantId : undefined,
      send: (asked) => {
        measured(parts.telemetry, 'batch.size', asked.length);
        return this.#read(connections.raw(undefined), asked, auditReads ? 'audited' : 'unaudited');
      },
      mayRetry: wasRefused,
    });
  }

  /** Whether the database has a statement for it. */
  get available(): boolean {
    return this.#texts !== undefined;
  }

  /**
   * Reads a secret outside of callers' transactions, together with whoever else waits, and writes the audit row of one
   * that is readable unless reads are unaudited. `undefined`, and no audit row, for one that is not.
   *
   * @throws SecretsError `ERR_SECRETS_ABORTED`
   */
  async get(asked: Asked, signal: AbortSignal | undefined): Promise<FoundRow | undefined> {
    return await this.#gets.run(asked, signal);
  }

  /** Reads one tenant's secrets in a caller's transaction, at most a batch, and writes no audit row. */
  async getInside(trx: Knex, asked: readonly Asked[]): Promise<readonly (FoundRow | undefined)[]> {
    return await this.#read(trx, asked, 'unaudited');
  }

  async #read(db: Knex, asked: readonly Asked[], kind: GetKind): Promise<readonly (FoundRow | undefined)[]> {
    const text = this.#texts?.[asked.length === 1 ? 'one' : 'many'][kind];
    if (text === undefined) throw new TypeError('This database has no statement that reads a secret.');
    const now = new Date();
    const values = asked.length === 1 ? this.#one(asked[0] as Asked, kind, now) : this.#many(asked, kind, now);
    const found: (FoundRow | undefined)[] = asked.map(() => undefined);
    const tenantId = (index: number): string => (asked[index] as Asked).tenantId;
    for (const fields of await send(db, text, values)) {
      const { index, row } = answerOf(tenantId, fields);
      found[index] = row;
    }
    return found;
  }

  #one(asked: Asked, kind: GetKind, now: Date): readonly unknown[] {
    const { tenantId, at, version } = asked;
    const keys = [textArray([tenantId]), at.name ?? null, at.id ?? null, version ?? null, now.toISOString()];
    if (kind === 'unaudited') return keys;
    const { rows, macs } = this.#auditRows([asked], now);
    const [row] = rows as readonly [UnsignedRow];
    const mac = [macs.starts[0], macs.lengths[0], macs.inputs, macs.kid];
    return [...keys, row.id, row.actor, row.payload, row.salt, row.payload_hash, ...mac];
  }

  #many(asked: readonly Asked[], kind: GetKind, now: Date): readonly unknown[] {
    const keys = [
      textArray(asked.map(({ tenantId }) => tenantId)),
      textArray(asked.map(({ at }) => at.name ?? null)),
      plainArray(asked.map(({ at }) => at.id ?? null)),
      plainArray(asked.map(({ version }) => version ?? null)),
      now.toISOString(),
    ];
    if (kind === 'unaudited') return keys;
    const { rows, macs } = this.#auditRows(asked, now);
    return [
      ...keys,
      plainArray(rows.map(({ id }) => id)),
      textArray(rows.map(({ actor }) => actor)),
      bytesArray(rows.map(({ payload }) => payload)),
      bytesArray(rows.map(({ salt }) => salt)),
      bytesArray(rows.map(({ payload_hash }) => payload_hash)),
      plainArray(macs.starts),
      plainArray(macs.lengths),
      macs.inputs,
      macs.kid,
    ];
  }

  /** Rows up to the facts that are the database's to add. */
  #auditRows(asked: readonly Asked[], now: Date): { readonly rows: readonly UnsignedRow[]; readonly macs: SqlMacs } {
    const { audit } = this.#parts;
    const rows = asked.map((each) => ({ ...audit.unsignedRow(eventOf(each)), at: now }));
    return { rows, macs: sqlMacs(audit.key, rows) };
  }
}

type UnsignedRow = ReturnType<AuditLog['unsignedRow']>;

function eventOf({ tenantId, actor, request }: Asked): Parameters<AuditLog['unsignedRow']>[0] {
  return { tenantId, actor, action: 'secret.get', outcome: 'success', request };
}
