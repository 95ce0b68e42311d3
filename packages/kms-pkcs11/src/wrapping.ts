import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { EnvelopeError } from '@keywright/envelope';
import { KmsError } from '@keywright/kms';
import { CKA, CKK, CKM, CKO, CKR } from './constants.ts';
import type { Attribute, Handle, Mechanism } from './cryptoki.ts';
import { failedWith, isStaleHandle, lossOf, returnValueOf } from './failures.ts';
import { canWrap } from './mechanisms.ts';
import { destroyAll, flagOf, idOf, labelOf, undone } from './objects.ts';
import type { Session } from './session.ts';
import { once, type Turn } from './turn.ts';

/** How a key was wrapped, the first byte of the answer. */
const FORM = { GCM: 1, KWP: 2 } as const;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const BLOCK_BYTES = 16;
const CONTEXT_BYTES = 32;
const HEADER_BYTES = CONTEXT_BYTES + 4;

/** Makes an AES-256 key that stays in the token. */
export async function generateWrappingKey(session: Session, turn: Turn, name: string): Promise<string> {
  const { mechanisms } = session.connection;
  if (!canWrap(mechanisms) || !mechanisms.has(CKM.AES_KEY_GEN)) throw new KmsError('ERR_KMS_UNSUPPORTED');
  const template = [
    { type: CKA.CLASS, value: CKO.SECRET_KEY },
    { type: CKA.KEY_TYPE, value: CKK.AES },
    { type: CKA.VALUE_LEN, value: 32 },
    { type: CKA.TOKEN, value: true },
    { type: CKA.PRIVATE, value: true },
    { type: CKA.ID, value: idOf(name) as Buffer },
    { type: CKA.LABEL, value: labelOf(name) },
    { type: CKA.SENSITIVE, value: true },
    { type: CKA.EXTRACTABLE, value: false },
    ...(mechanisms.has(CKM.AES_GCM) ? [CKA.ENCRYPT, CKA.DECRYPT] : [CKA.WRAP, CKA.UNWRAP]).map((type) => ({
      type,
      value: true,
    })),
  ];
  const key = await once(turn, () => session.generateKey({ mechanism: CKM.AES_KEY_GEN }, template));
  try {
    checkCustody(session, key);
  } catch (error) {
    throw undone(session, [key], error);
  }
  if (turn.settled) destroyAll(session, [key]);
  return name;
}

/** Wraps bytes for a context under a key of the token. */
export async function wrap(
  session: Session,
  turn: Turn,
  externalId: string,
  key: Buffer,
  context: Uint8Array,
): Promise<Buffer> {
  const wrappingKey = wrappingKeyOf(session, turn, externalId);
  if (!session.connection.mechanisms.has(CKM.AES_GCM)) {
    return Buffer.concat([Buffer.of(FORM.KWP), await wrapPadded(session, wrappingKey, key, context)]);
  }
  const iv = randomBytes(IV_BYTES);
  return Buffer.concat([Buffer.of(FORM.GCM), iv, await seal(session, wrappingKey, iv, key, context)]);
}

/** @throws EnvelopeError `ERR_ENVELOPE_DECRYPT` */
export async function unwrap(
  session: Session,
  turn: Turn,
  externalId: string,
  wrapped: Buffer,
  context: Uint8Array,
): Promise<Buffer> {
  const wrappingKey = wrappingKeyOf(session, turn, externalId);
  const form = wrapped[0];
  const body = wrapped.subarray(1);
  const hasGcm = session.connection.mechanisms.has(CKM.AES_GCM);
  if (form === FORM.GCM && hasGcm && body.byteLength > IV_BYTES + TAG_BYTES) {
    return await open(session, wrappingKey, body, context);
  }
  if (form === FORM.KWP) return await unwrapPadded(session, wrappingKey, body, context);
  throw new EnvelopeError('ERR_ENVELOPE_DECRYPT');
}

/** The handle of a wrapping key, looked for once in a connection and again when it was refused. */
function wrappingKeyOf(session: Session, turn: Turn, externalId: string): Handle {
  const { handles } = session.connection;
  const cached = `wrapping:${externalId}`;
  const known = turn.repeated ? undefined : handles.get(cached, 'AES');
  if (known !== undefined) return known;
  handles.delete(cached);
  const key = findWrappingKey(session, externalId);
  handles.set(cached, 'AES', key);
  return key;
}

/** By its CKA_ID where it is one that was made here, by its CKA_LABEL else. */
function findWrappingKey(session: Session, externalId: string): Handle {
  const id = idOf(externalId);
  const [key, other] = session.find([
    { type: CKA.CLASS, value: CKO.SECRET_KEY },
    id === undefined ? { type: CKA.LABEL, value: externalId } : { type: CKA.ID, value: id },
  ]);
  if (key === undefined) throw new KmsError('ERR_KMS_KEY_NOT_FOUND');
  if (other !== undefined) throw new KmsError('ERR_KMS_KEY_MISMATCH', { context: { expected: 'one key of its id' } });
  if (session.attribute(key, CKA.KEY_TYPE).readUInt32LE() !== CKK.AES) {
    throw new KmsError('ERR_KMS_KEY_NOT_USABLE', { context: { expected: 'an AES key' } });
  }
  checkCustody(session, key);
  return key;
}

function checkCustody(session: Session, key: Handle): void {
  if (flagOf(session, key, CKA.SENSITIVE) === true && flagOf(session, key, CKA.EXTRACTABLE) === false) return;
  throw new KmsError('ERR_KMS_KEY_NOT_USABLE', {
    context: { expected: 'a key that is sensitive and not extractable' },
  });
}

/** AES-GCM, the context as associated data. */
async function seal(session: Session, key: Handle, iv: Buffer, data: Buffer, context: Uint8Array): Promise<Buffer> {
  const room = data.byteLength + TAG_BYTES;
  return await withGcm(session, iv, context, (mechanism) => session.encrypt(mechanism, key, data, room));
}

async function open(session: Session, key: Handle, body: Buffer, context: Uint8Array): Promise<Buffer> {
  const iv = body.subarray(0, IV_BYTES);
  const sealed = body.subarray(IV_BYTES);
  try {
    // SoftHSM asks for as much room as the ciphertext has.
    return await withGcm(session, iv, context, (mechanism) =>
      session.decrypt(mechanism, key, sealed, sealed.byteLength),
    );
  } catch (error) {
    throw await judged(session, key, error);
  }
}

const NOT_AUTHENTIC: readonly number[] = [
  CKR.ENCRYPTED_DATA_INVALID,
  CKR.ENCRYPTED_DATA_LEN_RANGE,
  CKR.AEAD_DECRYPT_FAILED,
  CKR.DATA_LEN_RANGE,
  CKR.DATA_INVALID,
];

/**
 * Tokens say by different codes that a tag is wrong, one of them by the code for anything. So the token is asked to open
 * what it sealed just now: if it can, the ciphertext was wrong; if not, the token is.
 */
async function judged(session: Session, key: Handle, error: unknown): Promise<unknown> {
  if (returnValueOf(error) === undefined || isStaleHandle(error)) return error;
  if (failedWith(error, ...NOT_AUTHENTIC)) return new EnvelopeError('ERR_ENVELOPE_DECRYPT', { cause: error });
  const iv = randomBytes(IV_BYTES);
  const context = Buffer.from('keywright self-test');
  try {
    const sealed = await seal(session, key, iv, Buffer.alloc(BLOCK_BYTES), context);
    await withGcm(session, iv, context, (mechanism) => session.decrypt(mechanism, key, sealed, sealed.byteLength));
  } catch (failure) {
    // The session is still in the failed call: that says nothing new.
    return lossOf(failure) === 'operation' ? error : failure;
  }
  return new EnvelopeError('ERR_ENVELOPE_DECRYPT', { cause: error });
}

async function withGcm<T>(
  session: Session,
  iv: Buffer,
  context: Uint8Array,
  work: (mechanism: Mechanism) => Promise<T>,
): Promise<T> {
  const aad = Buffer.from(context);
  const { gcmParameters } = session.connection.quirks;
  for (const [index, type] of gcmParameters.entries()) {
    const parameter = { type, iv, ivBits: 8 * IV_BYTES, aad, tagBits: 8 * TAG_BYTES };
    try {
      return await work({ mechanism: CKM.AES_GCM, parameter });
    } catch (error) {
      const other =
        index < gcmParameters.length - 1 && failedWith(error, CKR.MECHANISM_PARAM_INVALID, CKR.ARGUMENTS_BAD);
      if (!other) throw error;
    }
  }
  throw new KmsError('ERR_KMS_UNSUPPORTED');
}

const PADDED: readonly number[] = [CKM.AES_KEY_WRAP_KWP, CKM.AES_KEY_WRAP_PAD];

function paddedMechanism(session: Session): Mechanism {
  const mechanism = PADDED.find((one) => session.connection.mechanisms.has(one));
  if (mechanism === undefined) throw new KmsError('ERR_KMS_UNSUPPORTED');
  return { mechanism };
}

/**
 * AES key wrap has no associated data: SHA-256(context) ‖ length ‖ key is wrapped, and compared. The length and the zeros
 * up to a whole block are ours, because tokens pad in ways of their own.
 */
async function wrapPadded(session: Session, wrappingKey: Handle, key: Buffer, context: Uint8Array): Promise<Buffer> {
  const mechanism = paddedMechanism(session);
  const bytes = HEADER_BYTES + key.byteLength;
  const bound = Buffer.alloc(Math.ceil(bytes / 8) * 8);
  contextHash(context).copy(bound);
  bound.writeUInt32BE(key.byteLength, CONTEXT_BYTES);
  bound.set(key, HEADER_BYTES);
  const object = session.create([
    { type: CKA.CLASS, value: CKO.SECRET_KEY },
    { type: CKA.KEY_TYPE, value: CKK.GENERIC_SECRET },
    { type: CKA.TOKEN, value: false },
    { type: CKA.PRIVATE, value: true },
    { type: CKA.SENSITIVE, value: true },
    { type: CKA.EXTRACTABLE, value: true },
    { type: CKA.VALUE, value: bound },
  ]);
  bound.fill(0);
  try {
    return await session.wrap(mechanism, wrappingKey, object, bound.byteLength + 2 * BLOCK_BYTES);
  } finally {
    destroyAll(session, [object]);
  }
}

const UNWRAPPED: readonly Attribute[] = [
  { type: CKA.CLASS, value: CKO.SECRET_KEY },
  { type: CKA.KEY_TYPE, value: CKK.GENERIC_SECRET },
  { type: CKA.TOKEN, value: false },
  { type: CKA.PRIVATE, value: true },
  { type: CKA.SENSITIVE, value: false },
  { type: CKA.EXTRACTABLE, value: true },
];

async function unwrapPadded(
  session: Session,
  wrappingKey: Handle,
  wrapped: Buffer,
  context: Uint8Array,
): Promise<Buffer> {
  const mechanism = paddedMechanism(session);
  const object = await unwrapObject(session, mechanism, wrappingKey, wrapped);
  try {
    const bound = session.attribute(object, CKA.VALUE);
    const key = boundKey(bound, context);
    bound.fill(0);
    if (key === undefined) throw new EnvelopeError('ERR_ENVELOPE_DECRYPT');
    return key;
  } finally {
    destroyAll(session, [object]);
  }
}

async function unwrapObject(session: Session, mechanism: Mechanism, key: Handle, wrapped: Buffer): Promise<Handle> {
  // Two blocks of the cipher's half at least, and whole ones.
  if (wrapped.byteLength < 16 || wrapped.byteLength % 8 !== 0) throw new EnvelopeError('ERR_ENVELOPE_DECRYPT');
  try {
    return await session.unwrap(mechanism, key, wrapped, [...UNWRAPPED]);
  } catch (error) {
    if (returnValueOf(error) === undefined || isStaleHandle(error)) throw error;
    session.assertWell();
    // As with GCM: only a token that opens what it wrapped just now has judged the ciphertext.
    const own = await wrapPadded(session, key, Buffer.alloc(BLOCK_BYTES), Buffer.of());
    destroyAll(session, [await session.unwrap(mechanism, key, own, [...UNWRAPPED])]);
    throw new EnvelopeError('ERR_ENVELOPE_DECRYPT', { cause: error });
  }
}

function boundKey(bound: Buffer, context: Uint8Array): Buffer | undefined {
  if (bound.byteLength < HEADER_BYTES) return undefined;
  if (!timingSafeEqual(bound.subarray(0, CONTEXT_BYTES), contextHash(context))) return undefined;
  const end = HEADER_BYTES + bound.readUInt32BE(CONTEXT_BYTES);
  return end > HEADER_BYTES && end <= bound.byteLength ? Buffer.from(bound.subarray(HEADER_BYTES, end)) : undefined;
}

function contextHash(context: Uint8Array): Buffer {
  return createHash('sha256').update(context).digest();
}
