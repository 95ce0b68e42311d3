import type { KeyedMac } from '@keywright/envelope';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const KID_BYTES = 16;
const MAC_BYTES = 32;

/** Column form of a MAC: the tenant key's id as 16 bytes, then the HMAC-SHA-256. */
export function packMac({ kid, mac }: KeyedMac): Buffer {
  if (!UUID.test(kid)) throw new TypeError('A tenant key id must be a UUID.');
  return Buffer.concat([Buffer.from(kid.replaceAll('-', ''), 'hex'), mac], KID_BYTES + MAC_BYTES);
}

/** `undefined` for bytes that are no packed MAC. */
export function unpackMac(bytes: Uint8Array): KeyedMac | undefined {
  if (bytes.byteLength !== KID_BYTES + MAC_BYTES) return undefined;
  const hex = Buffer.from(bytes.subarray(0, KID_BYTES)).toString('hex');
  const kid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  return { kid, mac: bytes.subarray(KID_BYTES) };
}
