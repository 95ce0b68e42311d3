import type { Random } from './random.ts';

type Fields = readonly (readonly [string, unknown])[];

/** An object that is not what it seems: getters, proxies, inheritance. Its own code may throw while it is read. */
export function disguised(value: unknown, random: Random): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value);
  const refuse = (): never => {
    throw new RangeError('the getter of an input');
  };
  const disguises: readonly (() => unknown)[] = [
    () => Object.create(value),
    () => onto(Object.create(null), fields),
    () => onto(Object.create({ __enc: 2, kid: 'v1' }), fields),
    () => Object.freeze({ ...value }),
    () =>
      onto(
        [],
        fields.filter(([name]) => name !== 'length'),
      ),
    () => onto(new Date(0), fields),
    () => ({ ...value, [Symbol('field')]: 1 }),
    () => Object.defineProperty({ ...value }, 'hidden', { value: 1 }),
    () => withGetter(fields, random.int(5), refuse),
    () => withGetter(fields, random.int(5), changing(random)),
    () => new Proxy(value, {}),
    () => new Proxy(value, { get: refuse }),
    () => new Proxy(value, { ownKeys: refuse }),
    () => new Proxy(value, { getOwnPropertyDescriptor: refuse }),
    () => new Proxy(value, { get: changing(random) }),
    () => new Proxy(value, { has: () => true, ownKeys: () => [] }),
    () => revoked(value),
  ];
  return random.pick(disguises)();
}

/** Defined, not assigned: among the fields is `__proto__`, and what it would bring along. */
function onto(target: object, fields: Fields): object {
  for (const [name, value] of fields) {
    Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return target;
}

function withGetter(fields: Fields, which: number, get: () => unknown): object {
  const target = onto({}, fields);
  const name = fields[which]?.[0] ?? 'ct';
  return Object.defineProperty(target, name, { get, enumerable: true, configurable: true });
}

/** Something else at every look. */
function changing(random: Random): () => unknown {
  return () => random.pick([2, 'v1', '', 'AAAA', null, {}, 'XC20P']);
}

function revoked(value: object): object {
  const { proxy, revoke } = Proxy.revocable(value, {});
  revoke();
  return proxy;
}
