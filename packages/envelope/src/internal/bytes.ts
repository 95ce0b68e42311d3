import { Buffer, isSharedMemory, isUint8Array } from '../runtime/node.ts';

/**
 * Whether `value` is a Uint8Array (a Buffer too) whose memory is there. `instanceof` would take a proxy or an object
 * made on its prototype, and refuse arrays of another realm; one whose memory was detached, or shrunk under it, would
 * pass for empty.
 */
export function isBytes(value: unknown): value is Uint8Array {
  return isUint8Array(value) && (value.byteLength > 0 || isInBounds(value));
}

/** The bytes as a Buffer. What another thread could change after it was looked at is copied first. */
export function steady(bytes: Uint8Array): Buffer {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!isSharedMemory(bytes.buffer)) return view;
  const copy = Buffer.allocUnsafeSlow(view.length);
  copy.set(view);
  return copy;
}

function isInBounds(empty: Uint8Array): boolean {
  try {
    // Every method throws where the memory is gone, and no property tells.
    Uint8Array.prototype.at.call(empty, 0);
    return true;
  } catch {
    return false;
  }
}
