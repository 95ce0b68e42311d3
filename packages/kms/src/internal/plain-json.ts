/** JSON as it was parsed. */
export type PlainObject = Readonly<Record<string, unknown>>;

class Refused {
  readonly received: string;

  constructor(received: string) {
    this.received = received;
  }
}

/**
 * A copy of a plain object that JSON keeps as it is, without members that are undefined; or what was met that JSON would
 * lose or change without a word: a Map, a Date, a promise, NaN, a lone surrogate, a cycle.
 */
export function plainCopy(value: object, maxLength: number): { readonly copy: PlainObject } | { refused: string } {
  let length = 0;
  function check(this: unknown, key: string, converted: unknown): unknown {
    const original = (this as Record<string, unknown>)[key];
    // A toJSON method has said something else.
    if (original !== converted) throw new Refused('a toJSON method');
    if (!key.isWellFormed()) throw new Refused('text that is not well-formed');
    const problem = original === undefined && !Array.isArray(this) ? undefined : problemOf(original);
    if (problem !== undefined) throw new Refused(problem);
    length += key.length + (typeof original === 'string' ? original.length : 1);
    if (length > maxLength) throw new Refused(`more than ${maxLength} characters`);
    return original;
  }
  try {
    const text = JSON.stringify(value, check);
    return { copy: JSON.parse(text) as PlainObject };
  } catch (error) {
    // The engine's message quotes names of members.
    return { refused: error instanceof Refused ? error.received : 'what JSON cannot represent' };
  }
}

/** An object literal of any realm, or an object without a prototype. */
export function isPlainObject(value: unknown): value is PlainObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) return true;
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf');
}

function problemOf(value: unknown): string | undefined {
  if (value === null || typeof value === 'boolean' || Array.isArray(value) || isPlainObject(value)) return undefined;
  if (typeof value === 'string') return value.isWellFormed() ? undefined : 'text that is not well-formed';
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : 'a number that is not finite';
  return typeof value === 'object' ? 'an object that is not plain' : `a value of type ${typeof value}`;
}
