import QuickLRU from 'quick-lru';
import { pae } from './internal/pae.ts';
import { deriveMessageKey, type MessageKey, randomSalt, SALT_BYTES } from './message-key.ts';
import { type SecretKey, sha512 } from './runtime/node.ts';
import { SUITES, type Suite } from './suites/suite.ts';

/** Salts a reader remembers per key. A writer makes one an hour, so this spans a fleet. */
const READER_CACHE = 1024; // quick-lru keeps up to twice as many
/** In front of what version 2 derives and authenticates. */
export const LABEL = 'keywright/2';

/** How a plaintext is to be read; authenticated, so bytes can never be opened as JSON. */
export type PayloadType = 'json' | 'text' | 'bytes';

/** Parts of the associated data before the context: label, suite, kid, type. */
export const PREFIX_PARTS = 4;

/** The message keys that one key has in one suite: the one this process writes with, and those it has read. */
export class MessageKeys {
  readonly suite: Suite;
  readonly #kid: string;
  readonly #secret: SecretKey;
  readonly #bindsInKey: boolean;
  #writer: MessageKey | undefined;
  #readers: QuickLRU<string, MessageKey> | undefined;
  /** One of {@link #readers}. */
  #last: MessageKey | undefined;
  readonly #prefixes: Readonly<Record<PayloadType, Uint8Array>>;

  constructor(suite: Suite, kid: string, secret: SecretKey) {
    this.suite = suite;
    this.#kid = kid;
    this.#secret = secret;
    this.#bindsInKey = SUITES[suite.id].contextIn === 'key';
    const prefix = (type: PayloadType): Uint8Array => pae([LABEL, suite.id, kid, type]);
    this.#prefixes = { json: prefix('json'), text: prefix('text'), bytes: prefix('bytes') };
  }

  /** `PAE` up to the payload type, as bytes; the number of parts is patched in by the caller. */
  associatedDataPrefix(type: PayloadType): Uint8Array {
    return this.#prefixes[type];
  }

  /** The message key to write with now; a fresh salt after 2^20 messages or an hour. */
  writer(associatedData: Uint8Array): MessageKey {
    let current = this.#writer;
    if (current === undefined || !current.mayWrite()) {
      current = this.#derive(randomSalt(), associatedData);
      current.mayWrite();
      this.#writer = current;
      return current;
    }
    return this.#bindsInKey ? this.#derive(current.salt, associatedData) : current;
  }

  /** The message key of the salt at `saltAt` of `bytes`; derived, and remembered only by {@link remember}. */
  reader(bytes: Buffer, associatedData: Uint8Array, saltAt = 0): MessageKey {
    const end = saltAt + SALT_BYTES;
    if (this.#bindsInKey) return this.#derive(bytes.subarray(saltAt, end), associatedData);
    // Rows that are read together were mostly written together.
    if (this.#last !== undefined && hasSalt(this.#last, bytes, saltAt)) return this.#last;
    const known = this.#readers?.get(bytes.toString('latin1', saltAt, end));
    if (known === undefined) return this.#derive(bytes.subarray(saltAt, end), associatedData);
    this.#last = known;
    return known;
  }

  /** Caches a message key under which a tag has verified, so that junk salts cannot push out the real ones. */
  remember(message: MessageKey): void {
    if (message.remembered || this.#bindsInKey) return;
    message.remembered = true;
    this.#readers ??= new QuickLRU({ maxSize: READER_CACHE });
    this.#readers.set(message.saltKey, message);
    this.#last = message;
  }

  #derive(salt: Uint8Array, associatedData: Uint8Array): MessageKey {
    const info = [LABEL, this.suite.id, this.#kid];
    return deriveMessageKey(
      this.#secret,
      this.suite,
      this.#bindsInKey ? [...info, sha512(associatedData)] : info,
      salt,
    );
  }
}

function hasSalt({ salt }: MessageKey, bytes: Buffer, offset: number): boolean {
  for (let index = 0; index < SALT_BYTES; index++) if (salt[index] !== bytes[offset + index]) return false;
  return true;
}
