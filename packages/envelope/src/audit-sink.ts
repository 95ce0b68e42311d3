/** One row of an audit log, as a sink is given it. It holds no value of a secret. */
export interface AuditSinkEntry {
  /** Place in the log: entries come in this order, without gaps. Whoever is given one twice knows it by this. */
  readonly leafIndex: number;
  readonly tenantId: string;
  readonly id: string;
  readonly at: Date;
  readonly actor: string;
  readonly action: string;
  readonly outcome: 'success' | 'refused';
  readonly secretId: string | null;
  readonly secretName: string | null;
  readonly version: number | null;
  /** Facts of the operation. */
  readonly context: Readonly<Record<string, string | number>>;
  /** Where the request came from, as the host said; empty where it was erased. */
  readonly request: Readonly<Record<string, string | number>>;
}

/** What a sink is told about a batch. */
export interface AuditSinkOptions {
  /** Aborted when the batch has taken too long; it is given again later. */
  readonly signal: AbortSignal;
  /** The signed checkpoint that covers the batch: kept outside the database, it shows what was rewritten in it. */
  readonly checkpoint: string;
}

/**
 * Where an audit log is passed on to: a SIEM, an archive, a stream. It gets every entry in order and at least once; one
 * that is slow or fails is tried again later and never holds the log back.
 */
export interface AuditSink {
  /**
   * Takes a batch. Resolves when the entries are as safe as they will be: they are not given again.
   * @throws anything: the same entries come again after a pause
   */
  write(entries: readonly AuditSinkEntry[], options: AuditSinkOptions): Promise<void>;
}
