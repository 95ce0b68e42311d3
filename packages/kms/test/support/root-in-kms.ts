import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { createKeyring, type KeyWrapper } from '@keywright/envelope';
import { joinKeyWrappers, type KmsProvider, kmsKeyWrapper, type WrappingKeyRef } from '@keywright/kms';
import { createSecretStore, type SecretStore, type SecretStoreOptions } from '@keywright/secrets';
import { type TestEngine, testEngines } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';

/** A KMS that is to hold the root key of a secret store. */
export interface RootBackend {
  readonly provider: KmsProvider;
  /** Two wrapping keys of it. */
  readonly keys: readonly [WrappingKeyRef, WrappingKeyRef];
  /** A provider of the same type where nobody answers; closed by the tests. */
  unreachable(): KmsProvider;
  /** Takes the first key out of use, or the right to it, by other means than the provider; and gives it back. */
  forbid(): Promise<() => Promise<void>>;
  /** Texts that may not show. */
  readonly secrets?: readonly string[];
  dispose(): Promise<void>;
}

export interface RootHarness {
  /**
   * Whether keys that are made at random are wrapped too. A backend that is replayed knows those of its recording only:
   * the tenant keys of the frozen database are always the same.
   * @default true
   */
  readonly newTenants?: boolean;
  readonly engines?: readonly TestEngine['name'][];
  start(): Promise<RootBackend>;
}

interface Frozen {
  readonly keys: Readonly<Record<string, string>>;
  readonly activeKid: string;
}

const FIXTURES = new URL('../../../secrets/test/fixtures/', import.meta.url);
const frozen = JSON.parse(fixture('001-initial.json')) as Frozen;
const ACTOR = { actor: 'tester' } as const;
const ROOT_TIMEOUT_MS = 10_000;
const TTL_MS = 60_000;

/** Values of the frozen database, one for each of its tenants. */
const KNOWN = [
  ['acme', 'stripe', 'sk_test_2'],
  ['globex ünïcode', 'stripe', 'sk_globex'],
  ['initech', 'late', 'under v2'],
] as const;

/**
 * Registers what must hold when a KMS has the root key of a secret store. Every test begins with a database that a store
 * under a local keyring has left, and moves it into the KMS where it needs it there.
 */
export function rootInKmsTests(name: string, harness: RootHarness): void {
  const { newTenants = true, engines: names = ['sqlite'] } = harness;
  const engines = testEngines().filter((engine) => names.includes(engine.name));
  describe.each(engines)(`root key in ${name}, store on $name`, (engine) => {
    let backend: RootBackend;
    beforeAll(async () => {
      backend = await harness.start();
    });
    afterAll(async () => {
      await backend?.dispose();
    });
    const open = (): Promise<Place> => openPlace(engine, backend);

    it('moves from a local keyring into the KMS, which then is all that reading takes', async () => {
      const place = await open();
      const before = await place.tenantKeys();
      const keyring = createKeyring(frozen);
      const root = joinKeyWrappers({
        holders: { v1: keyring, v2: keyring, first: place.first },
        activeKid: 'first',
      });
      const rotation = await place.store(root).rotateRoot(ACTOR);
      expect(rotation).toMatchObject({ kid: 'first', retired: ['v2'] });
      expect(rotation.rewrapped).toBeGreaterThanOrEqual(KNOWN.length);
      const after = await place.tenantKeys();
      expect(after.map(({ root_kid }) => root_kid)).toEqual(after.map(() => 'first'));
      for (const [index, { wrapped }] of after.entries()) expect(wrapped).not.toEqual(before[index]?.wrapped);
      expect(await place.knex('secret_root_keys').where({ kid: 'first' }).first('provider')).toEqual({
        provider: backend.provider.type,
      });
      // Another process, which has never held another key.
      await expectKnown(place.store(place.first));
      const tenant = place.store(place.first).tenant('acme', ACTOR);
      expect(await tenant.save('stripe', 'sk_test_3')).toMatchObject({ version: 3 });
      expect((await tenant.get('stripe')).value).toBe('sk_test_3');
    });

    it('asks the KMS once for each tenant, and for nothing while its key is in memory', async () => {
      const place = await open();
      await place.moveIntoKms();
      const store = place.store(place.first);
      await store.ready();
      const ready = place.calls();
      for (let round = 0; round < 3; round++) await expectKnown(store);
      expect(place.calls() - ready).toBe(KNOWN.length);
      const restarted = place.store(place.first);
      await restarted.ready();
      const cold = place.calls();
      await restarted.tenant('acme', ACTOR).get('stripe');
      await restarted.tenant('acme', ACTOR).get('tls key');
      await restarted.tenant('acme', ACTOR).save('stripe', 'again');
      expect(place.calls() - cold).toBe(1);
    });

    it('moves from one key of the KMS to another, and no longer needs the first', async () => {
      const place = await open();
      await place.moveIntoKms();
      const both = place.wrapper({ first: 0, second: 1 }, 'second');
      expect(await place.store(both).rotateRoot(ACTOR)).toMatchObject({ kid: 'second', retired: ['first'] });
      await expectKnown(place.store(place.wrapper({ second: 1 }, 'second')));
      // What was retired is not looked at again, so it may leave the KMS.
      await expectKnown(place.store(place.wrapper({ first: 1, second: 1 }, 'second')));
      await expectRefusal(place.store(place.first).ready(), { code: 'ERR_SECRETS_ROOT_KEY_MISSING' });
    });

    it('refuses another key under a known id at start-up, before anything is read or written', async () => {
      const place = await open();
      await place.moveIntoKms();
      const wrong = place.store(place.wrapper({ first: 1 }, 'first'));
      const rows = await place.contents();
      const refusal = { code: 'ERR_SECRETS_ROOT_KEY_WRONG', context: { kid: 'first' } };
      await expectRefusal(wrong.ready(), refusal);
      await expectRefusal(wrong.tenant('acme', ACTOR).get('stripe'), refusal);
      await expectRefusal(wrong.tenant('acme', ACTOR).save('stripe', 'x'), refusal);
      await expectRefusal(wrong.rotateRoot(ACTOR), refusal);
      expect(await place.contents()).toEqual(rows);
    });

    it('says in time that the KMS is away, by a code, and keeps nothing of the call', async () => {
      const place = await open();
      await place.moveIntoKms();
      const provider = backend.unreachable();
      onTestFinished(() => provider.close());
      const down = kmsKeyWrapper({ provider, keys: { first: backend.keys[0] }, activeKid: 'first', timeoutMs: 300 });
      const rows = await place.contents();
      const start = performance.now();
      let root = place.first;
      const [cold, warm] = [place.store(down), place.store(switching(place.first, () => root))];
      expect((await warm.tenant('acme', ACTOR).get('stripe')).value).toBe('sk_test_2');
      root = down;
      await Promise.all(
        [
          cold.ready(),
          cold.tenant('acme', ACTOR).get('stripe'),
          cold.tenant('acme', ACTOR).save('stripe', 'lost'),
          warm.tenant('initech', ACTOR).get('late'),
          warm.tenant('nobody yet', ACTOR).save('key', 'lost'),
        ].map(async (call) => {
          const error = await expectRefusal(call, { code: 'ERR_SECRETS_ROOT_UNAVAILABLE' });
          for (const secret of backend.secrets ?? []) expect(shown(error)).not.toContain(secret);
        }),
      );
      expect((await warm.tenant('acme', ACTOR).get('stripe')).value).toBe('sk_test_2');
      expect(performance.now() - start).toBeLessThan(ROOT_TIMEOUT_MS);
      expect(await place.contents()).toEqual(rows);
      await expectKnown(place.store(place.first));
    });

    it('asks the KMS again when the time of a key in memory is up: a key that was taken away reads nothing then', async () => {
      const place = await open();
      await place.moveIntoKms();
      const store = place.store(place.first, { cachedKeyTtlMs: TTL_MS });
      const tenant = store.tenant('acme', ACTOR);
      await store.ready();
      expect((await tenant.get('stripe')).value).toBe('sk_test_2');
      const giveBack = await backend.forbid();
      expect((await tenant.get('stripe')).value).toBe('sk_test_2');
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + TTL_MS });
      onTestFinished(() => void vi.useRealTimers());
      await expectRefusal(tenant.get('stripe'), { code: 'ERR_SECRETS_ROOT_UNAVAILABLE' });
      await expectRefusal(place.store(place.first).ready(), { code: 'ERR_SECRETS_ROOT_UNAVAILABLE' });
      await giveBack();
      expect((await tenant.get('stripe')).value).toBe('sk_test_2');
    });

    if (newTenants) {
      it('makes keys for new tenants under the key of the KMS, which a restarted process reads', async () => {
        const place = await open();
        await place.moveIntoKms();
        const store = place.store(place.first);
        await Promise.all(
          Array.from({ length: 10 }, (_, index) => store.tenant(`new ${index}`, ACTOR).save('key', `value ${index}`)),
        );
        const restarted = place.store(place.first);
        for (let index = 0; index < 10; index++) {
          expect((await restarted.tenant(`new ${index}`, ACTOR).get('key')).value).toBe(`value ${index}`);
        }
        expect(await place.knex('secret_tenant_keys').whereNot({ root_kid: 'first' })).toEqual([]);
      });
    }
  });
}

interface Place {
  readonly knex: Knex;
  /** The first key of the KMS. */
  readonly first: KeyWrapper;
  /** kid → which of the two keys. */
  wrapper(keys: Readonly<Record<string, 0 | 1>>, activeKid: string): KeyWrapper;
  store(root: KeyWrapper, options?: Partial<SecretStoreOptions>): SecretStore;
  moveIntoKms(): Promise<void>;
  /** Calls that wrapped or unwrapped so far. */
  calls(): number;
  tenantKeys(): Promise<readonly { readonly root_kid: string; readonly wrapped: Buffer }[]>;
  /** All that is stored, but for the log. */
  contents(): Promise<unknown>;
}

async function openPlace(engine: TestEngine, { provider, keys }: RootBackend): Promise<Place> {
  const database = await engine.createDatabase();
  const knex = createKnex(database.knexConfig);
  const stores: SecretStore[] = [];
  onTestFinished(async () => {
    for (const store of stores) await store.close();
    await knex.destroy();
    await database.drop();
  });
  await run(knex, fixture(`001-initial.${engine.dialect}.sql`));
  let calls = 0;
  const counting = (root: KeyWrapper): KeyWrapper => ({
    provider: root.provider,
    activeKid: root.activeKid,
    wrapKey: (key, options) => counted(root.wrapKey(key, options)),
    unwrapKey: (wrapped, options) => counted(root.unwrapKey(wrapped, options)),
    checkValue: (kid) => counted(root.checkValue(kid)),
    verifyCheckValue: (kid, value) => counted(root.verifyCheckValue(kid, value)),
  });
  const counted = <T>(call: Promise<T>): Promise<T> => {
    calls++;
    return call;
  };
  const store = (root: KeyWrapper, options: Partial<SecretStoreOptions> = {}): SecretStore => {
    const opened = createSecretStore({ knex, root, rootTimeoutMs: ROOT_TIMEOUT_MS, ...options });
    stores.push(opened);
    return opened;
  };
  const wrapper = (kids: Readonly<Record<string, 0 | 1>>, activeKid: string): KeyWrapper => {
    const named = Object.fromEntries(Object.entries(kids).map(([kid, index]) => [kid, keys[index]]));
    return counting(kmsKeyWrapper({ provider, keys: named, activeKid }));
  };
  const keyring = createKeyring(frozen);
  await store(keyring).migrate();
  const first = wrapper({ first: 0 }, 'first');
  const tenantKeys = async () =>
    await knex('secret_tenant_keys').orderBy(['tenant_id', 'kek_id']).select('root_kid', 'wrapped');
  return {
    knex,
    first,
    wrapper,
    store,
    async moveIntoKms() {
      const holders = { v1: keyring, v2: keyring, first };
      await store(joinKeyWrappers({ holders, activeKid: 'first' })).rotateRoot(ACTOR);
    },
    calls: () => calls,
    tenantKeys,
    async contents() {
      const versions = await knex('secret_versions').orderBy(['tenant_id', 'secret_id', 'version']);
      return { versions, keys: await tenantKeys(), roots: await knex('secret_root_keys').orderBy('kid') };
    },
  };
}

/** A wrapper that is this one or that, as it is just now. */
function switching({ provider, activeKid }: KeyWrapper, now: () => KeyWrapper): KeyWrapper {
  return {
    provider,
    activeKid,
    wrapKey: (key, options) => now().wrapKey(key, options),
    unwrapKey: (wrapped, options) => now().unwrapKey(wrapped, options),
    checkValue: (kid) => now().checkValue(kid),
    verifyCheckValue: (kid, value) => now().verifyCheckValue(kid, value),
  };
}

async function expectKnown(store: SecretStore): Promise<void> {
  for (const [tenant, name, value] of KNOWN) expect((await store.tenant(tenant, ACTOR).get(name)).value).toBe(value);
}

async function expectRefusal(call: Promise<unknown>, wanted: object): Promise<Error> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({ name: 'SecretsError', ...wanted });
  return error as Error;
}

function shown(error: Error): string {
  return inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(error) + error.stack;
}

function fixture(name: string): string {
  return readFileSync(fileURLToPath(new URL(name, FIXTURES)), 'utf8');
}

/** Runs SQL with many statements. */
async function run(knex: Knex, sql: string): Promise<void> {
  const client = knex.client as {
    acquireConnection(): Promise<{ exec?(sql: string): void; query?(sql: string): Promise<unknown> }>;
    releaseConnection(connection: unknown): Promise<void>;
  };
  const connection = await client.acquireConnection();
  try {
    if (connection.exec !== undefined) connection.exec(sql);
    else await connection.query?.(sql);
  } finally {
    await client.releaseConnection(connection);
  }
}
