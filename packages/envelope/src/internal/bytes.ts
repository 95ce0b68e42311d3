import { isUint8Array } from '../runtime/node.ts';

/**
 * Whether `value` is a Uint8Array (a Buffer too) whose memory is there. `instanceof` would take a proxy or an object
 * made on its prototype, and refuse arrays of another realm; a detached one would pass for empty.
 */
export function isBytes(value: unknown): value is Uint8Array {
  return isUint8Array(value) && !(value.buffer as ArrayBuffer).detached;
}
