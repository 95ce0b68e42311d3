import type { KeywrightError, Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { AuditAction, AuditEvent } from '../audit/event.ts';
import type { NewAuditRow } from '../audit/row.ts';
import { checkOpen } from '../connections.ts';
import { inTurn } from '../internal/callers-transaction.ts';
import { databaseError, typed } from '../internal/database-error.ts';
import { retried } from '../internal/retried.ts';
import { needsDestroyedKey } from '../keys/tenant-keys.ts';
import { observed } from '../telemetry/observed.ts';
import { isRefusal } from './refusals.ts';
import { type Audited, type Scope, warmKek } from './scope.ts';

/** What a call runs with besides its scope. */
export interface CallContext {
  readonly trx: Knex.Transaction | undefined;
  readonly request: Readonly<Record<string, string>> | undefined;
  readonly logger: Logger | undefined;
  ready(trx: Knex.Transaction | undefined): Promise<void>;
}

/** An operation, and the secret it is about, as the caller named it, where it is about one. */
export interface Call {
  readonly action: AuditAction;
  readonly name?: string | undefined;
  readonly id?: string | undefined;
}

type Work<T> = (db: Knex) => Promise<readonly [T, Audited]>;

/** Runs operations so that none of them goes without its audit row. */
export class AuditedCalls {
  readonly #scope: Scope;
  readonly #context: CallContext;

  constructor(scope: Scope, context: CallContext) {
    this.#scope = scope;
    this.#context = context;
  }

  /**
   * A change and its audit row, in one transaction: the caller's, or one of its own.
   * @param key whether the operation makes a key for a tenant that has none
   */
  async change<T>(call: Call, key: 'make' | 'find', work: Work<T>): Promise<T> {
    const { trx } = this.#context;
    return await this.#guarded(call, async () => {
      if (trx === undefined) await warmKek(this.#scope, key);
      return await this.#scope.connections.write(trx, this.#scope.tenantId, this.#scope.tables, async (inside) => {
        const [result, audited] = await work(inside);
        await this.#record(inside, call, 'success', audited);
        return result;
      });
    });
  }

  /**
   * As {@link change}, for work that writes its audit row itself, together with the change.
   * @param work given the caller's transaction, and what makes the row
   */
  async changeAtOnce<T>(
    call: Call,
    key: 'make' | 'find',
    work: (trx: Knex.Transaction | undefined, row: (audited: Audited) => NewAuditRow) => Promise<T>,
  ): Promise<T> {
    const { trx } = this.#context;
    return await this.#guarded(call, async () => {
      if (trx === undefined) await warmKek(this.#scope, key);
      return await work(trx, (audited) => this.#scope.audit.rowOf(this.#eventOf(call, 'success', audited)));
    });
  }

  /** A read, and its audit row committed before the result is handed out. */
  async read<T>(call: Call, work: Work<T>): Promise<T> {
    const { trx } = this.#context;
    return await this.#guarded(call, async () => {
      const { connections, tenantId } = this.#scope;
      const [result, audited] = await connections.read(trx, tenantId, work);
      await this.succeeded(call, audited);
      return result;
    });
  }

  /** Commits the audit row of a read that succeeded, unless reads are unaudited. Reads of the log itself never are. */
  async succeeded(call: Call, audited: Audited): Promise<void> {
    if (!this.#scope.auditReads && call.action.startsWith('secret.')) return;
    await this.#scope.auditWriter.commit(this.#context.trx, this.#eventOf(call, 'success', audited));
  }

  /** Runs `work` once the store is ready, after earlier calls in the same transaction. */
  async turn<T>(work: () => Promise<T>): Promise<T> {
    const { trx } = this.#context;
    const run = async (): Promise<T> => {
      if (trx !== undefined) checkOpen(trx);
      await this.#context.ready(trx);
      return await work();
    };
    return trx === undefined ? await run() : await inTurn(trx, run);
  }

  /** Makes whatever is thrown typed, and audits it if it is a refusal. */
  attempt<T>(call: Call, work: () => Promise<T>): Promise<T> {
    const { telemetry, tenantId, connections } = this.#scope;
    // Nobody pays for what is not measured: not even another promise.
    if (telemetry === undefined) return this.#attempt(call, work);
    const operation = { ...call, tenantId, database: connections.dialect.name };
    return observed(telemetry, operation, () => this.#attempt(call, work));
  }

  async #attempt<T>(call: Call, work: () => Promise<T>): Promise<T> {
    // In a transaction of the caller's, only the caller can start over.
    const attempted = (): Promise<T> => (this.#context.trx === undefined ? retried(work) : work());
    try {
      return await attempted().catch((error: unknown) => {
        if (!needsDestroyedKey(error)) throw error;
        return attempted(); // what it had read may have been moved to another key
      });
    } catch (thrown) {
      const error = databaseError(thrown, call.action);
      if (isRefusal(error)) await this.#refuse(call, error);
      throw error;
    }
  }

  async #guarded<T>(call: Call, work: () => Promise<T>): Promise<T> {
    return await this.turn(() => this.attempt(call, work));
  }

  /** Commits the audit row of a refusal before the refusal is thrown. */
  async #refuse(call: Call, { code, context }: KeywrightError): Promise<void> {
    const { secretId, version } = context;
    const audited: Audited = {
      context: { code },
      secretId: typeof secretId === 'string' ? secretId : call.id,
      version: typeof version === 'number' ? version : undefined,
    };
    await typed(call.action, () =>
      this.#scope.auditWriter.commit(this.#context.trx, this.#eventOf(call, 'refused', audited)),
    );
    if (code === 'ERR_SECRETS_INTEGRITY') this.#context.logger?.error(`${call.action} refused: ${code}`);
  }

  async #record(db: Knex, call: Call, outcome: 'success' | 'refused', audited: Audited): Promise<void> {
    await this.#scope.audit.record(db, this.#eventOf(call, outcome, audited));
  }

  #eventOf(call: Call, outcome: 'success' | 'refused', audited: Audited): AuditEvent {
    const { tenantId, actor } = this.#scope;
    return {
      tenantId,
      actor,
      action: call.action,
      outcome,
      ...audited,
      secretName: audited.secretName ?? call.name,
      request: this.#context.request,
    };
  }
}
