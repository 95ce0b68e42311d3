import type { AuditSink } from '@keywright/envelope';
import { invalidArgument, kindOf, readOptions } from '../arguments.ts';
import { parseVerifierKey } from './note.ts';
import { type AuditSigner, checkSigner } from './signer.ts';

/** A sink and the name that its place in the log is kept under. */
export interface NamedAuditSink {
  /** 1 to 64 characters of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`. Under another name it gets the log from its start. */
  readonly name: string;
  readonly sink: AuditSink;
}

/** How the audit log is sealed, kept and passed on. */
export interface AuditOptions {
  /**
   * Whether reads of secrets are audited that succeed. Refusals and changes always are, and so are reads of the log.
   * @default 'audited'
   */
  readonly reads?: 'audited' | 'unaudited' | undefined;
  /** Signs checkpoints of the log. Without one it is not sealed, and deleted rows do not show. @default none */
  readonly signer?: AuditSigner | undefined;
  /**
   * Verifier keys of earlier signers, whose checkpoints stay good; without a signer, those that `verify()` and `proof()`
   * go by.
   * @default none
   */
  readonly verifierKeys?: readonly string[] | undefined;
  /**
   * How often `start()` seals, in milliseconds: a row that is deleted before it is sealed is not missed.
   * @default 60_000
   */
  readonly maxUnsealedMs?: number | undefined;
  /** Where the sealed log is passed on to. @default none */
  readonly sinks?: readonly NamedAuditSink[] | undefined;
  /** How long `prune()` keeps rows, in days. @default 2_555 */
  readonly retentionDays?: number | undefined;
}

/** Defaults of {@link AuditOptions}. */
export const AUDIT_DEFAULTS: Readonly<Record<'maxUnsealedMs' | 'retentionDays', number>> = Object.freeze({
  maxUnsealedMs: 60_000,
  retentionDays: 2_555,
});

const MAX_SINKS = 32;
const SINK_NAME = /^[A-Za-z0-9._-]{1,64}$/;

/** A checked copy. @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkAuditOptions(options: AuditOptions | undefined): AuditOptions {
  return readOptions(options, 'audit', (given) => {
    const copy = { ...given };
    const { reads = 'audited' } = copy;
    if (reads !== 'audited' && reads !== 'unaudited') {
      throw invalidArgument('audit.reads', "'audited' or 'unaudited'", kindOf(reads));
    }
    if (copy.signer !== undefined) checkSigner(copy.signer, 'audit.signer');
    const { verifierKeys = [], sinks = [] } = copy;
    if (!Array.isArray(verifierKeys)) throw invalidArgument('audit.verifierKeys', 'an array', kindOf(verifierKeys));
    for (const key of verifierKeys) parseVerifierKey(key, 'audit.verifierKeys');
    if (copy.maxUnsealedMs !== undefined) checkWhole(copy.maxUnsealedMs, 'audit.maxUnsealedMs', 2 ** 31 - 1);
    if (copy.retentionDays !== undefined) checkRetentionDays(copy.retentionDays, 'audit.retentionDays');
    return Object.freeze({
      ...copy,
      verifierKeys: Object.freeze([...verifierKeys]),
      sinks: Object.freeze(checkSinks(sinks)),
    });
  });
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkRetentionDays(days: unknown, argument: string): number {
  return checkWhole(days, argument, 100_000);
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkSinkName(name: unknown, argument: string): string {
  if (typeof name === 'string' && SINK_NAME.test(name)) return name;
  throw invalidArgument(argument, '1 to 64 of a-z, A-Z, 0-9, ".", "_" and "-"', kindOf(name));
}

function checkSinks(sinks: unknown): readonly NamedAuditSink[] {
  const argument = 'audit.sinks';
  const expected = `at most ${MAX_SINKS} of { name, sink }, each name once`;
  if (!Array.isArray(sinks) || sinks.length > MAX_SINKS) throw invalidArgument(argument, expected, kindOf(sinks));
  const names = new Set<string>();
  return sinks.map((given: Partial<NamedAuditSink> | undefined) => {
    const name = checkSinkName(given?.name, `${argument}.name`);
    const sink = given?.sink;
    if (names.has(name)) throw invalidArgument(argument, expected, 'a name twice');
    if (typeof sink?.write !== 'function') throw invalidArgument(`${argument}.sink`, 'an AuditSink', kindOf(sink));
    names.add(name);
    return Object.freeze({ name, sink });
  });
}

function checkWhole(value: unknown, argument: string, max: number): number {
  if (Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= max) return value as number;
  throw invalidArgument(argument, `an integer from 1 to ${max}`, kindOf(value));
}
