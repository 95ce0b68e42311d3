/** A key that the table knows and that something is the matter with. */
export interface KeyFinding {
  readonly providerId: string;
  readonly tenantId: string;
  readonly keyId: string;
}

/** A key that a backend lists as made by this family of packages and that no row knows. */
export interface OrphanKey {
  readonly providerId: string;
  readonly externalId: string;
  readonly name: string | undefined;
  /** Where the backend records them. */
  readonly tenantId: string | undefined;
  readonly keyId: string | undefined;
  /** Whether `reconcile()` has deleted it. */
  readonly deleted: boolean;
}

/** What a backend would not do, or a provider that could not be asked at all. */
export interface ReconcileFailure {
  readonly providerId: string;
  readonly tenantId?: string | undefined;
  readonly keyId?: string | undefined;
  /** Stable code of the failure. */
  readonly code: string;
}

export interface ReconcileCounts {
  /** Rows and keys looked at so far. */
  readonly checked: number;
  /** Creates that had ended without an answer and are given up: nobody was ever given their key. */
  readonly cleared: number;
  /** Keys that were deleted in their backends: of creates that are given up, and of deletes that had not ended. */
  readonly deleted: number;
  /** Creates that may still be under way, or are too young to be judged. */
  readonly underWay: number;
  readonly orphans: number;
  readonly missing: number;
  readonly unresolved: number;
  readonly failures: number;
}

/** What `reconcile()` found and did. Each list holds the first 1000; `counts` counts all. */
export interface ReconcileReport {
  readonly counts: ReconcileCounts;
  readonly orphans: readonly OrphanKey[];
  /** Active keys that their backend no longer has. */
  readonly missing: readonly KeyFinding[];
  /** Creates that ended nobody knows how, at a backend that can neither be listed nor asked by name. */
  readonly unresolved: readonly KeyFinding[];
  readonly failures: readonly ReconcileFailure[];
}

const MAX_LISTED = 1_000;

type Counted = { -readonly [Count in keyof ReconcileCounts]: number };
interface Lists {
  readonly orphans: OrphanKey[];
  readonly missing: KeyFinding[];
  readonly unresolved: KeyFinding[];
  readonly failures: ReconcileFailure[];
}

/** A report in the making. */
export class Findings {
  readonly #counts: Counted = {
    checked: 0,
    cleared: 0,
    deleted: 0,
    underWay: 0,
    orphans: 0,
    missing: 0,
    unresolved: 0,
    failures: 0,
  };
  readonly #lists: Lists = { orphans: [], missing: [], unresolved: [], failures: [] };

  get counts(): ReconcileCounts {
    return Object.freeze({ ...this.#counts });
  }

  count(what: 'checked' | 'cleared' | 'deleted' | 'underWay', by = 1): void {
    this.#counts[what] += by;
  }

  add<List extends keyof Lists>(list: List, finding: Lists[List][number]): void {
    this.#counts[list] += 1;
    const findings = this.#lists[list] as unknown[];
    if (findings.length < MAX_LISTED) findings.push(Object.freeze(finding));
  }

  report(): ReconcileReport {
    return Object.freeze({ counts: this.counts, ...this.#lists });
  }
}
