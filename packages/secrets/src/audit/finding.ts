/**
 * What is wrong with the log:
 * - `missing`: no row has this leaf
 * - `edited`: the row is not the one that was sealed at this leaf, or another stands in its place
 * - `inserted`: a row claims a leaf that it cannot have
 * - `forged`: the store did not write the row as it is; where it has a leaf, it was sealed so
 * - `payload`: where the request came from is not what was recorded
 * - `redacted`: where the request came from is gone, and no `audit.redact` row tells of it
 * - `tree`: hashes of the tree are missing, or its root is not the one of a signed checkpoint
 * - `checkpoint`: a checkpoint is not signed by a key that is trusted, or is about a larger tree than there is
 * - `pruned`: rows were removed, and no `audit.prune` row tells of it
 * - `malformed`: a line is not one of an export
 */
export type AuditFindingReason =
  | 'missing'
  | 'edited'
  | 'inserted'
  | 'forged'
  | 'payload'
  | 'redacted'
  | 'tree'
  | 'checkpoint'
  | 'pruned'
  | 'malformed';

/** One thing that is wrong, and where, as far as it can be told. */
export interface AuditFinding {
  readonly reason: AuditFindingReason;
  readonly leafIndex?: number | undefined;
  readonly tenantId?: string | undefined;
  readonly rowId?: string | undefined;
  /** Leaves of the tree whose checkpoint does not fit. */
  readonly treeSize?: number | undefined;
  /** Of an export, from 1. */
  readonly line?: number | undefined;
}

const MAX_KEPT = 100;

/** Collects what is wrong; all of it is counted, the first 100 are kept. */
export class Findings {
  readonly kept: AuditFinding[] = [];
  count = 0;

  add(finding: AuditFinding): void {
    this.count++;
    if (this.kept.length < MAX_KEPT) this.kept.push(Object.freeze(finding));
  }

  /** The outcome of a check: intact, or the first thing that is wrong. */
  outcome(): { readonly intact: true } | AuditDamage {
    const [firstBad] = this.kept;
    if (firstBad === undefined) return { intact: true };
    return { intact: false, firstBad, findings: Object.freeze([...this.kept]), bad: this.count };
  }
}

/** A log that is not what was written. */
export interface AuditDamage {
  readonly intact: false;
  readonly firstBad: AuditFinding;
  /** The first 100, in the order they were met. */
  readonly findings: readonly AuditFinding[];
  /** All of them. */
  readonly bad: number;
}
