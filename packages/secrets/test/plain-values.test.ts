import { createSecretKey } from 'node:crypto';
import { runInNewContext } from 'node:vm';
import type { TenantSecrets } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Fixture, openFixture, rejection } from './support.ts';

class Credentials {
  readonly apiKey = 'k';
}

const detached = new Uint8Array(8);
structuredClone(detached, { transfer: [detached.buffer] });

const hostile = {
  get password(): string {
    throw new Error('no');
  },
};
const hostileProxy = new Proxy(
  {},
  {
    ownKeys: () => {
      throw new Error('no');
    },
  },
);

/** What JSON would store as something else without a word. */
const LOST: readonly (readonly [string, unknown])[] = [
  ['a promise', Promise.resolve('sk_test_1')],
  ['a Map', new Map([['a', 1]])],
  ['a Set', new Set([1])],
  ['an ArrayBuffer', new ArrayBuffer(8)],
  ['a DataView', new DataView(new ArrayBuffer(8))],
  ['a KeyObject', createSecretKey(Buffer.alloc(32))],
  ['an Error', new Error('x')],
  ['a Date', new Date(0)],
  ['an instance of a class', new Credentials()],
  ['a boxed string', Object('x')],
  ['NaN', Number.NaN],
  ['infinity', Number.POSITIVE_INFINITY],
  ['a symbol', Symbol('x')],
  ['an object with toJSON', { toJSON: () => 'x' }],
  ['a getter that throws', hostile],
  ['a proxy that throws', hostileProxy],
];

describeEachEngine('a value', (engine) => {
  let fixture: Fixture;
  let tenant: TenantSecrets;

  beforeAll(async () => {
    fixture = await openFixture(engine);
    tenant = fixture.tenant('acme');
    await tenant.save('key', 'x');
  });
  afterAll(async () => {
    await fixture?.close();
  });

  it.each(LOST)('that is %s is refused, at the top and inside', async (_what, value) => {
    for (const whole of [value, { a: [value] }, { a: { b: value } }]) {
      for (const attempt of [
        () => tenant.save('new', whole as never),
        () => tenant.update('key', { value: whole as never }),
        () => tenant.save('new', 'x', { metadata: whole as never }),
        () => tenant.update('key', { metadata: whole as never }),
      ]) {
        expect(await rejection(attempt())).toMatchObject({
          code: 'ERR_SECRETS_INVALID_ARGUMENT',
          name: 'SecretsError',
        });
      }
    }
    expect(await tenant.exists('new')).toBe(false);
    expect(await tenant.get('key')).toMatchObject({ value: 'x', version: 1, metadata: {} });
  });

  it('that is bytes without memory, or an array with holes, is refused', async () => {
    for (const value of [detached, [undefined], Array(2)] as never[]) {
      expect(await rejection(tenant.save('new', value))).toMatchObject({ code: 'ERR_SECRETS_INVALID_ARGUMENT' });
    }
  });

  it('of another realm is what it is', async () => {
    await tenant.save('realm', runInNewContext('new Uint8Array([1, 2])') as never);
    expect((await tenant.get('realm')).value).toEqual(new Uint8Array([1, 2]));
    await tenant.save('realm', runInNewContext('({ a: [1, { b: null }] })') as never);
    expect((await tenant.get('realm')).value).toEqual({ a: [1, { b: null }] });
  });

  it('may leave members undefined and have no prototype', async () => {
    await tenant.save('plain', Object.assign(Object.create(null), { a: 1, b: undefined }));
    expect((await tenant.get('plain')).value).toEqual({ a: 1 });
  });

  it('far over the limit is refused without being written out', async () => {
    const part = 'x'.repeat(1_000_000);
    expect(await rejection(tenant.save('new', Array(2_000).fill(part)))).toMatchObject({
      code: 'ERR_SECRETS_VALUE_TOO_LARGE',
    });
  });

  it('of exactly the limit as JSON is taken, one byte more is not', async () => {
    const store = fixture.reopen(fixture.root, { maxValueBytes: 20 });
    const small = store.tenant('small', { actor: 'x' });
    const exact = { abcd: '123456789' }; // 20 bytes
    await small.save('key', exact);
    expect((await small.get('key')).value).toEqual(exact);
    expect(await rejection(small.save('key', { abcd: '1234567890' }))).toMatchObject({
      code: 'ERR_SECRETS_VALUE_TOO_LARGE',
    });
  });
});
