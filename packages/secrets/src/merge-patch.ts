import type { Metadata } from './arguments.ts';

/** RFC 7396: members of `patch` replace those of `target`, null removes one, objects merge. Neither is changed. */
export function mergePatch(target: Metadata, patch: Metadata): Metadata {
  const merged = new Map(Object.entries(target));
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name);
    else if (isObject(value)) merged.set(name, mergePatch(asObject(merged.get(name)), value));
    else merged.set(name, value);
  }
  return Object.fromEntries(merged);
}

function isObject(value: unknown): value is Metadata {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asObject(value: unknown): Metadata {
  return isObject(value) ? value : {};
}
