import { EnvelopeError } from './errors.ts';
import { isKid } from './keys.ts';
import { describe, isKeywrightError } from './keywright-error.ts';
import { isSuiteId, type SuiteId } from './suites/suite.ts';

// Type aliases, not interfaces: only those are assignable to a field typed `JsonValue` or `Record<string, unknown>`.

/** Version 1, for compatibility: AES-256-GCM under the key itself, bound to nothing. */
export type EnvelopeV1 = {
  readonly __enc: 1;
  readonly kid: string;
  /** Base64 of the 12-byte nonce. */
  readonly iv: string;
  /** Base64 of ciphertext ‖ 16-byte tag. */
  readonly ct: string;
};

/** Version 2: committed to its key, bound to its context. */
export type EnvelopeV2 = {
  readonly __enc: 2;
  /** The suite; absent for A256GCM. */
  readonly alg?: Exclude<SuiteId, 'A256GCM'>;
  readonly kid: string;
  /** Base64 of salt[16] ‖ nonce: 12 bytes for A256GCM, 24 for the other suites. */
  readonly iv: string;
  /** Base64 of commitment[32] ‖ ciphertext ‖ tag[16]; for XS20P the tag stands before the ciphertext. */
  readonly ct: string;
};

/** An encrypted value as the object that stands in its place. */
export type Envelope = EnvelopeV1 | EnvelopeV2;

/** What an envelope tells without a key. */
export interface EnvelopeInfo {
  readonly version: 1 | 2;
  readonly form: 'object' | 'text' | 'bytes' | 'stream';
  readonly suite: SuiteId;
  readonly kid: string;
}

const FIELDS = ['__enc', 'kid', 'iv', 'ct'] as const;

/**
 * Whether `value` has the shape of an object envelope of a known version. It says nothing about whether it decrypts:
 * anyone can make such an object, so never let it decide that something *is* protected. For the bytes form, and for a
 * reason, use `inspectEnvelope`.
 */
export function isEncrypted(value: unknown): value is Envelope {
  try {
    readEnvelope(value);
    return true;
  } catch {
    return false;
  }
}

/**
 * Copies the fields of an object envelope, each read once, and checks their types. Unknown fields are refused, so
 * nothing unauthenticated can ride along.
 *
 * @throws EnvelopeError `ERR_ENVELOPE_NOT_ENCRYPTED`, `ERR_ENVELOPE_UNSUPPORTED_VERSION`, `ERR_ENVELOPE_MALFORMED`
 */
export function readEnvelope(value: unknown): Envelope {
  try {
    return readFields(value);
  } catch (error) {
    if (isKeywrightError(error)) throw error;
    // A getter or a proxy has thrown: what cannot be read is no envelope.
    throw new EnvelopeError('ERR_ENVELOPE_MALFORMED', { context: { field: 'one that cannot be read' }, cause: error });
  }
}

function readFields(value: unknown): Envelope {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, '__enc')) {
    throw new EnvelopeError('ERR_ENVELOPE_NOT_ENCRYPTED', { context: { received: describe(value) } });
  }
  const { __enc, kid, iv, ct, alg } = value as Record<string, unknown>;
  if (__enc !== 1 && __enc !== 2) throw unsupported(typeof __enc === 'number' ? __enc : describe(__enc));
  const named = Object.hasOwn(value, 'alg');
  // Another suite is a later release's; an operator should upgrade, not restore the row.
  if (named && typeof alg === 'string' && !isSuiteId(alg)) throw unsupported('another suite');
  for (const field of FIELDS) if (!Object.hasOwn(value, field)) throw malformed(field);
  if (Reflect.ownKeys(value).length !== FIELDS.length + (named ? 1 : 0))
    throw malformed('a field that no envelope has');
  if (typeof kid !== 'string' || !isKid(kid)) throw malformed('kid');
  if (typeof iv !== 'string') throw malformed('iv');
  if (typeof ct !== 'string') throw malformed('ct');
  if (!named) return { __enc, kid, iv, ct };
  // The default suite is never named: two spellings of one envelope are one too many.
  if (__enc === 1 || !isSuiteId(alg) || alg === 'A256GCM') throw malformed('alg');
  return { __enc, alg, kid, iv, ct };
}

function unsupported(received: string | number): EnvelopeError {
  return new EnvelopeError('ERR_ENVELOPE_UNSUPPORTED_VERSION', { context: { received } });
}

function malformed(field: string): EnvelopeError {
  return new EnvelopeError('ERR_ENVELOPE_MALFORMED', { context: { field } });
}
