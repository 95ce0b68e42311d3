import type { KeywrightError } from '@keywright/envelope';

/** An operation of the store, as its measurements name it. */
export interface TelemetryOperation {
  /** The audit action, for instance `secret.get`. */
  readonly action: string;
  readonly database: 'postgres' | 'sqlite';
  readonly tenantId?: string | undefined;
  /** Name of the secret it is about, where the caller gave one. */
  readonly name?: string | undefined;
}

/** One operation that is being measured. */
export interface TelemetrySpan {
  /** Calls `work` at once and once, as what it does belongs to the operation, and returns what that returns. */
  run<T>(work: () => Promise<T>): Promise<T>;
  /** The operation has ended, with this error if it failed. */
  end(error: KeywrightError | undefined): void;
}

/** What is counted or measured besides operations. */
export interface TelemetryMeasures {
  /** Gets that went out as one statement. */
  readonly 'batch.size': number;
  /** A tenant key was looked for in memory: 1 if it was there, else 0. */
  readonly 'kek_cache.hit': number;
  /** A tenant key was unwrapped by the holder of the root key: how long that took, in milliseconds. */
  readonly 'kek.unwrap': number;
  /** A secret was looked for in the read cache: 1 if it was there, else 0. */
  readonly 'read_cache.hit': number;
}

/** Audit rows that have no place in the log's tree yet: until then, that one is removed cannot be noticed. */
export interface UnsealedRows {
  /** Counted up to 100,000. */
  readonly rows: number;
  /** Age of the oldest, in milliseconds; 0 where there is none. */
  readonly ageMs: number;
}

/** What can be asked of a store now and then. */
export interface TelemetryGauges {
  unsealed(): Promise<UnsealedRows>;
}

/**
 * Where a store's measurements go: `openTelemetry()` of `@keywright/secrets/opentelemetry`, or another implementation.
 * It is given no values, and is called for every operation, so it must be quick and must not throw; what it throws is
 * dropped.
 */
export interface Telemetry {
  begin(operation: TelemetryOperation): TelemetrySpan;
  measure<Name extends keyof TelemetryMeasures>(name: Name, value: TelemetryMeasures[Name]): void;
  /** A store was made; what this returns is called when it is closed. */
  observe(gauges: TelemetryGauges): () => void;
}
