import type { KeywrightError } from '@keywright/envelope';
import {
  type Attributes,
  context,
  type Histogram,
  type Meter,
  type MeterProvider,
  metrics,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  type TracerProvider,
  trace,
} from '@opentelemetry/api';
import type {
  Telemetry,
  TelemetryGauges,
  TelemetryMeasures,
  TelemetryOperation,
  TelemetrySpan,
  UnsealedRows,
} from './telemetry.ts';

/** Options of {@link openTelemetry}. */
export interface OpenTelemetryOptions {
  /** Whether spans carry the names of secrets. Names can tell what a tenant uses. @default false */
  readonly names?: boolean | undefined;
  /** Whether spans carry the tenant's id. Metrics never do: there can be millions. @default false */
  readonly tenants?: boolean | undefined;
  /** @default the global one */
  readonly tracerProvider?: TracerProvider | undefined;
  /** @default the global one */
  readonly meterProvider?: MeterProvider | undefined;
}

const SCOPE = '@keywright/secrets';
const PREFIX = 'keywright.secrets';
// as the semantic conventions of database clients advise, in seconds
const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];
const SIZES = [1, 2, 4, 8, 16, 32, 64];
const SYSTEMS = { postgres: 'postgresql', sqlite: 'sqlite' } as const;

/**
 * Spans and metrics of a store through `@opentelemetry/api`: a span per operation (`keywright.secrets.get`), durations,
 * errors by code, batch sizes, hits of the caches, audit rows that wait to be sealed. Never a value, an actor or what
 * the host said of the request.
 *
 * @example
 * ```ts
 * import { keyringFromEnv } from '@keywright/envelope';
 * import { createSecretStore } from '@keywright/secrets';
 * import { openTelemetry } from '@keywright/secrets/opentelemetry';
 * import knex from 'knex';
 *
 * const db = knex({ client: 'pg', connection: process.env.DATABASE_URL ?? '' });
 * const store = createSecretStore({ knex: db, root: keyringFromEnv(), telemetry: openTelemetry() });
 * ```
 */
export function openTelemetry(options: OpenTelemetryOptions = {}): Telemetry {
  return new OpenTelemetry({ ...options });
}

class OpenTelemetry implements Telemetry {
  readonly #options: OpenTelemetryOptions;
  readonly #tracer: Tracer;
  readonly #meter: Meter;
  readonly #duration: Histogram;
  readonly #failed: (attributes: Attributes) => void;
  readonly #measures: { readonly [Name in keyof TelemetryMeasures]: (value: number) => void };

  constructor(options: OpenTelemetryOptions) {
    this.#options = options;
    this.#tracer = (options.tracerProvider ?? trace).getTracer(SCOPE);
    const meter = (options.meterProvider ?? metrics).getMeter(SCOPE);
    this.#meter = meter;
    this.#duration = meter.createHistogram(`${PREFIX}.operation.duration`, {
      description: 'How long operations took.',
      unit: 's',
      advice: { explicitBucketBoundaries: SECONDS },
    });
    const errors = meter.createCounter(`${PREFIX}.errors`, {
      description: 'Operations that failed or were refused, by the code of the error.',
      unit: '{error}',
    });
    this.#failed = (attributes) => errors.add(1, attributes);
    this.#measures = measuresOf(meter);
  }

  begin(operation: TelemetryOperation): TelemetrySpan {
    const { action, database, tenantId, name } = operation;
    const verb = action.replace(/^secret\./, '');
    const attributes: Attributes = { 'db.system.name': SYSTEMS[database], 'keywright.operation': verb };
    const span = this.#tracer.startSpan(`${PREFIX}.${verb}`, {
      kind: SpanKind.INTERNAL, // the statements it makes are the database client's
      attributes: {
        ...attributes,
        ...(this.#options.tenants === true && tenantId !== undefined ? { 'keywright.tenant.id': tenantId } : {}),
        ...(this.#options.names === true && name !== undefined ? { 'keywright.secret.name': name } : {}),
      },
    });
    const inside = trace.setSpan(context.active(), span);
    const start = performance.now();
    return {
      run: (work) => context.with(inside, work),
      end: (error: KeywrightError | undefined) => {
        const failure: Attributes = error === undefined ? {} : { 'error.type': error.code };
        if (error !== undefined) {
          span.setAttributes({ ...failure, 'keywright.error.retryable': error.retryable });
          span.setStatus({ code: SpanStatusCode.ERROR, message: error.code });
          this.#failed({ ...attributes, ...failure });
        }
        span.end();
        this.#duration.record((performance.now() - start) / 1_000, { ...attributes, ...failure }, inside);
      },
    };
  }

  measure<Name extends keyof TelemetryMeasures>(name: Name, value: TelemetryMeasures[Name]): void {
    this.#measures[name](value);
  }

  observe(gauges: TelemetryGauges): () => void {
    const rows = this.#meter.createObservableGauge(`${PREFIX}.audit.unsealed`, {
      description: 'Audit rows that wait to be sealed, counted up to 100,000.',
      unit: '{row}',
    });
    const age = this.#meter.createObservableGauge(`${PREFIX}.audit.unsealed.age`, {
      description: 'Age of the oldest audit row that waits to be sealed.',
      unit: 's',
    });
    const observe: Parameters<Meter['addBatchObservableCallback']>[0] = async (result) => {
      const unsealed: UnsealedRows | undefined = await gauges.unsealed().catch(() => undefined);
      if (unsealed === undefined) return; // no figure rather than a false one
      result.observe(rows, unsealed.rows);
      result.observe(age, unsealed.ageMs / 1_000);
    };
    this.#meter.addBatchObservableCallback(observe, [rows, age]);
    return () => this.#meter.removeBatchObservableCallback(observe, [rows, age]);
  }
}

function measuresOf(meter: Meter): { readonly [Name in keyof TelemetryMeasures]: (value: number) => void } {
  const batches = meter.createHistogram(`${PREFIX}.batch.size`, {
    description: 'Gets that went out as one statement.',
    unit: '{get}',
    advice: { explicitBucketBoundaries: SIZES },
  });
  const unwraps = meter.createHistogram(`${PREFIX}.kek.unwrap.duration`, {
    description: 'How long the holder of the root key took to unwrap a tenant key that was not in memory.',
    unit: 's',
    advice: { explicitBucketBoundaries: SECONDS },
  });
  const lookups = (cache: string, what: string): ((value: number) => void) => {
    const counter = meter.createCounter(`${PREFIX}.${cache}.lookups`, {
      description: `${what} that were looked for in memory.`,
      unit: '{lookup}',
    });
    return (value) => counter.add(1, value === 1 ? HIT : MISS);
  };
  return {
    'batch.size': (value) => batches.record(value),
    'kek.unwrap': (value) => unwraps.record(value / 1_000),
    'kek_cache.hit': lookups('kek_cache', 'Tenant keys'),
    'read_cache.hit': lookups('read_cache', 'Secrets'),
  };
}

const HIT: Attributes = Object.freeze({ 'keywright.cache.result': 'hit' });
const MISS: Attributes = Object.freeze({ 'keywright.cache.result': 'miss' });
