import { SecretsError } from '../errors.ts';
import { leafHash, payloadMatches } from './canonical.ts';
import { type AuditCheckpoint, type OpenedCheckpoint, openCheckpoint } from './checkpoint.ts';
import { type AuditExportRow, exportRow, importRow, isCount } from './export-row.ts';
import { type AuditDamage, Findings } from './finding.ts';
import { decodeBase64, type NoteKey } from './note.ts';
import { noteKeys, type VerifierKeys } from './offline-proof.ts';
import { PendingRedactions } from './pending-redactions.ts';
import { isRedacted } from './redactions.ts';
import { forgedBy, prunedBy } from './row-facts.ts';
import { CompactTree, HASH_BYTES, subtreeSizes } from './tree/merkle.ts';
import { equal } from './tree/proofs.ts';

export const EXPORT_FORMAT = 'keywright-audit-export/1';

/** First line of an export. */
export interface ExportHeader {
  readonly format: typeof EXPORT_FORMAT;
  /** First leaf of the export. */
  readonly since: number;
  /** First leaf that was left in the log. */
  readonly pruned: number;
  /** Roots of the perfect subtrees of what comes before, largest first, as base64. */
  readonly frontier: readonly string[];
}

export interface VerifyExportOptions {
  /** Of the log's signer, and of earlier ones. */
  readonly verifierKey: VerifierKeys;
  /** The checkpoint of an earlier export: the log must still begin with it. @default none */
  readonly checkpoint?: string | undefined;
  /**
   * First leaf that was asked for. An export that starts later must hold the row of the pruning that took the rest.
   * @default 0
   */
  readonly since?: number | undefined;
}

/** Whether an export is what was sealed and signed. */
export type AuditExportVerification = {
  /** Leaves `from` up to, and not including, `to`. */
  readonly verified: { readonly from: number; readonly to: number };
  /** Rows whose request was erased on purpose. */
  readonly redacted: number;
  /** What the export is signed by; undefined where its signature is not good. */
  readonly checkpoint: AuditCheckpoint | undefined;
} & ({ readonly intact: true } | AuditDamage);

/**
 * Verifies an export by the public key alone: every row, their order, that none is missing from the first to the last, and
 * that the signer has signed exactly these.
 *
 * @param lines of the export, with or without their newlines, else as they were written
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` for options that are not usable
 *
 * @example
 * ```ts
 * import { createReadStream } from 'node:fs';
 * import { createInterface } from 'node:readline';
 * import { verifyAuditExport } from '@keywright/secrets/audit';
 *
 * export async function check(file: string, verifierKey: string): Promise<boolean> {
 *   const lines = createInterface({ input: createReadStream(file) });
 *   const result = await verifyAuditExport(lines, { verifierKey });
 *   if (!result.intact) console.error(result.firstBad);
 *   return result.intact;
 * }
 * ```
 */
export async function verifyAuditExport(
  lines: AsyncIterable<string> | Iterable<string>,
  options: VerifyExportOptions,
): Promise<AuditExportVerification> {
  const check = new ExportCheck(noteKeys(options.verifierKey), options);
  for await (const line of lines) check.line(line);
  return check.end();
}

class ExportCheck {
  readonly #keys: readonly NoteKey[];
  readonly #since: number;
  readonly #earlier: Extract<OpenedCheckpoint, { valid: true }> | undefined;
  readonly #findings = new Findings();
  readonly #pending = new PendingRedactions();
  #line = 0;
  #header: ReadHeader | undefined;
  #tree: CompactTree | undefined;
  #signed: Extract<OpenedCheckpoint, { valid: true }> | undefined;
  #ended = false;
  #redacted = 0;
  #pruned = 0;

  constructor(keys: readonly NoteKey[], options: VerifyExportOptions) {
    this.#keys = keys;
    this.#since = options.since ?? 0;
    if (!isCount(this.#since)) throw invalid('since', 'a leaf');
    if (options.checkpoint === undefined) return;
    const opened = openCheckpoint(options.checkpoint, keys);
    if (!opened.valid) throw invalid('checkpoint', 'a checkpoint signed under verifierKey');
    this.#earlier = opened;
  }

  line(text: string): void {
    this.#line++;
    const given = parse(text);
    if (this.#ended)
      this.#malformed(); // nothing follows the checkpoint
    else if (this.#header === undefined) this.#begin(given, text);
    else if (isCheckpoint(given)) this.#sign(given.checkpoint, text);
    else this.#row(given, text);
  }

  end(): AuditExportVerification {
    const [from, to] = [this.#header?.since ?? 0, this.#tree?.size ?? 0];
    // An export that was cut at its end has no checkpoint.
    if (this.#signed === undefined && !this.#ended) this.#findings.add({ reason: 'checkpoint', treeSize: to });
    const earlier = this.#earlier?.checkpoint.treeSize ?? 0;
    if (earlier > to) this.#findings.add({ reason: 'missing', leafIndex: to, treeSize: earlier });
    if (earlier < from && this.#earlier !== undefined) this.#findings.add({ reason: 'pruned', treeSize: earlier });
    if (from > this.#since && this.#pruned !== from) this.#findings.add({ reason: 'pruned', leafIndex: from });
    for (const { tenant_id: tenantId, id: rowId, leaf_index: leaf } of this.#pending.unexplained()) {
      this.#redacted--;
      this.#findings.add({ reason: 'redacted', leafIndex: Number(leaf), tenantId, rowId });
    }
    return {
      ...this.#findings.outcome(),
      verified: { from, to },
      redacted: this.#redacted,
      checkpoint: this.#signed?.checkpoint,
    };
  }

  #begin(given: unknown, text: string): void {
    const header = readHeader(given);
    if (header === undefined || !isWritten(header.line, text)) {
      this.#malformed();
      return;
    }
    this.#tree = new CompactTree(header.since, header.frontier);
    this.#header = header;
    this.#compareEarlier();
  }

  #row(given: unknown, text: string): void {
    const row = importRow(given);
    const tree = this.#tree;
    if (row === undefined || tree === undefined || !isWritten(exportRow(row), text)) {
      this.#malformed();
      return;
    }
    const found = { leafIndex: Number(row.leaf_index), tenantId: row.tenant_id, rowId: row.id, line: this.#line };
    if (found.leafIndex > tree.size) this.#findings.add({ ...found, reason: 'missing', leafIndex: tree.size });
    if (found.leafIndex < tree.size) this.#findings.add({ ...found, reason: 'inserted' });
    if (!payloadMatches(row)) this.#findings.add({ ...found, reason: 'payload' });
    const forged = forgedBy(row);
    if (forged !== undefined) this.#findings.add({ line: this.#line, ...forged, reason: 'forged' });
    if (isRedacted(row)) this.#redacted++;
    this.#pending.add(row);
    this.#pruned = Math.max(this.#pruned, prunedBy(row) ?? 0);
    tree.append(leafHash(row));
    this.#compareEarlier();
  }

  #compareEarlier(): void {
    const tree = this.#tree;
    const earlier = this.#earlier;
    if (tree === undefined || earlier === undefined || earlier.checkpoint.treeSize !== tree.size) return;
    if (!equal(earlier.root, tree.root()))
      this.#findings.add({ reason: 'tree', treeSize: tree.size, line: this.#line });
  }

  #sign(note: string, text: string): void {
    this.#ended = true;
    if (!isWritten({ checkpoint: note }, text)) this.#malformed();
    const opened = openCheckpoint(note, this.#keys);
    const size = this.#tree?.size ?? 0;
    const at = { treeSize: size, line: this.#line };
    if (!opened.valid) {
      this.#findings.add({ ...at, reason: 'checkpoint' });
      return;
    }
    this.#signed = opened;
    const { treeSize } = opened.checkpoint;
    if (treeSize > size) this.#findings.add({ ...at, reason: 'missing', leafIndex: size });
    else if (treeSize < size) this.#findings.add({ ...at, reason: 'inserted', leafIndex: treeSize });
    else if (!equal(opened.root, this.#tree?.root() ?? opened.root)) this.#findings.add({ ...at, reason: 'tree' });
  }

  #malformed(): void {
    this.#findings.add({ reason: 'malformed', line: this.#line });
  }
}

/** `undefined` for what is no JSON; a stream that nobody split into lines gives bytes. */
function parse(text: unknown): unknown {
  try {
    return typeof text === 'string' ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether a line is the one that is written for this. Members besides, or twice, would be read by a person and signed by
 * nobody.
 */
function isWritten(line: ExportHeader | AuditExportRow | { readonly checkpoint: string }, text: string): boolean {
  return JSON.stringify(line) === (text.endsWith('\n') ? text.slice(0, -1) : text);
}

/** A header whose frontier is one of its size. */
interface ReadHeader {
  readonly line: ExportHeader;
  readonly since: number;
  readonly frontier: readonly Uint8Array[];
}

function readHeader(given: unknown): ReadHeader | undefined {
  const { format, since, pruned, frontier } = (given ?? {}) as Partial<Record<keyof ExportHeader, unknown>>;
  if (format !== EXPORT_FORMAT || !isCount(since) || !isCount(pruned) || pruned > since) return undefined;
  if (!Array.isArray(frontier)) return undefined;
  const hashes = frontier.map(hash).filter((one) => one?.byteLength === HASH_BYTES);
  const whole = hashes.length === frontier.length && hashes.length === subtreeSizes(since).length;
  if (!whole) return undefined;
  return { line: { format, since, pruned, frontier: frontier as string[] }, since, frontier: hashes as Buffer[] };
}

function isCheckpoint(given: unknown): given is { readonly checkpoint: string } {
  return (
    typeof given === 'object' && given !== null && typeof (given as { checkpoint?: unknown }).checkpoint === 'string'
  );
}

function hash(given: unknown): Buffer | undefined {
  return typeof given === 'string' ? decodeBase64(given) : undefined;
}

function invalid(argument: string, expected: string): SecretsError {
  return new SecretsError('ERR_SECRETS_INVALID_ARGUMENT', { context: { argument, expected, received: 'another' } });
}
