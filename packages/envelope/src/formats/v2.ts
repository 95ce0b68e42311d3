import { timingSafeEqual } from 'node:crypto';
import { associatedData, type ContextPairs } from '../context.ts';
import { randomInto } from '../internal/nonces.ts';
import type { KeyEntry } from '../key-entry.ts';
import { COMMITMENT_BYTES, type MessageKey, SALT_BYTES } from '../message-key.ts';
import { A256GCM } from '../suites/a256gcm.ts';
import type { Sealed } from '../suites/suite.ts';

/** How a plaintext is to be read; authenticated, so bytes can never be opened as JSON. */
export type PayloadType = 'json' | 'text' | 'bytes';

/** salt[16] ‖ nonce[12] */
export const IV_BYTES: number = SALT_BYTES + A256GCM.nonceLength;
/** commitment[32] ‖ … ‖ tag[16]: what a ciphertext is longer than its plaintext. */
export const OVERHEAD_BYTES: number = COMMITMENT_BYTES + A256GCM.tagLength;

/** Parts of the associated data before the context: label, suite, kid, type. */
const PREFIX_PARTS = 4;

/** A sealed message, not yet laid out: `iv` is a view that the next call overwrites. */
export interface Message extends Sealed {
  readonly iv: Buffer;
  readonly commitment: Buffer;
}

const iv = Buffer.allocUnsafeSlow(IV_BYTES);
const nonce = iv.subarray(SALT_BYTES);
let saltInPlace: Buffer | undefined;

/**
 * Encrypts under the key's current salt.
 *
 * Precondition: from here to the end of the message no code of the caller's runs. The buffers are shared by all messages.
 */
export function sealMessage(
  entry: KeyEntry,
  type: PayloadType,
  context: ContextPairs,
  plaintext: string | Uint8Array,
): Message {
  const aad = associatedData(entry.associatedDataPrefix(A256GCM.id, type), PREFIX_PARTS, context);
  const message = entry.writer(A256GCM.id);
  if (saltInPlace !== message.salt) {
    saltInPlace = message.salt;
    iv.set(saltInPlace, 0);
  }
  randomInto(nonce, 0, nonce.length);
  const { ciphertext, tag } = A256GCM.seal(message.key, nonce, aad, plaintext);
  return { iv, commitment: message.commitment, ciphertext, tag };
}

/** Writes commitment ‖ ciphertext ‖ tag. */
export function layOut(message: Message, target: Buffer, offset: number): void {
  target.set(message.commitment, offset);
  target.set(message.ciphertext, offset + COMMITMENT_BYTES);
  target.set(message.tag, offset + COMMITMENT_BYTES + message.ciphertext.length);
}

/**
 * Decrypts `body` (commitment ‖ ciphertext ‖ tag). The commitment is compared first: under a key it does not name, the
 * tag is never looked at. `undefined`, whatever is wrong: the caller throws, so that not even a stack tells the reason.
 */
export function openMessage(
  entry: KeyEntry,
  type: PayloadType,
  context: ContextPairs,
  salted: Buffer,
  body: Buffer,
): Buffer | undefined {
  if (salted.length !== IV_BYTES || body.length < OVERHEAD_BYTES) return undefined;
  const aad = associatedData(entry.associatedDataPrefix(A256GCM.id, type), PREFIX_PARTS, context);
  const message: MessageKey = entry.reader(A256GCM.id, salted, 0);
  const tagAt = body.length - A256GCM.tagLength;
  const plaintext = timingSafeEqual(body.subarray(0, COMMITMENT_BYTES), message.commitment)
    ? A256GCM.open(
        message.key,
        salted.subarray(SALT_BYTES),
        aad,
        body.subarray(COMMITMENT_BYTES, tagAt),
        body.subarray(tagAt),
      )
    : undefined;
  if (plaintext !== undefined) entry.remember(message);
  return plaintext;
}
