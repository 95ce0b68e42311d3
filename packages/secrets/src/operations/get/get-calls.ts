import { isKeywrightError } from '@keywright/envelope';
import { BATCH } from '../../internal/coalescer.ts';
import { typed } from '../../internal/database-error.ts';
import { retried } from '../../internal/retried.ts';
import { throwIfAborted } from '../../keys/root-calls.ts';
import { needsDestroyedKey } from '../../keys/tenant-keys.ts';
import type { Located, SecretLocator } from '../../locator.ts';
import type { Secret } from '../../secret.ts';
import type { AuditedCalls, Call, CallContext } from '../audited.ts';
import { isRefusal } from '../refusals.ts';
import type { Scope } from '../scope.ts';
import type { FoundRow } from './found-row.ts';
import type { SecretResult } from './get-many.ts';
import { getSecret } from './get-secret.ts';
import { openRow, readAgain } from './open-row.ts';
import type { Asked } from './secret-reader.ts';

/** One secret that a caller wants. */
export interface Wanted {
  /** As the caller wrote it. */
  readonly locator: SecretLocator;
  readonly at: Located;
  readonly version: number | undefined;
}

/** Reads that hand out values. */
export class GetCalls {
  readonly #scope: Scope;
  readonly #context: CallContext;
  readonly #calls: AuditedCalls;

  constructor(scope: Scope, context: CallContext, calls: AuditedCalls) {
    this.#scope = scope;
    this.#context = context;
    this.#calls = calls;
  }

  async get(wanted: Wanted, signal: AbortSignal | undefined): Promise<Secret> {
    return await this.#calls.turn(async () => {
      throwIfAborted(signal);
      return await this.#calls.attempt(callOf(wanted), () =>
        this.#cached(wanted, signal, () => this.#read(wanted, signal)),
      );
    });
  }

  /** In the order of what is wanted. A refusal is a result; any other error ends the call. */
  async getMany(wanted: readonly Wanted[], signal: AbortSignal | undefined): Promise<readonly SecretResult[]> {
    return await this.#calls.turn(async () => {
      throwIfAborted(signal);
      const rows = await typed('secret.get', () => this.#find(wanted, signal));
      const results = await Promise.all(
        wanted.map(async (each, index) => {
          const row = rows[index];
          return row === undefined ? undefined : await this.#result(each, () => this.#open(each, row, signal));
        }),
      );
      // Those that need a closer look take turns: each of them takes several statements.
      const complete: SecretResult[] = [];
      for (const [index, each] of wanted.entries()) {
        complete.push(results[index] ?? (await this.#result(each, () => this.#search(each, signal))));
      }
      return complete;
    });
  }

  async #read(wanted: Wanted, signal: AbortSignal | undefined): Promise<Secret> {
    const [row] = await this.#find([wanted], signal);
    return row === undefined ? await this.#search(wanted, signal) : await this.#open(wanted, row, signal);
  }

  /** From memory, where the store keeps secrets there and this is one, and audited all the same; else as it is read. */
  async #cached(wanted: Wanted, signal: AbortSignal | undefined, read: () => Promise<Secret>): Promise<Secret> {
    const { readCache: cache, tenantId } = this.#scope;
    const { name } = wanted.at;
    if (cache === undefined || this.#context.trx !== undefined || wanted.version !== undefined || name === undefined) {
      return await read();
    }
    const found = cache.find(tenantId, name);
    if (found === undefined) return await cache.filling(tenantId, name, read);
    await this.#succeeded(wanted, found, signal);
    return found;
  }

  /** What one statement says; `undefined` for what it cannot read, and for everything where there is none. */
  async #find(wanted: readonly Wanted[], signal: AbortSignal | undefined): Promise<readonly (FoundRow | undefined)[]> {
    const { reader, tenantId, actor } = this.#scope;
    const { trx, request } = this.#context;
    if (!reader.available) return [];
    const asked: readonly Asked[] = wanted.map(({ at, version }) => ({ tenantId, actor, at, version, request }));
    if (trx === undefined) {
      // One by one, since others of them may have been read, and audited.
      return await Promise.all(asked.map((each) => retried(() => reader.get(each, signal))));
    }
    const rows: (FoundRow | undefined)[] = [];
    for (let from = 0; from < asked.length; from += BATCH) {
      throwIfAborted(signal);
      rows.push(...(await reader.getInside(trx, asked.slice(from, from + BATCH))));
    }
    return rows;
  }

  /** Decrypts what was found. Outside of callers' transactions it was audited when it was read. */
  async #open(wanted: Wanted, row: FoundRow, signal: AbortSignal | undefined): Promise<Secret> {
    const { trx } = this.#context;
    const secret = await openRow(this.#scope, trx, row).catch((error: unknown) => {
      if (!needsDestroyedKey(error)) throw error;
      // What was audited is this version, whatever key it is under.
      return readAgain(this.#scope, trx, (db) => getSecret(this.#scope, db, { id: row.id }, row.version));
    });
    if (trx !== undefined) await this.#succeeded(wanted, secret, signal);
    return secret;
  }

  /** Looks closer: why it was not readable, or whether it is by now. */
  async #search(wanted: Wanted, signal: AbortSignal | undefined): Promise<Secret> {
    const { connections, tenantId } = this.#scope;
    throwIfAborted(signal);
    const secret = await connections.read(this.#context.trx, tenantId, (db) =>
      getSecret(this.#scope, db, wanted.at, wanted.version),
    );
    await this.#succeeded(wanted, secret, signal);
    return secret;
  }

  /** Nothing is handed out that is not in the log. */
  async #succeeded(wanted: Wanted, secret: Secret, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    const { id, name, version } = secret;
    await this.#calls.succeeded(callOf(wanted), { secretId: id, secretName: name, version });
  }

  async #result({ locator, at, version }: Wanted, read: () => Promise<Secret>): Promise<SecretResult> {
    try {
      return { outcome: 'found', locator, secret: await this.#calls.attempt(callOf({ locator, at, version }), read) };
    } catch (error) {
      if (isKeywrightError(error) && isRefusal(error)) return { outcome: 'refused', locator, error };
      throw error;
    }
  }
}

function callOf({ at }: Wanted): Call {
  return { action: 'secret.get', name: at.name, id: at.id };
}
