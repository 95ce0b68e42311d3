import { makeSecret, type Secret, type SecretInfo } from '../secret.ts';
import { decodeValue, encodeValue, type SecretType } from '../value.ts';

/** A secret as the cache holds it: nobody else has any of its memory. */
export interface CachedSecret {
  readonly info: SecretInfo;
  readonly version: number;
  /** The encoded value, wiped when the entry is dropped. */
  readonly plaintext: Buffer;
  readonly bytes: number;
  /** Milliseconds since 1970, or null. */
  readonly expiresAt: number | null;
}

/** `undefined` for a value that is too large to keep. */
export function keptSecret(secret: Secret, maxBytes: number): CachedSecret | undefined {
  const { version, type: _type, ...info } = { ...secret } as Secret;
  const plaintext = encoded(secret, maxBytes);
  if (plaintext === undefined) return undefined;
  return {
    info: structuredClone(info) as SecretInfo,
    version,
    plaintext,
    bytes: plaintext.byteLength,
    expiresAt: secret.expiresAt?.getTime() ?? null,
  };
}

/** As a read of the database would give it: what the caller does to it, the cache does not see. */
export function secretOf({ info, version, plaintext }: CachedSecret): Secret {
  const { type, value } = decodeValue(plaintext) as NonNullable<ReturnType<typeof decodeValue>>;
  return makeSecret(structuredClone(info) as SecretInfo, version, type as SecretType, value);
}

function encoded({ value }: Secret, maxBytes: number): Buffer | undefined {
  try {
    return encodeValue(value as never, maxBytes);
  } catch {
    return undefined;
  }
}
