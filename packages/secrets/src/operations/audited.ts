import type { KeywrightError, Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import type { AuditAction } from '../audit/event.ts';
import { databaseError, typed } from '../internal/database-error.ts';
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

// What the store decided, as opposed to what it was asked wrongly or could not ask the database.
const REFUSALS: ReadonlySet<string> = new Set([
  'ERR_SECRETS_ALREADY_EXISTS',
  'ERR_SECRETS_EXPIRED',
  'ERR_SECRETS_INTEGRITY',
  'ERR_SECRETS_KEY_UNAVAILABLE',
  'ERR_SECRETS_NOT_FOUND',
  'ERR_SECRETS_ROOT_KEY_MISSING',
  'ERR_SECRETS_ROOT_UNAVAILABLE',
]);

/** Runs operations so that none of them goes without its audit row. */
export class AuditedCalls {
  readonly #scope: Scope;
  readonly #context: CallContext;

  constructor(scope: Scope, context: CallContext) {
    this.#scope = scope;
    this.#context = context;
  }

  /** A change and its audit row, in one transaction: the caller's, or one of its own. */
  async change<T>(call: Call, work: Work<T>): Promise<T> {
    const { trx } = this.#context;
    return await this.#guarded(call, async () => {
      if (trx === undefined) await warmKek(this.#scope);
      return await this.#scope.connections.write(trx, this.#scope.tables, async (inside) => {
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
      const [result, audited] = await work(this.#scope.connections.reader(trx));
      await this.#record(this.#scope.connections.outside(trx), call, 'success', audited);
      return result;
    });
  }

  /** Waits until the store is ready; makes whatever is thrown typed, and audits it if it is a refusal. */
  async #guarded<T>(call: Call, work: () => Promise<T>): Promise<T> {
    await this.#context.ready(this.#context.trx);
    try {
      return await work();
    } catch (thrown) {
      const error = databaseError(thrown, call.action);
      if (isRefusal(error)) await this.#refuse(call, error);
      throw error;
    }
  }

  /** Commits the audit row of a refusal before the refusal is thrown. */
  async #refuse(call: Call, { code, context }: KeywrightError): Promise<void> {
    const { secretId, version } = context;
    const audited: Audited = {
      context: { code },
      secretId: typeof secretId === 'string' ? secretId : undefined,
      version: typeof version === 'number' ? version : undefined,
    };
    const db = this.#scope.connections.outside(this.#context.trx);
    await typed(call.action, () => this.#record(db, call, 'refused', audited));
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

function isRefusal({ code }: KeywrightError): boolean {
  return REFUSALS.has(code) || code.startsWith('ERR_KEYRING_') || code.startsWith('ERR_ENVELOPE_');
}
