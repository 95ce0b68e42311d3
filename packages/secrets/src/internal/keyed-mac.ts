import type { KeyedMac } from '@keywright/envelope';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const KID_BYTES = 16;
const MAC_BYTES = 32;

/** Column form of a MAC: the tenant key's id as 16 bytes, then the HMAC-SHA-256. */
export function packMac({ kid, mac }: KeyedMac): Buffer {
  return Buffer.concat([kidBytes(kid), mac], KID_BYTES + MAC_BYTES);
}

/** What a packed MAC under this key begins with. */
export function kidBytes(kid: string): Buffer {
  if (!UUID.test(kid)) throw new TypeError('A tenant key id must be a UUID.');
  return Buffer.from(kid.replaceAll('-', ''), 'hex');
}

/** `undefined` for bytes that are no packed MAC. */
export function unpackMac(bytes: Uint8Array): KeyedMac | undefined {
  if (bytes.byteLength !== KID_BYTES + MAC_BYTES) return undefined;
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, KID_BYTES).toString('hex');
  const kid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  return { kid, mac: bytes.subarray(KID_BYTES) };
}
