import { isKeywrightError } from '@keywright/envelope';
import { configError, type Path } from './path.ts';

/** What JSON can hold. */
export type Plain = string | number | boolean | null | readonly Plain[] | PlainObject;

export interface PlainObject {
  readonly [name: string]: Plain;
}

const MAX_DEPTH = 16;

/**
 * A frozen copy of what JSON can hold, with own members only. A member that is `undefined` is none. Objects that occur
 * in several places are copied for each, so untrusted text gets a small `maxDepth`.
 *
 * @throws KmsError `ERR_KMS_CONFIG` with the path of anything else
 */
export function plainCopy(value: unknown, maxDepth: number = MAX_DEPTH): Plain {
  try {
    return copy(value, [], maxDepth);
  } catch (error) {
    if (isKeywrightError(error)) throw error;
    throw configError([], 'JSON values that can be read', { received: 'an object that throws' });
  }
}

export function isPlainObject(value: unknown): value is PlainObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `make` is given each string that is in `value`, keys apart, and where. */
export async function mapStrings(
  value: Plain,
  make: (text: string, path: Path) => Promise<Plain>,
  path: Path = [],
): Promise<Plain> {
  if (typeof value === 'string') return await make(value, path);
  if (Array.isArray(value)) {
    const items: Plain[] = [];
    for (const [index, item] of value.entries()) items.push(await mapStrings(item, make, [...path, index]));
    return Object.freeze(items);
  }
  if (!isPlainObject(value)) return value;
  const members: [string, Plain][] = [];
  for (const [name, member] of Object.entries(value)) {
    members.push([name, await mapStrings(member, make, [...path, name])]);
  }
  return Object.freeze(Object.fromEntries(members));
}

function copy(value: unknown, path: Path, maxDepth: number): Plain {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (typeof value !== 'object') throw configError(path, 'a JSON value', { received: typeof value });
  if (path.length >= maxDepth) throw configError(path, `at most ${maxDepth} levels`);
  if (Array.isArray(value)) {
    return Object.freeze(Array.from(value, (item, index) => copy(item, [...path, index], maxDepth)));
  }
  if (!isOfObject(value)) throw configError(path, 'a plain object', { received: 'another object' });
  const members: [string, Plain][] = [];
  for (const [name, member] of Object.entries(value)) {
    // Harmless here, and not in the hands of whoever assigns it to another object.
    if (name === '__proto__') throw configError([...path, name], 'no member of this name');
    if (member !== undefined) members.push([name, copy(member, [...path, name], maxDepth)]);
  }
  return Object.freeze(Object.fromEntries(members));
}

/** A Map, a promise or an object that inherits its members would be read as an empty one. */
function isOfObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
