import type { KeywrightError, Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { AuditAction } from '../audit/event.ts';
import { checkOpen } from '../connections.ts';
import { inTurn } from '../internal/callers-transaction.ts';
import { databaseError, typed } from '../internal/database-error.ts';
import { isRefusal } from './refusals.ts';
import { type Audited, type Scope, warmKek } from './scope.ts';

/** What a call runs with besides its scope. */
export interface CallContext {
  readonly trx: Knex.Transaction | undefined;
  readonly request: Readonly<Record<string, string>> | undefined;
  readonly logger: Logger | undefined;
  ready(trx: Knex.Transaction | undefined): Promise<void>;
}

/** An operation, and the name of the secret it is about, where it is about one. */
export interface Call {
  readonly action: AuditAction;
  readonly name?: string;
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

  /** A read, and its audit row committed before the result is handed out. */
  async read<T>(call: Call, work: Work<T>): Promise<T> {
    const { trx } = this.#context;
    return await this.#guarded(call, async () => {
      const { connections, tenantId } = this.#scope;
      const [result, audited] = await connections.read(trx, tenantId, work);
      await connections.outside(trx, tenantId, (db) => this.#record(db, call, 'success', audited));
      return result;
    });
  }

  /** Makes whatever is thrown typed, and audits it if it is a refusal. */
  async #guarded<T>(call: Call, work: () => Promise<T>): Promise<T> {
    const { trx } = this.#context;
    const run = async (): Promise<T> => {
      if (trx !== undefined) checkOpen(trx);
      await this.#context.ready(trx);
      try {
        return await work();
      } catch (thrown) {
        const error = databaseError(thrown, call.action);
        if (isRefusal(error)) await this.#refuse(call, error);
        throw error;
      }
    };
    return trx === undefined ? await run() : await inTurn(trx, run);
  }

  /** Commits the audit row of a refusal before the refusal is thrown. */
  async #refuse(call: Call, { code, context }: KeywrightError): Promise<void> {
    const { secretId, version } = context;
    const audited: Audited = {
      context: { code },
      secretId: typeof secretId === 'string' ? secretId : undefined,
      version: typeof version === 'number' ? version : undefined,
    };
    const { connections, tenantId } = this.#scope;
    await typed(call.action, () =>
      connections.outside(this.#context.trx, tenantId, (db) => this.#record(db, call, 'refused', audited)),
    );
    if (code === 'ERR_SECRETS_INTEGRITY') this.#context.logger?.error(`${call.action} refused: ${code}`);
  }

  async #record(db: Knex, call: Call, outcome: 'success' | 'refused', audited: Audited): Promise<void> {
    const { tenantId, actor } = this.#scope;
    await this.#scope.audit.record(db, {
      tenantId,
      actor,
      action: call.action,
      secretName: call.name,
      outcome,
      ...audited,
      request: this.#context.request,
    });
  }
}
