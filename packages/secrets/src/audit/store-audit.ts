import { isKeywrightError, type KeywrightError } from '@keywright/envelope';
import { validate as isUuid } from 'uuid';
import { checkTenantId, checkText, invalidArgument, kindOf, readOptions, SYSTEM_TENANT } from '../arguments.ts';
import type { StoreCore } from '../core.ts';
import { SecretsError } from '../errors.ts';
import { databaseError, typed } from '../internal/database-error.ts';
import { isRefusal } from '../operations/refusals.ts';
import { Background } from './background.ts';
import type { AuditCheckpoint } from './checkpoint.ts';
import { checkCallback, checkSignal } from './checks.ts';
import { type AuditEnvironment, auditEnvironment, signerOf } from './environment.ts';
import type { AuditAction } from './event.ts';
import { type ExportOptions, exportLog } from './export.ts';
import { isCount } from './export-row.ts';
import type { AuditConsistencyProof, AuditProof } from './offline-proof.ts';
import { AUDIT_DEFAULTS, checkRetentionDays, checkSinkName } from './options.ts';
import { findCheckpoint, proveConsistency, proveInclusion } from './proof.ts';
import { type AuditPruning, pruneLog } from './prune.ts';
import { type AuditRedaction, checkRedaction, type RedactOptions, redactRows } from './redact.ts';
import { type AuditSealing, Sealer, type SealOptions } from './sealer.ts';
import { type AuditShipment, forgetSink, shipTo } from './sinks.ts';
import { withTreeLease } from './tree-lease.ts';
import { type AuditVerification, type VerifyOptions, verifyLog } from './verify.ts';

export interface PruneOptions {
  /** Who prunes, for the audit row of the pruning. */
  readonly actor: string;
  /** Rows of this age and younger stay. @default `audit.retentionDays` of the store, else 2_555 */
  readonly retentionDays?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ForgetSinkOptions {
  /** Who lets go of it, for the audit row. */
  readonly actor: string;
}

const LEASE_WAIT_MS = 30_000;
const MIN_PERIOD_MS = 50;
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 300_000;

/**
 * The audit log of all tenants as one thing that can be sealed, checked, handed to an auditor and kept for as long as it
 * must be. Every method throws typed errors only: besides those it names, those of every call of the store.
 */
export class StoreAudit {
  readonly #core: StoreCore;
  readonly #sealer = new Sealer();
  #background: readonly Background[] = [];
  #refused: string | undefined;

  /** Use `store.audit`. */
  constructor(core: StoreCore) {
    this.#core = core;
  }

  /**
   * Gives every row that is committed by now its place in the log's tree, and signs the tree. Waits up to 30 seconds for
   * another process that does the same.
   *
   * @throws SecretsError `ERR_SECRETS_SIGNER_MISSING`, `ERR_SECRETS_SIGNER_UNAVAILABLE`, `ERR_SECRETS_LEASE_HELD`,
   * `ERR_SECRETS_LEASE_LOST`, `ERR_SECRETS_AUDIT_TAMPERED`, `ERR_SECRETS_ABORTED`
   */
  async seal(options?: SealOptions): Promise<AuditSealing> {
    const read = readOptions(options, 'options', ({ onProgress, signal }) => ({
      onProgress: checkCallback(onProgress),
      signal: checkSignal(signal),
    }));
    return await this.#seal(read, LEASE_WAIT_MS);
  }

  /**
   * Seals now and then often enough that no row waits longer than `audit.maxUnsealedMs`, and passes what is sealed on to
   * the sinks, until {@link stop} or `store.close()`. Every replica may do it: they take turns. Failures are logged and
   * tried again.
   *
   * @throws SecretsError `ERR_SECRETS_SIGNER_MISSING`
   */
  start(): void {
    if (this.#background.length > 0) return;
    const { logger, options } = this.#core;
    const { signer, sinks = [], maxUnsealedMs = AUDIT_DEFAULTS.maxUnsealedMs } = options.audit ?? {};
    signerOf({ signer });
    // Half of it: a row that is committed just after a run waits for the next one, and for that to end.
    const everyMs = Math.max(MIN_PERIOD_MS, Math.floor(maxUnsealedMs / 2));
    const shipping = sinks.map(
      (named) =>
        new Background({
          name: `Audit sink ${named.name}`,
          logger,
          everyMs,
          firstPauseMs: FIRST_PAUSE_MS,
          maxPauseMs: MAX_PAUSE_MS,
          run: async (signal) => {
            const shipment = await this.#run('audit.seal', undefined, (env) => shipTo(env, named, signal));
            if (!shipment.done && !isBusy(shipment.error)) throw shipment.error;
          },
        }),
    );
    const sealing = new Background({
      name: 'Sealing the audit log',
      logger,
      everyMs,
      run: async (signal) => {
        try {
          await this.#seal({ signal }, 0);
        } catch (error) {
          if (!isBusy(error)) throw error; // another replica seals
        }
        for (const sink of shipping) sink.nudge();
      },
    });
    this.#background = [sealing, ...shipping];
  }

  /** Ends what {@link start} began; resolves when nothing of it is under way. */
  async stop(): Promise<void> {
    const stopped = this.#background;
    this.#background = [];
    await Promise.all(stopped.map((background) => background.stop()));
  }

  /**
   * The last signed checkpoint; undefined before the first. Keep its note where nobody who can edit the database can reach
   * it: what is missing from the end of the log shows only against one.
   *
   * @throws SecretsError `ERR_SECRETS_AUDIT_TAMPERED`
   */
  async checkpoint(): Promise<AuditCheckpoint | undefined> {
    return await this.#run('audit.checkpoint', undefined, findCheckpoint);
  }

  /**
   * Compares the whole log with its MACs, its tree and its signed checkpoints. What is found is the result, not an error.
   *
   * @throws SecretsError `ERR_SECRETS_SIGNER_MISSING` where there is neither a signer nor a verifier key,
   * `ERR_SECRETS_ABORTED`
   */
  async verify(options?: VerifyOptions): Promise<AuditVerification> {
    const read = readOptions(options, 'options', ({ from, checkpoint, onProgress, signal }) => ({
      from: from === undefined ? undefined : checkLeaf(from, 'from'),
      checkpoint: checkNote(checkpoint),
      onProgress: checkCallback(onProgress),
      signal: checkSignal(signal),
    }));
    return await this.#run('audit.verify', undefined, async (env) => {
      checkVerifiable(env);
      return await verifyLog(env, read);
    });
  }

  /**
   * What shows, with nothing but the verifier key, that a row is in the log of the last checkpoint: for
   * `verifyInclusion()` of `@keywright/secrets/audit`.
   *
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND`, `ERR_SECRETS_NOT_SEALED`, `ERR_SECRETS_AUDIT_TAMPERED`,
   * `ERR_SECRETS_SIGNER_MISSING`
   */
  async proof(tenantId: string, rowId: string): Promise<AuditProof> {
    const tenant = tenantId === SYSTEM_TENANT ? tenantId : checkTenantId(tenantId);
    if (!isUuid(rowId)) throw invalidArgument('rowId', 'the id of an audit row', kindOf(rowId));
    return await this.#run('audit.proof', undefined, async (env) => {
      checkVerifiable(env);
      return await proveInclusion(env, tenant, rowId.toLowerCase());
    });
  }

  /**
   * What shows that the log of one checkpoint begins with that of an older one: for `verifyConsistency()` of
   * `@keywright/secrets/audit`.
   *
   * @throws SecretsError `ERR_SECRETS_NOT_FOUND` for sizes that the tree never had or that were pruned,
   * `ERR_SECRETS_AUDIT_TAMPERED`
   */
  async consistency(oldSize: number, newSize: number): Promise<AuditConsistencyProof> {
    checkLeaf(oldSize, 'oldSize');
    checkLeaf(newSize, 'newSize');
    return await this.#run('audit.proof', undefined, (env) => proveConsistency(env, oldSize, newSize));
  }

  /**
   * The sealed log as lines of JSON, which `verifyAuditExport()` of `@keywright/secrets/audit` checks by the public key
   * alone. Seals first, where it can. Read as fast as the lines are taken; `Readable.from(…)` makes a stream of them.
   *
   * @throws SecretsError while iterating: `ERR_SECRETS_NOT_FOUND` for a `since` beyond the log,
   * `ERR_SECRETS_AUDIT_TAMPERED`, `ERR_SECRETS_SIGNER_MISSING`, `ERR_SECRETS_ABORTED`
   */
  export(options: ExportOptions): AsyncGenerator<string, void, void> {
    const read = readOptions(options, 'options', ({ actor, since, signal }) => ({
      actor: checkText(actor, 'actor'),
      since: since === undefined ? undefined : checkLeaf(since, 'since'),
      signal: checkSignal(signal),
    }));
    return this.#export(read);
  }

  /**
   * Removes rows that are older than the retention, from the start of the log and as far as they were sealed and given to
   * every sink. Seals first; the rest still verifies. Tells how many it removed.
   *
   * @throws SecretsError `ERR_SECRETS_AUDIT_TAMPERED` where they are not as they were sealed, and as {@link seal} does
   */
  async prune(options: PruneOptions): Promise<AuditPruning> {
    const { retentionDays: stored = AUDIT_DEFAULTS.retentionDays } = this.#core.options.audit ?? {};
    const read = readOptions(options, 'options', ({ actor, retentionDays = stored, signal }) => ({
      actor: checkText(actor, 'actor'),
      retentionDays: checkRetentionDays(retentionDays, 'retentionDays'),
      signal: checkSignal(signal),
    }));
    return await this.#run('audit.prune', read.actor, async (env) => {
      signerOf(env);
      return await withTreeLease(env, LEASE_WAIT_MS, read.signal, async (lease) => {
        await this.#sealer.sealUnder(env, lease, read);
        return await pruneLog(env, lease, read);
      });
    });
  }

  /**
   * Erases where requests came from (payload and salt), for instance because a person asks for it. Who did what stays, and
   * the log still verifies: an `audit.redact` row tells of it.
   *
   * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`
   */
  async redact(options: RedactOptions): Promise<AuditRedaction> {
    const read = checkRedaction(options);
    return await this.#run('audit.redact', read.actor, (env) => redactRows(env, read));
  }

  /**
   * Passes on to every sink what it has not got, up to the last checkpoint; {@link start} does it by itself. A sink that
   * fails is in the result, and holds up neither the others nor the log.
   */
  async ship(options?: { readonly signal?: AbortSignal | undefined }): Promise<readonly AuditShipment[]> {
    const signal = readOptions(options, 'options', (given) => checkSignal(given.signal));
    const { sinks = [] } = this.#core.options.audit ?? {};
    return await this.#run('audit.ship', undefined, (env) =>
      Promise.all(sinks.map((named) => shipTo(env, named, signal))),
    );
  }

  /**
   * Ends the place that is kept for a sink which is gone for good: `prune()` no longer waits for it. One of that name that
   * comes back gets the log from its start. Tells whether there was one.
   */
  async forgetSink(name: string, options: ForgetSinkOptions): Promise<boolean> {
    checkSinkName(name, 'name');
    const actor = readOptions(options, 'options', (given) => checkText(given.actor, 'actor'));
    return await this.#run('audit.forget-sink', actor, (env) => forgetSink(env, name, actor));
  }

  async #seal(options: SealOptions, waitMs: number): Promise<AuditSealing> {
    return await this.#run('audit.seal', SYSTEM_TENANT, async (env) => {
      signerOf(env);
      return await withTreeLease(env, waitMs, options.signal, (lease) => this.#sealer.sealUnder(env, lease, options));
    });
  }

  async *#export(options: ExportOptions): AsyncGenerator<string, void, void> {
    const lines = await this.#run('audit.export', options.actor, async (env) => {
      checkVerifiable(env);
      const seal = async (): Promise<void> => {
        if (env.signer !== undefined) await this.#seal({ signal: options.signal }, LEASE_WAIT_MS);
      };
      return exportLog(env, options, seal);
    });
    for (;;) {
      const { value, done } = await this.#guard('audit.export', options.actor, () => lines.next());
      if (done === true) return;
      yield value;
    }
  }

  /** Makes whatever is thrown typed; a refusal of who acts is audited. */
  async #run<T>(operation: string, actor: string | undefined, work: (env: AuditEnvironment) => Promise<T>): Promise<T> {
    await this.#core.ready(undefined);
    return await this.#guard(operation, actor, async () => {
      const result = await work(await auditEnvironment(this.#core));
      if (operation === 'audit.seal') this.#refused = undefined;
      return result;
    });
  }

  async #guard<T>(operation: string, actor: string | undefined, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (thrown) {
      const error = databaseError(thrown, operation);
      if (actor !== undefined && isRefusal(error)) await this.#refuse(operation as AuditAction, actor, error);
      throw error;
    }
  }

  async #refuse(action: AuditAction, actor: string, { code, context }: KeywrightError): Promise<void> {
    this.#core.logger?.error(`${action} refused: ${code}`);
    // Sealing is tried again and again: one row tells of it.
    if (action === 'audit.seal' && this.#refused === code) return;
    if (action === 'audit.seal') this.#refused = code;
    const { leafIndex, rowId } = context;
    const facts = {
      code,
      ...(leafIndex === undefined ? {} : { leaf: leafIndex }),
      ...(rowId === undefined ? {} : { at: rowId }),
    };
    await typed(action, () =>
      this.#core.connections.outside(undefined, SYSTEM_TENANT, (db) =>
        this.#core.audit.record(db, {
          tenantId: SYSTEM_TENANT,
          actor,
          action,
          outcome: 'refused',
          context: facts,
        }),
      ),
    );
  }
}

function isBusy(error: unknown): boolean {
  return (
    isKeywrightError(error) && (error.code === 'ERR_SECRETS_LEASE_HELD' || error.code === 'ERR_SECRETS_LEASE_LOST')
  );
}

function checkVerifiable({ noteKeys }: AuditEnvironment): void {
  if (noteKeys.length === 0) throw new SecretsError('ERR_SECRETS_SIGNER_MISSING');
}

function checkLeaf(leaf: unknown, argument: string): number {
  if (isCount(leaf)) return leaf;
  throw invalidArgument(argument, 'an integer from 0', kindOf(leaf));
}

function checkNote(note: unknown): string | undefined {
  if (note === undefined || typeof note === 'string') return note;
  throw invalidArgument('checkpoint', 'the note of a checkpoint', kindOf(note));
}
