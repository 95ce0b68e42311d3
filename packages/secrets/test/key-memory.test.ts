import type { KeyWrapper } from '@keywright/envelope';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Fixture, openFixture, rejection, wrapperOf } from './support.ts';

const ACTOR = { actor: 'tester' } as const;
const isZeros = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

describeEachEngine("a key wrapper's memory", (engine) => {
  let fixture: Fixture;

  beforeAll(async () => {
    fixture = await openFixture(engine);
  });
  beforeEach(async () => {
    fixture = await fixture.renew();
    await fixture.tenant('acme').save('key', 'x');
  });
  afterAll(async () => {
    await fixture?.close();
  });

  it('may be one answer to several that wait for it', async () => {
    const waiting = new Map<string, Promise<Uint8Array>>();
    const unwrapKey: KeyWrapper['unwrapKey'] = (wrapped, options) => {
      const id = Buffer.from(wrapped.wrapped).toString('hex');
      const answer = waiting.get(id) ?? fixture.root.unwrapKey(wrapped, options);
      waiting.set(id, answer);
      return answer;
    };
    const root = wrapperOf(fixture.root, { unwrapKey });
    const tenants = Array.from({ length: 3 }, () => fixture.reopen(root).tenant('acme', ACTOR));
    const reads = await Promise.all(tenants.map((tenant) => tenant.get('key')));
    expect(reads.map(({ value }) => value)).toEqual(['x', 'x', 'x']);
    await tenants[1]?.save('key', 'y');
    expect((await fixture.tenant('acme').get('key')).value).toBe('y');
  });

  it('that holds zeros for a key is refused before anything is encrypted under it', async () => {
    const zeros = fixture.reopen(wrapperOf(fixture.root, { unwrapKey: async () => new Uint8Array(32) }));
    await rejection(zeros.ready());
    let wiped = false;
    const store = fixture.reopen(
      wrapperOf(fixture.root, {
        unwrapKey: async (wrapped, options) =>
          wiped ? new Uint8Array(32) : await fixture.root.unwrapKey(wrapped, options),
      }),
    );
    await store.ready();
    wiped = true;
    expect(await rejection(store.tenant('acme', ACTOR).save('key', 'y'))).toMatchObject({
      code: 'ERR_SECRETS_INTEGRITY',
    });
    expect(await fixture.knex('secret_versions').where({ tenant_id: 'acme' })).toHaveLength(1);
  });

  it('that is no memory is an error of the wrapper', async () => {
    const root = wrapperOf(fixture.root, { unwrapKey: async () => 'not bytes' as never });
    expect(await rejection(fixture.reopen(root).ready())).toMatchObject({ code: 'ERR_SECRETS_ROOT_UNAVAILABLE' });
  });

  it('of a key to wrap is not wiped while the wrapper may be reading, and is afterwards', async () => {
    const answer = Promise.withResolvers<void>();
    const seen: Uint8Array[] = [];
    let slow = false;
    const wrapKey: KeyWrapper['wrapKey'] = async (key, options) => {
      seen.push(key);
      if (slow) await answer.promise;
      return await fixture.root.wrapKey(key, options);
    };
    const store = fixture.reopen(wrapperOf(fixture.root, { wrapKey }), { rootTimeoutMs: 50 });
    await store.ready();
    slow = true;
    expect(await rejection(store.tenant('late', ACTOR).save('key', 'x'))).toMatchObject({
      code: 'ERR_SECRETS_ROOT_UNAVAILABLE',
    });
    expect(seen).toHaveLength(1);
    expect(seen.some(isZeros)).toBe(false);
    answer.resolve();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(seen.every(isZeros)).toBe(true);
  });
});
