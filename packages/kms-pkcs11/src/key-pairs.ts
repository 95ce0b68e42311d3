import type { JsonWebKey } from 'node:crypto';
import { KmsError, type KmsKeyRef, type SignAlg } from '@keywright/kms';
import { CKA, CKK, CKO, CKR } from './constants.ts';
import type { Attribute, Handle } from './cryptoki.ts';
import { failedWith } from './failures.ts';
import { canGenerate, formOf, type Signing, shapeOf, signingOf } from './mechanisms.ts';
import { destroyAll, findObject, flagOf, idOf, labelOf, undone } from './objects.ts';
import { readPublicKey } from './public-key.ts';
import type { Session } from './session.ts';
import { once, type Turn } from './turn.ts';

const CURVE_REFUSED = [
  CKR.DOMAIN_PARAMS_INVALID,
  CKR.CURVE_NOT_SUPPORTED,
  CKR.ATTRIBUTE_VALUE_INVALID,
  CKR.TEMPLATE_INCONSISTENT,
  CKR.GENERAL_ERROR,
] as const;

/** Makes a key pair that stays in the token, and checks that the token keeps it so. */
export async function generate(session: Session, turn: Turn, name: string, alg: SignAlg): Promise<JsonWebKey> {
  const { mechanisms } = session.connection;
  if (signingOf(alg, mechanisms) === undefined || !canGenerate(alg, mechanisms)) {
    throw new KmsError('ERR_KMS_UNSUPPORTED');
  }
  const taken = [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY].some((keyClass) => findObject(session, keyClass, name) !== undefined);
  if (taken) throw new KmsError('ERR_KMS_KEY_EXISTS');
  const pair = await once(turn, () => generatePair(session, name, alg));
  try {
    checkCustody(session, pair.privateKey);
    const publicKey = readPublicKey(session, pair.publicKey, alg);
    if (turn.settled) destroyAll(session, [pair.privateKey, pair.publicKey]);
    else session.connection.handles.set(name, formOf(alg).name, pair.privateKey);
    return publicKey;
  } catch (error) {
    throw undone(session, [pair.privateKey, pair.publicKey], error);
  }
}

async function generatePair(
  session: Session,
  name: string,
  alg: SignAlg,
): Promise<{ readonly publicKey: Handle; readonly privateKey: Handle }> {
  const form = formOf(alg);
  const both: readonly Attribute[] = [
    { type: CKA.TOKEN, value: true },
    { type: CKA.ID, value: idOf(name) as Buffer },
    { type: CKA.LABEL, value: labelOf(name) },
  ];
  const secret: readonly Attribute[] = [
    ...both,
    { type: CKA.PRIVATE, value: true },
    { type: CKA.SENSITIVE, value: true },
    { type: CKA.EXTRACTABLE, value: false },
    { type: CKA.SIGN, value: true },
  ];
  const curves = form.keyType === CKK.EC_EDWARDS ? session.connection.quirks.edwardsParameters : [Buffer.of()];
  for (const [index, curve] of curves.entries()) {
    const open = [...both, { type: CKA.VERIFY, value: true }, ...shapeOf(form, curve)];
    try {
      return await session.generateKeyPair({ mechanism: form.generation }, open, [...secret]);
    } catch (error) {
      if (index === curves.length - 1 || !failedWith(error, ...CURVE_REFUSED)) throw error;
    }
  }
  throw new KmsError('ERR_KMS_UNSUPPORTED');
}

/** What the token says about the key, not what it was asked for. */
function checkCustody(session: Session, privateKey: Handle): void {
  const flag = (type: number): boolean | undefined => flagOf(session, privateKey, type, CKR.ATTRIBUTE_TYPE_INVALID);
  const kept =
    flag(CKA.TOKEN) === true &&
    flag(CKA.PRIVATE) === true &&
    flag(CKA.SENSITIVE) === true &&
    flag(CKA.EXTRACTABLE) === false &&
    flag(CKA.ALWAYS_SENSITIVE) !== false &&
    flag(CKA.NEVER_EXTRACTABLE) !== false;
  if (kept) return;
  throw new KmsError('ERR_KMS_UNSUPPORTED', {
    context: { expected: 'a token that keeps private keys sensitive and not extractable' },
  });
}

/** Signs with the key of a name, looked for once in a connection and again when its handle was refused. */
export function sign(
  session: Session,
  turn: Turn,
  { externalId, alg }: KmsKeyRef,
  data: Buffer,
  { mechanism, signatureBytes }: Signing,
): Promise<Buffer> {
  const { handles } = session.connection;
  const { name } = formOf(alg);
  let key = turn.repeated ? undefined : handles.get(externalId, name);
  if (key === undefined) {
    key = findPrivateKey(session, externalId, alg);
    handles.set(externalId, name, key);
  }
  return session.sign(mechanism, key, data, signatureBytes);
}

function findPrivateKey(session: Session, externalId: string, alg: SignAlg): Handle {
  session.connection.handles.delete(externalId);
  const key = findObject(session, CKO.PRIVATE_KEY, externalId);
  if (key === undefined) throw new KmsError('ERR_KMS_KEY_NOT_FOUND');
  checkForm(session, key, alg);
  return key;
}

/** The public key that the token holds beside the private one. */
export function publicKeyOf(session: Session, { externalId, alg }: KmsKeyRef): JsonWebKey {
  const privateKey = findObject(session, CKO.PRIVATE_KEY, externalId);
  const publicKey = findObject(session, CKO.PUBLIC_KEY, externalId);
  if (privateKey === undefined || publicKey === undefined) throw new KmsError('ERR_KMS_KEY_NOT_FOUND');
  checkForm(session, publicKey, alg);
  return readPublicKey(session, publicKey, alg);
}

/** Destroys both halves; the one that is left if the other is gone. */
export function destroyPair(session: Session, { externalId }: KmsKeyRef): void {
  const halves = [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY].map((keyClass) => findObject(session, keyClass, externalId));
  session.connection.handles.delete(externalId);
  destroyAll(session, halves);
}

/** @throws KmsError `ERR_KMS_KEY_MISMATCH` for a key of another type or curve than its record says */
function checkForm(session: Session, key: Handle, alg: SignAlg): void {
  const { keyType, curve } = formOf(alg);
  const type = session.attribute(key, CKA.KEY_TYPE).readUInt32LE();
  if (type === keyType && (curve === undefined || session.attribute(key, CKA.EC_PARAMS).equals(curve))) return;
  throw new KmsError('ERR_KMS_KEY_MISMATCH', { context: { expected: `a key for ${alg}` } });
}
