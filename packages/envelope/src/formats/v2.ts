import { associatedData, type ContextPairs } from '../context.ts';
import { randomInto } from '../internal/nonces.ts';
import type { KeyEntry } from '../key-entry.ts';
import { COMMITMENT_BYTES, SALT_BYTES } from '../message-key.ts';
import { type PayloadType, PREFIX_PARTS } from '../message-keys.ts';
import { Buffer, timingSafeEqual } from '../runtime/node.ts';
import { SUITES, type Suite, type SuiteId, TAG_BYTES } from '../suites/suite.ts';
import { asBuffer, MAX_PLAINTEXT_BYTES } from './plaintext.ts';

/** commitment[32] ‖ … tag[16]: what `ct` is longer than its plaintext, in every suite. */
export const OVERHEAD_BYTES: number = COMMITMENT_BYTES + TAG_BYTES;

/** No writer makes more, and ciphers take no more than 2 GiB at once. */
export const MAX_BODY_BYTES: number = MAX_PLAINTEXT_BYTES + OVERHEAD_BYTES;

/** The most that {@link ivBytes} is. */
export const MAX_IV_BYTES: number = SALT_BYTES + 24;

/** salt[16] ‖ nonce */
export function ivBytes(suite: SuiteId): number {
  return SALT_BYTES + SUITES[suite].nonceLength;
}

/** A sealed message, not yet laid out: `iv` is a view that the next call overwrites. */
export interface Message {
  readonly iv: Buffer;
  readonly commitment: Buffer;
  readonly ciphertext: Uint8Array;
  readonly tag: Uint8Array;
  readonly tagFirst: boolean;
}

const iv = Buffer.allocUnsafeSlow(MAX_IV_BYTES);
// One view for each length of nonce: making one costs as much as a short message.
const views = new Map(
  [12, 24].map((length) => [
    length,
    { iv: iv.subarray(0, SALT_BYTES + length), nonce: iv.subarray(SALT_BYTES, SALT_BYTES + length) },
  ]),
);
let saltInPlace: Buffer | undefined;

/**
 * Encrypts under the key's current salt.
 *
 * Precondition: from here to the end of the message no code of the caller's runs. The buffers are shared by all messages.
 */
export function sealMessage(
  entry: KeyEntry,
  suite: Suite,
  type: PayloadType,
  context: ContextPairs,
  plaintext: string | Uint8Array,
): Message {
  const layout = SUITES[suite.id];
  const view = views.get(layout.nonceLength) as { iv: Buffer; nonce: Buffer };
  const keys = entry.messageKeys(suite);
  const aad = associatedData(keys.associatedDataPrefix(type), PREFIX_PARTS, context);
  const message = keys.writer(aad);
  if (saltInPlace !== message.salt) {
    saltInPlace = message.salt;
    iv.set(saltInPlace, 0);
  }
  randomInto(view.nonce, 0, view.nonce.length);
  const { ciphertext, tag } = message.key.seal(view.nonce, aad, plaintext);
  return { iv: view.iv, commitment: message.commitment, ciphertext, tag, tagFirst: layout.tag === 'before' };
}

/** Writes commitment ‖ ciphertext ‖ tag, or commitment ‖ tag ‖ ciphertext. */
export function layOut(message: Message, target: Buffer, offset: number): void {
  const { ciphertext, tag, tagFirst } = message;
  target.set(message.commitment, offset);
  target.set(ciphertext, offset + COMMITMENT_BYTES + (tagFirst ? TAG_BYTES : 0));
  target.set(tag, offset + COMMITMENT_BYTES + (tagFirst ? 0 : ciphertext.length));
}

/** Where salt ‖ nonce ‖ body lies, with `body` as {@link layOut} writes it. */
export interface SealedBytes {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

// What a message is opened with, all of it public; shared like the buffers above.
const commitment = Buffer.allocUnsafeSlow(COMMITMENT_BYTES);
const tag = Buffer.allocUnsafeSlow(TAG_BYTES);
const nonces = new Map([12, 24].map((length) => [length, Buffer.allocUnsafeSlow(length)]));

/**
 * Decrypts a sealed message. The commitment is compared first: under a key it does not name, the tag is never looked at.
 * `undefined`, whatever is wrong: the caller throws, so that not even a stack tells the reason.
 */
export function openMessage(
  entry: KeyEntry,
  suite: Suite,
  type: PayloadType,
  context: ContextPairs,
  { bytes, start, end }: SealedBytes,
): Buffer | undefined {
  const layout = SUITES[suite.id];
  const bodyAt = start + SALT_BYTES + layout.nonceLength;
  if (end - bodyAt < OVERHEAD_BYTES || end - bodyAt > MAX_BODY_BYTES) return undefined;
  const keys = entry.messageKeys(suite);
  const aad = associatedData(keys.associatedDataPrefix(type), PREFIX_PARTS, context);
  const message = keys.reader(bytes, aad, start);
  if (!timingSafeEqual(copyOf(bytes, bodyAt, commitment), message.commitment)) return undefined;
  const tagFirst = layout.tag === 'before';
  const ciphertextAt = bodyAt + (tagFirst ? OVERHEAD_BYTES : COMMITMENT_BYTES);
  const plaintext = message.key.open(
    copyOf(bytes, start + SALT_BYTES, nonces.get(layout.nonceLength) as Buffer),
    aad,
    bytes.subarray(ciphertextAt, ciphertextAt + end - bodyAt - OVERHEAD_BYTES),
    copyOf(bytes, tagFirst ? bodyAt + COMMITMENT_BYTES : end - TAG_BYTES, tag),
  );
  if (plaintext === undefined) return undefined;
  keys.remember(message);
  return asBuffer(plaintext);
}

/** Fills `target` from `bytes`. For a few bytes, in less time than a view of them takes to make. */
function copyOf(bytes: Buffer, offset: number, target: Buffer): Buffer {
  for (let index = 0; index < target.length; index++) target[index] = bytes[offset + index] as number;
  return target;
}
