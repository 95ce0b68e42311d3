import { types } from 'node:util';

/** The JSON text of plain data, or why there is none. */
export type PlainJson =
  | { readonly text: string }
  /** What was met that JSON would lose or change. */
  | { readonly refused: string }
  /** It has more bytes than the limit, at least. */
  | { readonly tooLong: true };

class Refused {
  readonly answer: PlainJson;

  constructor(answer: PlainJson) {
    this.answer = answer;
  }
}

/**
 * `JSON.stringify` for what comes back as it was given: plain objects, arrays, strings, finite numbers, booleans and
 * null. It writes many other things as `{}` or `null` without a word: a promise that nobody awaited, a Map, an Error, NaN.
 * Members that are undefined are left out. Stops as soon as the text must exceed `maxBytes`.
 */
export function plainJson(
  value: unknown,
  maxBytes: number,
  accepts: (text: string) => boolean = () => true,
): PlainJson {
  let atLeast = 0;
  function check(this: unknown, key: string, converted: unknown): unknown {
    const holder = this as Record<string, unknown>;
    const original = holder[key];
    const inArray = Array.isArray(holder);
    const problem = problemOf(original, key !== '' && !inArray, accepts) ?? (accepts(key) ? undefined : 'other text');
    if (problem !== undefined) throw new Refused({ refused: problem });
    // a member called toJSON, or a prototype that somebody gave one
    if (original !== converted) throw new Refused({ refused: 'a toJSON method' });
    if (original === undefined) return undefined;
    atLeast += (inArray ? 1 : key.length + 3) + (typeof original === 'string' ? original.length : 1);
    if (atLeast > maxBytes + 4) throw new Refused({ tooLong: true });
    return original;
  }
  try {
    const text = JSON.stringify(value, check);
    return Buffer.byteLength(text) > maxBytes ? { tooLong: true } : { text };
  } catch (error) {
    // A cycle, a getter that throws: the engine's message quotes property names.
    return error instanceof Refused ? error.answer : { refused: 'what JSON cannot represent' };
  }
}

/** An object literal, of this realm or another, or one without a prototype. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) return true;
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf');
}

function problemOf(value: unknown, isMember: boolean, accepts: (text: string) => boolean): string | undefined {
  switch (typeof value) {
    case 'boolean':
      return undefined;
    case 'string':
      return accepts(value) ? undefined : 'other text';
    case 'number':
      return Number.isFinite(value) ? undefined : 'a number that is not finite';
    case 'undefined':
      return isMember ? undefined : 'undefined';
    case 'object':
      if (value === null || Array.isArray(value) || isPlainObject(value)) return undefined;
      return types.isPromise(value) ? 'a promise' : 'an object that is not plain';
    default:
      return `a ${typeof value}`;
  }
}
