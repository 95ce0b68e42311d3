import { AsyncLocalStorage } from 'node:async_hooks';
import { inspect } from 'node:util';
import { createSecretStore, type SecretStore, type SecretStoreOptions } from '@keywright/secrets';
import { type OpenTelemetryOptions, openTelemetry } from '@keywright/secrets/opentelemetry';
import { describeEachEngine } from '@keywright/testkit/engines';
import { type Context, type ContextManager, context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { queriesOf } from '../changes/support.ts';
import { type Fixture, openFixture, rejection, wrapperOf } from '../support.ts';

const CANARY = 'canary-value-7f3a';

/** The SDK's real providers, and what they exported. */
function observatory() {
  const spans = new InMemorySpanExporter();
  const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 3_600_000 });
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
  const meterProvider = new MeterProvider({ readers: [reader] });
  return {
    providers: { tracerProvider, meterProvider },
    spans: (): readonly ReadableSpan[] => spans.getFinishedSpans(),
    /** By name of the metric: its data points. */
    points: async (): Promise<
      ReadonlyMap<string, readonly { value: unknown; attributes: Record<string, unknown> }[]>
    > => {
      await reader.forceFlush();
      const scopes = metrics.getMetrics().at(-1)?.scopeMetrics ?? [];
      return new Map(
        scopes.flatMap((scope) =>
          scope.metrics.map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints as never]),
        ),
      );
    },
    shutdown: async (): Promise<void> => {
      await tracerProvider.shutdown();
      await meterProvider.shutdown();
    },
  };
}

type Observatory = ReturnType<typeof observatory>;

describeEachEngine('OpenTelemetry', (engine) => {
  let fixture: Fixture;
  let watched: Observatory;
  const stores: SecretStore[] = [];

  beforeAll(async () => {
    fixture = await openFixture(engine);
    await fixture.tenant('tenant-id-canary').save('name-canary', CANARY);
  });
  afterAll(async () => await fixture?.close());
  beforeEach(() => {
    watched = observatory();
    return async () => {
      await Promise.all(stores.splice(0).map((store) => store.close()));
      await watched.shutdown();
    };
  });

  function open(options: OpenTelemetryOptions = {}, more: Partial<SecretStoreOptions> = {}): SecretStore {
    const telemetry = openTelemetry({ ...watched.providers, ...options });
    const store = createSecretStore({ knex: fixture.knex, root: fixture.root, telemetry, ...more });
    stores.push(store);
    return store;
  }

  const actor = { actor: 'actor-canary', request: { ip: 'address-canary' } };

  it('makes a span per operation, with its outcome', async () => {
    const tenant = open().tenant('tenant-id-canary', actor);
    await tenant.save('name-canary', CANARY);
    await tenant.get('name-canary');
    await rejection(tenant.get('nothing'));
    const spans = watched.spans().map(({ name, attributes, status }) => ({ name, attributes, status: status.code }));
    const attributes = {
      'db.system.name': engine.dialect === 'sqlite' ? 'sqlite' : 'postgresql',
    };
    expect(spans).toEqual([
      { name: 'keywright.secrets.save', attributes: { ...attributes, 'keywright.operation': 'save' }, status: 0 },
      { name: 'keywright.secrets.get', attributes: { ...attributes, 'keywright.operation': 'get' }, status: 0 },
      {
        name: 'keywright.secrets.get',
        attributes: {
          ...attributes,
          'keywright.operation': 'get',
          'error.type': 'ERR_SECRETS_NOT_FOUND',
          'keywright.error.retryable': false,
        },
        status: 2,
      },
    ]);
  });

  it('spans the work of each method, and of the keys', async () => {
    const store = open();
    const tenant = store.tenant('all', actor);
    await tenant.save('a', { x: 1 });
    await tenant.update('a', { metadata: { y: 1 } });
    await tenant.merge('a', { x: 2 });
    await tenant.list();
    await tenant.exists('a');
    await tenant.getMany(['a']);
    await tenant.delete('a');
    await store.rotateTenant('all', { actor: 'x' });
    const names = watched.spans().map(({ name }) => name.replace('keywright.secrets.', ''));
    expect(names).toEqual(['save', 'update', 'merge', 'list', 'exists', 'get', 'delete', 'tenant.rotate']);
  });

  it('is the parent of what happens inside an operation', async () => {
    context.setGlobalContextManager(new Contexts());
    try {
      const inner: (string | undefined)[] = [];
      const root = wrapperOf(fixture.root, {
        unwrapKey: (wrapped, options) => {
          inner.push(trace.getActiveSpan()?.spanContext().spanId);
          return fixture.root.unwrapKey(wrapped, options);
        },
      });
      const store = open({}, { root });
      await store.ready();
      inner.length = 0;
      await watched.providers.tracerProvider.getTracer('host').startActiveSpan('request', async (request) => {
        await store.tenant('tenant-id-canary', actor).get('name-canary');
        request.end();
      });
      const [get, request] = watched.spans();
      expect(inner).toEqual([get?.spanContext().spanId]);
      expect(get?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId);
    } finally {
      context.disable();
    }
  });

  it('counts durations, errors and caches', async () => {
    const store = open({}, { changeFeed: true, readCache: { maxSecrets: 10, maxAgeMs: 60_000, pollMs: 10 } });
    const tenant = store.tenant('tenant-id-canary', actor);
    await tenant.get('name-canary');
    await new Promise((resolve) => setTimeout(resolve, 100));
    for (let count = 0; count < 3; count++) await tenant.get('name-canary');
    await rejection(tenant.get('nothing'));
    const points = await watched.points();
    const durations = points.get('keywright.secrets.operation.duration') ?? [];
    expect(
      durations.map(({ attributes, value }) => [attributes['error.type'], (value as { count: number }).count]),
    ).toEqual([
      [undefined, 4],
      ['ERR_SECRETS_NOT_FOUND', 1],
    ]);
    const took = Number((durations[0]?.value as { sum: number } | undefined)?.sum);
    expect(took).toBeGreaterThan(0);
    expect(took).toBeLessThan(10); // seconds
    expect(points.get('keywright.secrets.errors')).toMatchObject([
      { value: 1, attributes: { 'error.type': 'ERR_SECRETS_NOT_FOUND' } },
    ]);
    const results = (name: string): unknown =>
      Object.fromEntries(
        (points.get(name) ?? []).map(({ attributes, value }) => [attributes['keywright.cache.result'], value]),
      );
    expect(results('keywright.secrets.read_cache.lookups')).toEqual({ hit: 2, miss: 3 });
    expect(results('keywright.secrets.kek_cache.lookups')).toMatchObject({ hit: expect.any(Number), miss: 2 });
    // the store's own key and the tenant's
    expect(points.get('keywright.secrets.kek.unwrap.duration')).toMatchObject([{ value: { count: 2 } }]);
  });

  it('counts the gets of a batch where there are batches', async () => {
    const tenant = open().tenant('tenant-id-canary', actor);
    await tenant.get('name-canary');
    await Promise.all(Array.from({ length: 10 }, () => tenant.get('name-canary')));
    const points = await watched.points();
    const sizes = points.get('keywright.secrets.batch.size')?.[0]?.value as { sum: number; count: number } | undefined;
    if (engine.dialect === 'sqlite') expect(sizes).toBeUndefined();
    else expect(sizes).toMatchObject({ sum: 11, count: 2 });
  });

  it('tells how many audit rows wait to be sealed, and for how long', async () => {
    const store = open();
    await store.ready();
    const [{ count }] = (await fixture.knex('secret_audit_log').whereNull('leaf_index').count({ count: '*' })) as [
      { count: unknown },
    ];
    const points = await watched.points();
    expect(points.get('keywright.secrets.audit.unsealed')).toMatchObject([{ value: Number(count) }]);
    const age = points.get('keywright.secrets.audit.unsealed.age')?.[0]?.value as number;
    expect(age).toBeGreaterThan(0);
    expect(age).toBeLessThan(600);
    await store.close();
    const queries = queriesOf(fixture.knex);
    await watched.points();
    expect(queries).toEqual([]);
  });

  it('shows no value, name, tenant, actor or request unless it is asked to, and never a value', async () => {
    const use = async (options: OpenTelemetryOptions): Promise<string> => {
      watched = observatory();
      const tenant = open(options).tenant('tenant-id-canary', actor);
      await tenant.save('name-canary', CANARY, { metadata: { note: 'metadata-canary' } });
      await tenant.get('name-canary');
      await rejection(tenant.get('name-canary', { version: 99 }));
      await rejection(tenant.save('name-canary', CANARY, { ifAbsent: true }));
      const spans = watched
        .spans()
        .map(({ name, attributes, events, status }) => ({ name, attributes, events, status }));
      return inspect([spans, [...(await watched.points())]], { depth: null });
    };
    const nothing = await use({});
    expect(nothing).toContain('keywright.secrets.get');
    expect(nothing).not.toContain('canary');
    const everything = await use({ names: true, tenants: true });
    expect(everything).toContain("'keywright.secret.name': 'name-canary'");
    expect(everything).toContain("'keywright.tenant.id': 'tenant-id-canary'");
    expect(everything.replaceAll(/(?:name|tenant-id)-canary/g, '')).not.toContain('canary');
  });

  describe('that fails', () => {
    it('fails no operation, and runs each once', async () => {
      const broken = (): never => {
        throw new Error('broken');
      };
      for (const telemetry of [
        { begin: broken, measure: broken, observe: broken },
        { begin: () => ({ run: broken, end: broken }), measure: broken, observe: () => broken },
        { begin: () => ({ run: () => new Promise(() => {}), end: broken }), measure: broken, observe: () => 7 },
        { begin: () => ({ run: () => Promise.reject(broken), end: broken }), measure: broken, observe: broken },
      ]) {
        const store = createSecretStore({ knex: fixture.knex, root: fixture.root, telemetry: telemetry as never });
        stores.push(store);
        const tenant = store.tenant('broken', actor);
        const before = await tenant.save('a', 'x').then(({ version }) => version);
        expect((await tenant.save('a', 'y')).version).toBe(before + 1);
        expect((await rejection(tenant.get('nothing'))).code).toBe('ERR_SECRETS_NOT_FOUND');
        await store.close();
      }
    });

    it.each([null, 7, {}, { begin: () => undefined }])('and is none is refused: %j', (telemetry) => {
      const options = { knex: fixture.knex, root: fixture.root, telemetry: telemetry as never };
      expect(() => createSecretStore(options)).toThrow(
        expect.objectContaining({
          code: 'ERR_SECRETS_INVALID_ARGUMENT',
          context: expect.objectContaining({ argument: 'telemetry' }),
        }),
      );
    });
  });
});

/** As the SDK for Node has one. */
class Contexts implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    active: Context,
    work: F,
    self?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return this.#storage.run(active, () => work.call(self as never, ...args));
  }

  bind<T>(_context: Context, target: T): T {
    return target;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    this.#storage.disable();
    return this;
  }
}
